import { addName, addTensor, clear, count } from './columns';
import { describe } from './descriptions';
import { integer, readInteger } from './integer';
import { MOST_ENTRIES } from './memory';
import { plainEnd } from './text';

/** `]},"` closes an entry and opens the name of the next: the word that it is in the text. */
const NEXT: u32 = 0x222c7d5d;
/** `]}}` closes the last entry and the header. */
const LAST: u32 = 0x7d7d5d;
const THREE_BYTES: u32 = 0xffffff;

const QUOTE: u8 = 0x22;
const COMMA: u8 = 0x2c;
const UNDERSCORE: u8 = 0x5f;
const METADATA_LENGTH: usize = 12;

/**
 * Reads the entries that look exactly as the reference writes them: compact JSON, `dtype`, `shape` and
 * `data_offsets` in this order, a name without escapes, and the size that they say. The first is the one
 * whose name's quote is at `item`; returns that of the first that it did not read, or where the brace is
 * that closes the header.
 *
 * @param base What places have more in the whole text than here.
 */
export function readEntries(item: usize, base: usize): usize {
  clear();
  while (count < MOST_ENTRIES && load<u8>(item) === QUOTE) {
    const next = readEntry(item + 1, base);
    if (next === 0) break;
    item = next;
  }
  return item;
}

/** Reads the entry whose name begins at `nameStart`; returns the next item, or 0. */
function readEntry(nameStart: usize, base: usize): usize {
  const nameEnd = plainEnd(nameStart);
  // Perhaps `__metadata__`, which is no entry.
  if (nameEnd - nameStart === METADATA_LENGTH && load<u8>(nameStart) === UNDERSCORE) return 0;
  const description = describe(nameEnd);
  if (description === null) return 0;
  let at = readInteger(nameEnd + description.length);
  if (at === 0 || load<u8>(at) !== COMMA) return 0;
  const begin = integer;
  at = readInteger(at + 1);
  const end = integer;
  if (at === 0 || end - begin !== description.byteLength) return 0;
  const after = load<u32>(at);
  const isLast = (after & THREE_BYTES) === LAST;
  if (after !== NEXT && !isLast) return 0;
  const shapeStart = nameEnd + (description.shapeStart - description.start);
  addTensor(description.dtype, base + shapeStart, begin, end);
  addName(base + nameStart, base + nameEnd);
  return at + (isLast ? 2 : 3);
}
