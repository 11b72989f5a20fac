import { isUtf8 } from 'node:buffer';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { put } from '../header/columns.ts';
import { HeaderFault } from '../header/fault.ts';
import { CLOSE_BRACE, COLON, JsonScanner, OPEN_BRACE, QUOTE } from '../header/json.ts';
import { loadedScanner, ScannedText, type Scanner } from '../header/scanner.ts';
import { firstInvalidUtf8 } from '../header/utf8.ts';
import { shardNameProblem } from './shard-name.ts';

/** Arrays and objects open around a field of the index. */
const FIELD_DEPTH = 1;

/** Room for one entry in so many bytes is made at first: most are longer, and so all fit. */
const USUAL_ENTRY_BYTES = 64;
const FEWEST_ENTRIES = 256;

/** As many as there are names `model-00001-of-99999.safetensors`. */
const MOST_SHARDS = 99_999;

const WEIGHT_MAP = Buffer.from('weight_map');

/** Which tensor is in which shard, as an index has it. */
export interface WeightMap {
  /** The text of the index, its strings unescaped in place. */
  readonly bytes: Buffer;
  /** Tensors, numbered in the order of the index. */
  count: number;
  /** Where their names lie in `bytes`. */
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  /** Places in `files`. */
  readonly shards: Int32Array;
  /** Entries that have another shard than the one before, the first of all too: see {@link shardRuns}. */
  runs: Int32Array;
  /** The names of the shards, sorted. */
  readonly files: readonly string[];
}

/**
 * Reads the text of an index, from `allocateHeader`: a JSON object with a `weight_map`, an object whose values
 * are names of files in the folder of the index. Whatever else is in it must be JSON, and is ignored.
 *
 * Nobody else may change the text any more. Names that appear twice are not looked for here.
 *
 * @throws {SafetensorsError} HEADER_UTF8, HEADER_JSON, HEADER_TOO_LARGE, DUPLICATE_KEY for a second
 *   `weight_map`, SHARD_PATH
 */
export function parseWeightMap(bytes: Buffer, path: string): WeightMap {
  if (!isUtf8(bytes)) {
    const at = firstInvalidUtf8(bytes) ?? 0;
    throw new SafetensorsError('HEADER_UTF8', `the index is not UTF-8, at byte ${at}`, { path });
  }
  try {
    return new IndexReader(bytes).read();
  } catch (fault) {
    if (!(fault instanceof HeaderFault)) throw fault;
    throw new SafetensorsError(fault.code, `${fault.message}, at byte ${fault.at}`, { path });
  }
}

