import type { Dtype } from '../../index.ts';
import { smallFloatValues } from './small-floats.ts';

/** How the elements of two tensors differ. */
export interface Differences {
  /** Elements whose bits are not the same. */
  differing: number;
  /** The largest absolute difference of two numbers; `undefined` when there were none to compare. */
  largest: number | undefined;
  /** Elements that differ and one of which, or both, is a NaN. */
  nans: number;
}

/**
 * Bytes whose elements are looked at, when not all are equal. A multiple of every element's length, and
 * of three bytes (four elements of 6 bits), so that no element is in two blocks.
 */
const BLOCK_BYTES = 3 * 2 ** 14;

/** Compares the elements of tensors of one dtype, piece by piece. */
export class ElementComparer {
  readonly #bits: number;
  readonly #a: Block;
  readonly #b: Block;
  readonly #distance: ((i: number) => number) | undefined;

  /** @param elementBits Those of an element of the dtype. */
  constructor(dtype: Dtype, elementBits: number) {
    this.#bits = elementBits;
    this.#a = new Block(elementBits);
    this.#b = new Block(elementBits);
    this.#distance = distanceOf(dtype, this.#a, this.#b);
  }

  /**
   * Adds to `found` what differs between two pieces of the same length, which begin with an element and
   * end with one.
   */
  compare(a: Buffer, b: Buffer, found: Differences): void {
    if (a.equals(b)) return;
    for (let start = 0; start < a.length; start += BLOCK_BYTES) {
      const blockOfA = a.subarray(start, start + BLOCK_BYTES);
      const blockOfB = b.subarray(start, start + BLOCK_BYTES);
      if (blockOfA.equals(blockOfB)) continue;
      this.#a.take(blockOfA);
      this.#b.take(blockOfB);
      this.#compareBlocks((blockOfA.length * 8) / this.#bits, found);
    }
  }

  #compareBlocks(count: number, found: Differences): void {
    const a = this.#a.words;
    const b = this.#b.words;
    const isDouble = this.#bits === 64;
    const distance = this.#distance;
    for (let i = 0; i < count; i++) {
      if (isDouble ? a[2 * i] === b[2 * i] && a[2 * i + 1] === b[2 * i + 1] : a[i] === b[i])
        continue;
      found.differing++;
      if (distance === undefined) continue;
      const d = Math.abs(distance(i));
      if (Number.isNaN(d)) found.nans++;
      else found.largest = Math.max(found.largest ?? 0, d);
    }
  }
}

/** A block of a tensor, where every element is aligned. */
class Block {
  readonly buffer = new ArrayBuffer(BLOCK_BYTES);
  readonly bytes = new Uint8Array(this.buffer);
  /** The bits of the elements: one number for each, two for those of 64 bits. */
  readonly words: Uint8Array | Uint16Array | Uint32Array;
  readonly elementBits: number;

  constructor(elementBits: number) {
    this.elementBits = elementBits;
    if (elementBits < 8) this.words = new Uint8Array((BLOCK_BYTES * 8) / elementBits);
    else if (elementBits === 8) this.words = this.bytes;
    else if (elementBits === 16) this.words = new Uint16Array(this.buffer);
    else this.words = new Uint32Array(this.buffer);
  }

  take(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    if (this.elementBits === 4) unpack4(bytes, this.words);
    if (this.elementBits === 6) unpack6(bytes, this.words);
  }
}

/** Low half first. */
function unpack4(bytes: Uint8Array, into: Block['words']): void {
  for (let i = 0; i < bytes.length; i++) {
    into[2 * i] = bytes[i] & 0xf;
    into[2 * i + 1] = bytes[i] >>> 4;
  }
}

/** A stream of bits, the lowest first: four elements in three bytes. */
function unpack6(bytes: Uint8Array, into: Block['words']): void {
  for (let i = 0, element = 0; i < bytes.length; i += 3, element += 4) {
    const bits = bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16);
    for (let k = 0; k < 4; k++) into[element + k] = (bits >>> (6 * k)) & 0x3f;
  }
}

/** What is to be subtracted of elements `i` of two blocks, and how; `undefined` for no numbers. */
function distanceOf(dtype: Dtype, a: Block, b: Block): ((i: number) => number) | undefined {
  const minus = (x: ArrayLike<number>, y: ArrayLike<number>) => (i: number) => x[i] - y[i];
  switch (dtype) {
    case 'BOOL':
      return undefined;
    case 'U8':
      return minus(a.bytes, b.bytes);
    case 'I8':
      return minus(new Int8Array(a.buffer), new Int8Array(b.buffer));
    case 'I16':
      return minus(new Int16Array(a.buffer), new Int16Array(b.buffer));
    case 'U16':
      return minus(new Uint16Array(a.buffer), new Uint16Array(b.buffer));
    case 'I32':
      return minus(new Int32Array(a.buffer), new Int32Array(b.buffer));
    case 'U32':
      return minus(new Uint32Array(a.buffer), new Uint32Array(b.buffer));
    case 'F32':
      return minus(new Float32Array(a.buffer), new Float32Array(b.buffer));
    case 'F64':
      return minus(new Float64Array(a.buffer), new Float64Array(b.buffer));
    case 'I64':
      return minusBig(new BigInt64Array(a.buffer), new BigInt64Array(b.buffer));
    case 'U64':
      return minusBig(new BigUint64Array(a.buffer), new BigUint64Array(b.buffer));
    case 'C64':
      return minusComplex(new Float32Array(a.buffer), new Float32Array(b.buffer));
    default:
      return minusValues(smallFloatValues(dtype, a.elementBits), a, b);
  }
}

function minusBig(a: ArrayLike<bigint>, b: ArrayLike<bigint>): (i: number) => number {
  return (i) => Number(a[i] - b[i]);
}

function minusComplex(a: Float32Array, b: Float32Array): (i: number) => number {
  // Of equal infinities too, whose difference would be NaN.
  const part = (i: number) => (a[i] === b[i] ? 0 : a[i] - b[i]);
  return (i) => {
    const real = part(2 * i);
    const imaginary = part(2 * i + 1);
    // To hypot, infinity and NaN are infinity.
    const isNone = Number.isNaN(real) || Number.isNaN(imaginary);
    return isNone ? Number.NaN : Math.hypot(real, imaginary);
  };
}

function minusValues(values: Float32Array | undefined, a: Block, b: Block) {
  return values && ((i: number) => values[a.words[i]] - values[b.words[i]]);
}
