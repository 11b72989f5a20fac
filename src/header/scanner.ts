import { DTYPES } from '../dtypes.ts';
import { SCANNER } from '../scanner/binary.ts';

/** What src/scanner/scanner.ts exports: functions, addresses and lengths. */
interface ScannerExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly count: Global;
  readonly tiles: Global;
  forgetDescriptions(): void;
  readEntries(item: number, base: number): number;
  readPlaces(item: number, base: number, shardLength: number): number;
  readonly TEXT: Global;
  readonly TEXT_BYTES: Global;
  readonly TEXT_PADDING: Global;
  readonly MOST_ENTRIES: Global;
  readonly BEGINS: Global;
  readonly ENDS: Global;
  readonly NAME_STARTS: Global;
  readonly NAME_ENDS: Global;
  readonly SHAPE_STARTS: Global;
  readonly CODES: Global;
  readonly DTYPES: Global;
  readonly DTYPE_BYTES: Global;
  readonly SHARD_NAME: Global;
  readonly MOST_SHARD_NAME: Global;
}

interface Global {
  readonly value: number;
}

/** As much of it as is needed; undefined under `--jitless`. */
declare const WebAssembly:
  | {
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object) => { readonly exports: object };
    }
  | undefined;

/** The text of one tensor is not longer, or is left to the full grammar where a piece ends within it. */
const USUAL_ENTRY_BYTES = 4096;

/**
 * The scanner that is compiled (src/scanner): it reads the text of headers and indexes that looks as writers
 * write it. One for each thread, whose memory is that of whatever {@link ScannedText} is being read: that is
 * done without a pause.
 */
export class Scanner {
  readonly exports: ScannerExports;
  /** A piece of the text, and its padding. */
  readonly text: Uint8Array;
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  readonly shapeStarts: Int32Array;
  readonly dtypes: Uint8Array;
  readonly shardName: Uint8Array;

  constructor(exports: ScannerExports) {
    this.exports = exports;
    const { buffer } = exports.memory;
    const most = exports.MOST_ENTRIES.value;
    const textBytes = exports.TEXT_BYTES.value + exports.TEXT_PADDING.value;
    this.text = new Uint8Array(buffer, exports.TEXT.value, textBytes);
    this.begins = new Float64Array(buffer, exports.BEGINS.value, most);
    this.ends = new Float64Array(buffer, exports.ENDS.value, most);
    this.nameStarts = new Int32Array(buffer, exports.NAME_STARTS.value, most);
    this.nameEnds = new Int32Array(buffer, exports.NAME_ENDS.value, most);
    this.shapeStarts = new Int32Array(buffer, exports.SHAPE_STARTS.value, most);
    this.dtypes = new Uint8Array(buffer, exports.CODES.value, most);
    this.shardName = new Uint8Array(
      buffer,
      exports.SHARD_NAME.value,
      exports.MOST_SHARD_NAME.value,
    );
    const rowBytes = exports.DTYPE_BYTES.value;
    for (const { name, code, bits } of DTYPES) {
      const row = Buffer.from(buffer, exports.DTYPES.value + code * rowBytes, rowBytes);
      row[0] = row.write(name, 1, 'latin1');
      row[rowBytes - 1] = bits;
    }
  }
}

/** `null` when there can be none: then everything is left to the full grammar. */
let scanner: Scanner | null | undefined;

/** The scanner of this thread; undefined where there is no WebAssembly, or no memory for it. */
export function loadedScanner(): Scanner | undefined {
  if (scanner === undefined) scanner = loadScanner();
  return scanner ?? undefined;
}

function loadScanner(): Scanner | null {
  if (typeof WebAssembly === 'undefined') return null;
  try {
    const compiled = new WebAssembly.Module(Buffer.from(SCANNER, 'base64'));
    const { exports } = new WebAssembly.Instance(compiled);
    return new Scanner(exports as ScannerExports);
  } catch {
    // A processor without SIMD (CompileError), or a limit of addresses (RangeError).
    return null;
  }
}

/** What is read of a text, item by item. */
export interface Scan {
  /** The piece is another one from now on. */
  begin(): void;
  /** Reads items from an address on, which has `base` less than their place in the text; returns where it stopped. */
  read(address: number, base: number): number;
  /** Takes what has been read over from the scanner. */
  take(): void;
}

/** A text that the scanner gets piece by piece. */
export class ScannedText {
  readonly #scanner: Scanner;
  readonly #bytes: Uint8Array;
  /** Where the piece begins that it has, and where another is needed. */
  #start = 0;
  #usable = 0;

  constructor(scanner: Scanner, bytes: Uint8Array) {
    this.#scanner = scanner;
    this.#bytes = bytes;
  }

  /** Reads items from `start` on, as many as it can; returns where the first is that was not read. */
  read(start: number, scan: Scan): number {
    const text = this.#scanner.exports.TEXT.value;
    let item = start;
    for (;;) {
      if (item < this.#start || item >= this.#usable) {
        this.#load(item);
        scan.begin();
      }
      const base = this.#start - text;
      const next = scan.read(item - base, base) + base;
      // An item that stops it costs another look: pieces and columns that are full stop it too.
      if (next === item) return item;
      scan.take();
      item = next;
    }
  }

  #load(start: number): void {
    const { text, exports } = this.#scanner;
    const most = exports.TEXT_BYTES.value;
    const piece = this.#bytes.subarray(start, start + most);
    text.set(piece);
    text.fill(0, piece.length, piece.length + exports.TEXT_PADDING.value);
    this.#start = start;
    const isLast = start + piece.length === this.#bytes.length;
    this.#usable = start + piece.length - (isLast ? 0 : USUAL_ENTRY_BYTES);
  }
}
