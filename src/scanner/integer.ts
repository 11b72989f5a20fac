/** The largest integer that JavaScript has exactly, 2^53 - 1. */
export const MAX_SIZE: u64 = 9007199254740991;

/** More digits than {@link MAX_SIZE} has. */
const TOO_MANY_DIGITS: usize = 17;

const ZERO: u32 = 0x30;

/** Two factors each, of the pairs in a word's lower half and in its upper half. */
const HUNDRED_AND_MILLION: u64 = 0x000f4240_00000064;
const ONE_AND_TEN_THOUSAND: u64 = 0x00002710_00000001;

/** What {@link readInteger} read last. */
export let integer: u64 = 0;

/** Reads an integer as JSON has it, without sign, into `integer`; where it ends, or 0. */
export function readInteger(start: usize): usize {
  let at = start;
  let value: u64 = 0;
  // Eight at a time, up to sixteen; the loop behind reads what is left.
  for (let i = 0; i < 2; i++) {
    const digits = load<u64>(at) ^ 0x3030303030303030;
    // The highest bit of a byte is set where it is over 9.
    if ((((digits + 0x7676767676767676) | digits) & 0x8080808080808080) !== 0) break;
    value = value * 100_000_000 + eightDigits(digits);
    at += 8;
  }
  for (;;) {
    const digit = <u32>load<u8>(at) - ZERO;
    if (digit > 9) break;
    if (at - start === TOO_MANY_DIGITS) return 0;
    value = value * 10 + digit;
    at++;
  }
  if (at === start || value > MAX_SIZE) return 0;
  if (<u32>load<u8>(start) === ZERO && at > start + 1) return 0;
  integer = value;
  return at;
}

/** The number that eight digits are, the first of them in the lowest byte: pairs, then fours, then all. */
function eightDigits(digits: u64): u64 {
  const pairs = digits * 10 + (digits >> 8);
  const high = (pairs & 0x000000ff000000ff) * HUNDRED_AND_MILLION;
  const low = ((pairs >> 16) & 0x000000ff000000ff) * ONE_AND_TEN_THOUSAND;
  return (high + low) >> 32;
}