class IndexReader {
  readonly #bytes: Buffer;
  readonly #scanner: JsonScanner;
  /** For entries that look as writers write them. */
  readonly #compiled = loadedScanner();
  readonly #text: ScannedText | undefined;
  #nameStarts: Int32Array;
  #nameEnds: Int32Array;
  #shards: Int32Array;
  #count = 0;
  #runs: Int32Array = new Int32Array(FEWEST_ENTRIES);
  #runCount = 0;
  /** Names of shards and their numbers, in the order in which they come first. */
  readonly #numbers = new Map<string, number>();
  /** The shard of the last entry, and where its name lies; without length if that has an escape. */
  #shard = 0;
  #shardStart = 0;
  #shardLength = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#text = this.#compiled && new ScannedText(this.#compiled, bytes);
    this.#scanner = new JsonScanner(bytes);
    const most = FEWEST_ENTRIES + Math.floor(bytes.length / USUAL_ENTRY_BYTES);
    this.#nameStarts = new Int32Array(most);
    this.#nameEnds = new Int32Array(most);
    this.#shards = new Int32Array(most);
  }

  read(): WeightMap {
    const scanner = this.#scanner;
    let found = false;
    scanner.expect(OPEN_BRACE, 'that opens the index');
    if (scanner.next() !== CLOSE_BRACE) {
      do {
        scanner.string('a field name');
        const isWeightMap = scanner.isText(WEIGHT_MAP);
        if (isWeightMap && found) {
          throw new HeaderFault('DUPLICATE_KEY', 'a second weight_map', scanner.stringStart);
        }
        scanner.expect(COLON, 'after a field name');
        if (isWeightMap) this.#entries();
        else scanner.skipValue(FIELD_DEPTH);
        found ||= isWeightMap;
      } while (scanner.more(CLOSE_BRACE));
    } else {
      scanner.pos++;
    }
    if (!found) scanner.fail('a field "weight_map"', scanner.pos - 1);
    scanner.next();
    if (scanner.pos < scanner.end) scanner.fail('nothing but white space after the index');
    return this.#result();
  }

  #entries(): void {
    const scanner = this.#scanner;
    scanner.expect(OPEN_BRACE, 'that opens the weight_map');
    if (scanner.next() === CLOSE_BRACE) {
      scanner.pos++;
      return;
    }
    do {
      this.#plainEntries();
      this.#entry();
    } while (scanner.more(CLOSE_BRACE));
  }

  /**
   * Reads entries without escapes and of the shard of the last one, as long as each is followed by another;
   * goes on from a name's quote to one, where there is a scanner that is compiled.
   */
  #plainEntries(): void {
    const scanner = this.#scanner;
    const compiled = this.#compiled;
    if (compiled === undefined || this.#text === undefined || scanner.next() !== QUOTE) return;
    const start = this.#shardStart;
    const shardLength = this.#shardLength;
    if (shardLength === 0 || shardLength > compiled.shardName.length) return;
    compiled.shardName.set(this.#bytes.subarray(start, start + shardLength));
    scanner.pos = this.#text.read(scanner.pos, {
      begin: () => {},
      read: (address, base) => compiled.exports.readPlaces(address, base, shardLength),
      take: () => this.#addAll(compiled),
    });
  }

  /** Adds entries that are all of one shard. */
  #addAll({ exports, nameStarts, nameEnds }: Scanner): void {
    const first = this.#count;
    const added = exports.count.value;
    this.#count = first + added;
    while (this.#count > this.#shards.length) this.#grow();
    put(this.#nameStarts, nameStarts, first, added);
    put(this.#nameEnds, nameEnds, first, added);
    this.#shards.fill(this.#shard, first, first + added);
  }

  /** One entry, in any JSON. */
  #entry(): void {
    const scanner = this.#scanner;
    scanner.string('the name of a tensor');
    const entry = this.#count++;
    if (entry === this.#shards.length) this.#grow();
    this.#nameStarts[entry] = scanner.stringStart;
    this.#nameEnds[entry] = scanner.stringEnd;
    scanner.expect(COLON, 'after a name');
    scanner.string('a string, the name of a shard');
    const { stringStart, stringEnd } = scanner;
    this.#beginRun(entry, this.#numberOf(scanner.text(), stringStart));
    this.#shards[entry] = this.#shard;
    // What is unescaped is shorter than what it stands for.
    const isPlain = scanner.pos === stringEnd + 1;
    this.#shardLength = isPlain ? stringEnd - stringStart : 0;
    this.#shardStart = stringStart;
  }

  #beginRun(entry: number, shard: number): void {
    if (entry > 0 && shard === this.#shard) return;
    this.#shard = shard;
    if (this.#runCount === this.#runs.length) this.#runs = doubled(this.#runs);
    this.#runs[this.#runCount++] = entry;
  }

  #grow(): void {
    this.#nameStarts = doubled(this.#nameStarts);
    this.#nameEnds = doubled(this.#nameEnds);
    this.#shards = doubled(this.#shards);
  }

  #numberOf(name: string, at: number): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const problem = shardNameProblem(name);
    if (problem !== undefined) {
      const message = `${quoteName(name)} is no name of a shard: ${problem}`;
      throw new HeaderFault('SHARD_PATH', message, at);
    }
    const number = this.#numbers.size;
    if (number === MOST_SHARDS) {
      throw new HeaderFault('HEADER_TOO_LARGE', `more than ${MOST_SHARDS} shards`, at);
    }
    this.#numbers.set(name, number);
    return number;
  }

  #result(): WeightMap {
    const files = [...this.#numbers.keys()].sort();
    const places = new Int32Array(files.length);
    for (const [place, name] of files.entries()) places[this.#numbers.get(name) ?? 0] = place;
    const map = {
      bytes: this.#bytes,
      count: this.#count,
      nameStarts: this.#nameStarts,
      nameEnds: this.#nameEnds,
      shards: this.#shards,
      runs: this.#runs.subarray(0, this.#runCount),
      files,
    };
    shardRuns(map, (shard, first, end) => map.shards.fill(places[shard], first, end));
    return map;
  }
}

/**
 * The entries `[first, end)` that follow each other and have the same shard: what is asked of the entries of
 * each shard need not look at all of them.
 */
export function shardRuns(
  { runs, shards, count }: Pick<WeightMap, 'runs' | 'shards' | 'count'>,
  visit: (shard: number, first: number, end: number) => void,
): void {
  for (let run = 0; run < runs.length; run++) {
    const end = run + 1 < runs.length ? runs[run + 1] : count;
    visit(shards[runs[run]], runs[run], end);
  }
}

function doubled(column: Int32Array): Int32Array {
  const twice = new Int32Array(2 * column.length);
  twice.set(column);
  return twice;
}
