import { integer, MAX_SIZE, readInteger } from './integer';
import { DTYPE_BYTES, DTYPES, MOST_DTYPES } from './memory';
import { isText, plainEnd, same } from './text';

const OPEN = '":{"dtype":"';
const SHAPE = '","shape":[';
const OFFSETS = '],"data_offsets":[';

const COMMA: u8 = 0x2c;
const CLOSE_BRACKET: u8 = 0x5d;
const NONE: i32 = -1;

/** Descriptions that are remembered: 2^4. Models have fewer dtypes and shapes in what repeats. */
const SLOT_BITS: i32 = 4;

/** The text from the quote that closes a name to the first offset, and what it says of a tensor. */
@unmanaged
export class Description {
  start: usize;
  /** 0 when there is none. */
  length: usize;
  dtype: i32;
  shapeStart: usize;
  byteLength: u64;
}

const SLOTS: usize = memory.data((<i32>offsetof<Description>()) << SLOT_BITS, 8);

/** None is known any more: to be called when the text is another one. */
export function forgetDescriptions(): void {
  memory.fill(SLOTS, 0, offsetof<Description>() << SLOT_BITS);
}

/**
 * What is said of the tensor whose name ends at `start`; null when it is not as the reference writes it, or
 * when such a tensor has no size in whole bytes. A model repeats itself, and so does its header: text is
 * compared with that of an earlier entry first, and is read only where it differs.
 */
export function describe(start: usize): Description | null {
  const known = changetype<Description>(SLOTS + slotOf(start) * offsetof<Description>());
  if (known.length !== 0 && same(known.start, start, known.length)) return known;
  return read(start, known) ? known : null;
}

/** Dtype and shape are among these words. */
function slotOf(start: usize): usize {
  const mixed =
    (load<u32>(start, 12) * 0x9e3779b1) ^
    (load<u32>(start, 28) * 0x85ebca77) ^
    (load<u32>(start, 32) * 0xc2b2ae3d);
  return mixed >> (32 - SLOT_BITS);
}

function read(start: usize, description: Description): bool {
  if (!isText(OPEN, start)) return false;
  const dtypeStart = start + OPEN.length;
  const dtypeEnd = plainEnd(dtypeStart);
  const dtype = findDtype(dtypeStart, dtypeEnd - dtypeStart);
  if (dtype === NONE || !isText(SHAPE, dtypeEnd)) return false;
  const shapeStart = dtypeEnd + SHAPE.length;
  let at = shapeStart;
  let elements: u64 = 1;
  if (load<u8>(at) !== CLOSE_BRACKET) {
    for (;;) {
      at = readInteger(at);
      if (at === 0 || (integer > 0 && elements > MAX_SIZE / integer)) return false;
      elements *= integer;
      if (load<u8>(at) !== COMMA) break;
      at++;
    }
  }
  if (!isText(OFFSETS, at)) return false;
  const bits = <u64>load<u8>(DTYPES + (dtype + 1) * DTYPE_BYTES - 1);
  // Both are under 2^53 and 2^8: the product fits.
  const allBits = elements * bits;
  if (allBits % 8 !== 0 || allBits / 8 > MAX_SIZE) return false;
  description.start = start;
  description.length = at + OFFSETS.length - start;
  description.dtype = dtype;
  description.shapeStart = shapeStart;
  description.byteLength = allBits / 8;
  return true;
}

function findDtype(start: usize, length: usize): i32 {
  // As rows have it that no dtype is in.
  if (length === 0) return NONE;
  for (let dtype = 0; dtype < MOST_DTYPES; dtype++) {
    const name = DTYPES + dtype * DTYPE_BYTES;
    if (<usize>load<u8>(name) === length && same(name + 1, start, length)) return dtype;
  }
  return NONE;
}
