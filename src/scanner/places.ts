import { addName, clear, count } from './columns';
import { MOST_ENTRIES, SHARD_NAME } from './memory';
import { plainEnd, same } from './text';

const QUOTE: u8 = 0x22;
const COLON: u8 = 0x3a;
const COMMA: u8 = 0x2c;
const SPACE: u8 = 0x20;

/**
 * Reads the entries of an index, `"name": "shard",` without escapes, that have the shard whose name of
 * `shardLength` bytes is at SHARD_NAME. The first is the one whose name's quote is at `item`; returns that of
 * the first that it did not read. Only entries are read that are followed by another.
 *
 * @param base What places have more in the whole text than here.
 */
export function readPlaces(item: usize, base: usize, shardLength: usize): usize {
  clear();
  while (count < MOST_ENTRIES) {
    const next = readPlace(item, base, shardLength);
    if (next === 0) break;
    item = next;
  }
  return item;
}

function readPlace(item: usize, base: usize, shardLength: usize): usize {
  const nameStart = item + 1;
  const nameEnd = plainEnd(nameStart);
  if (load<u8>(nameEnd) !== QUOTE || load<u8>(nameEnd, 1) !== COLON) return 0;
  let at = nameEnd + 2;
  if (load<u8>(at) === SPACE) at++;
  if (load<u8>(at) !== QUOTE) return 0;
  at++;
  const shardEnd = at + shardLength;
  if (load<u8>(shardEnd) !== QUOTE || !same(SHARD_NAME, at, shardLength)) return 0;
  at = shardEnd + 1;
  if (load<u8>(at) !== COMMA) return 0;
  at++;
  while (isBlank(load<u8>(at))) at++;
  if (load<u8>(at) !== QUOTE) return 0;
  addName(base + nameStart, base + nameEnd);
  return at;
}

function isBlank(byte: u8): bool {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
