/** Codes that only conversions throw; convert.test.ts provokes each. */
export const CONVERSION_CODES = [
  'NOT_A_CHECKPOINT',
  'MALFORMED_CHECKPOINT',
  'CHECKPOINT_LIMIT',
  'UNSAFE_PICKLE',
  'UNSUPPORTED_TENSOR',
  'SHARED_TENSORS',
  'NO_TENSORS',
  'CONVERSION_MISMATCH',
];
