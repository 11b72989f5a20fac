import { isUtf8 } from 'node:buffer';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { HeaderFault } from '../header/fault.ts';
import { CLOSE_BRACE, COLON, COMMA, JsonScanner, OPEN_BRACE, QUOTE } from '../header/json.ts';
import { firstInvalidUtf8 } from '../header/utf8.ts';
import { plainTextEnd, sameText } from '../header/words.ts';
import { shardNameProblem } from './shard-name.ts';

/** Arrays and objects open around a field of the index. */
const FIELD_DEPTH = 1;

/** Room for one entry in so many bytes is made at first: most are longer, and so all fit. */
const USUAL_ENTRY_BYTES = 64;
const FEWEST_ENTRIES = 256;

/** As many as there are names `model-00001-of-99999.safetensors`. */
const MOST_SHARDS = 99_999;

const WEIGHT_MAP = Buffer.from('weight_map');
const SPACE = 0x20;
const ABSENT = -1;

/** `,⏎    "` between two entries, as Python's `json.dump(…, indent=2)` writes it: two words. */
const GAP = [Buffer.from(',\n  ').readInt32LE(), Buffer.from('  "\0').readInt32LE()] as const;
const GAP_BYTES = 7;
const THREE_BYTES = 0xffffff;

/** The text of an index, and what is known of its bytes. */
export interface IndexText {
  /** From `allocateHeader`. */
  readonly bytes: Buffer;
  /** Whether no byte is over 0x7f. */
  readonly isAscii: boolean;
  /**
   * Where quotes, backslashes and control characters stand, in order: all of them up to the last one
   * that is here.
   */
  readonly marks: Int32Array;
}

/** Which tensor is in which shard, as an index has it. */
export interface WeightMap {
  /** The text of the index, its strings unescaped in place. */
  readonly bytes: Buffer;
  /** Tensors, numbered in the order of the index. */
  count: number;
  /** Where their names lie in `bytes`. */
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  /** Whether all names are in the text as they are, without an escape. */
  readonly arePlain: boolean;
  /** Places in `files`. */
  readonly shards: Int32Array;
  /** The names of the shards, sorted. */
  readonly files: readonly string[];
}

/**
 * Reads the text of an index: a JSON object with a `weight_map`, an object whose values are names of
 * files in the folder of the index. Whatever else is in it must be JSON, and is ignored.
 *
 * Nobody else may change the text any more. Names that appear
 * twice are not looked for here.
 *
 * @throws {SafetensorsError} HEADER_UTF8, HEADER_JSON, HEADER_TOO_LARGE, DUPLICATE_KEY for a second
 *   `weight_map`, SHARD_PATH
 */
export function parseWeightMap(text: IndexText, path: string): WeightMap {
  const { bytes, isAscii } = text;
  if (!isAscii && !isUtf8(bytes)) {
    const at = firstInvalidUtf8(bytes) ?? 0;
    throw new SafetensorsError('HEADER_UTF8', `the index is not UTF-8, at byte ${at}`, { path });
  }
  try {
    return new IndexReader(text).read();
  } catch (fault) {
    if (!(fault instanceof HeaderFault)) throw fault;
    throw new SafetensorsError(fault.code, `${fault.message}, at byte ${fault.at}`, { path });
  }
}

class IndexReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #scanner: JsonScanner;
  #nameStarts: Int32Array;
  #nameEnds: Int32Array;
  #shards: Int32Array;
  #count = 0;
  readonly #marks: Int32Array;
  /** Marks before this one stand before what is being read. */
  #mark = 0;
  #arePlain = true;
  /** Names of shards and their numbers, in the order in which they come first. */
  readonly #numbers = new Map<string, number>();
  /** The shard of the last entry, and where its name lies. */
  #shard = 0;
  #shardStart = 0;
  #shardLength = 0;

  constructor({ bytes, marks }: IndexText) {
    this.#marks = marks;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
      scanner.next();
      scanner.pos = this.#plainEntries(scanner.pos);
      this.#entry();
    } while (scanner.more(CLOSE_BRACE));
  }

  /**
   * Reads entries without escapes and of the shard before, as long as each is followed by another;
   * returns where the first stands that was not read. Functions are small, so that V8 compiles them
   * while the first index of a process is being read.
   */
  #plainEntries(start: number): number {
    let item = start;
    for (;;) {
      const next = this.#plainEntry(item);
      if (next === ABSENT) return item;
      item = next;
    }
  }

  /** Reads the entry whose name's quote is at `item`; returns that of the next, or ABSENT. */
  #plainEntry(item: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const shardLength = this.#shardLength;
    const count = this.#count;
    if (bytes[item] !== QUOTE || count === this.#shards.length) return ABSENT;
    const nameEnd = this.#plainEnd(item + 1);
    let pos = nameEnd + 1;
    if (bytes[nameEnd] !== QUOTE || bytes[pos++] !== COLON) return ABSENT;
    if (bytes[pos] === SPACE) pos++;
    if (bytes[pos++] !== QUOTE) return ABSENT;
    const valueEnd = pos + shardLength;
    if (bytes[valueEnd] !== QUOTE || !sameText(view, this.#shardStart, pos, shardLength)) {
      return ABSENT;
    }
    pos = this.#nextItem(valueEnd + 1);
    if (pos === ABSENT) return ABSENT;
    this.#nameStarts[count] = item + 1;
    this.#nameEnds[count] = nameEnd;
    this.#shards[count] = this.#shard;
    this.#count = count + 1;
    return pos;
  }

  /** Where the first quote, backslash or control character stands from `start` on. */
  #plainEnd(start: number): number {
    const marks = this.#marks;
    const count = marks.length;
    let mark = this.#mark;
    while (mark < count && marks[mark] < start) mark++;
    this.#mark = mark;
    return mark < count ? marks[mark] : plainTextEnd(this.#view, start);
  }

  /** Passes over a comma and white space; returns the quote of the next name, or ABSENT. */
  #nextItem(pos: number): number {
    const view = this.#view;
    if (
      view.getInt32(pos, true) === GAP[0] &&
      (view.getInt32(pos + 4, true) & THREE_BYTES) === GAP[1]
    ) {
      return pos + GAP_BYTES - 1;
    }
    if (this.#bytes[pos] !== COMMA) return ABSENT;
    this.#scanner.pos = pos + 1;
    return this.#scanner.next() === QUOTE ? this.#scanner.pos : ABSENT;
  }

  /** One entry, in any JSON. */
  #entry(): void {
    const scanner = this.#scanner;
    scanner.string('the name of a tensor');
    const entry = this.#count++;
    if (entry === this.#shards.length) this.#grow();
    this.#nameStarts[entry] = scanner.stringStart;
    this.#nameEnds[entry] = scanner.stringEnd;
    if (scanner.pos !== scanner.stringEnd + 1) this.#arePlain = false;
    scanner.expect(COLON, 'after a name');
    scanner.string('a string, the name of a shard');
    this.#shard = this.#numberOf(scanner.text(), scanner.stringStart);
    this.#shards[entry] = this.#shard;
    this.#shardStart = scanner.stringStart;
    // What is unescaped is shorter than what it stands for.
    const isPlain = scanner.pos === scanner.stringEnd + 1;
    this.#shardLength = isPlain ? scanner.stringEnd - scanner.stringStart : 0;
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
    const shards = this.#shards;
    const count = this.#count;
    for (let entry = 0; entry < count; entry++) shards[entry] = places[shards[entry]];
    return {
      bytes: this.#bytes,
      count,
      nameStarts: this.#nameStarts,
      nameEnds: this.#nameEnds,
      arePlain: this.#arePlain,
      shards,
      files,
    };
  }
}

function doubled(column: Int32Array): Int32Array {
  const twice = new Int32Array(2 * column.length);
  twice.set(column);
  return twice;
}
