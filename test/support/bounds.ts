// Bounds of what a test measures: wider where the process runs under AddressSanitizer, which
// `npm run test:sanitizers` says through the environment.
const IS_SANITIZED = process.env.SAFETENSORS_MMAP_SANITIZED !== undefined;

/** What it keeps of freed memory, to notice its use (256 MiB), and its own beside it. */
const QUARANTINE_BYTES = 2 ** 30;

/** Bytes that a process may grow by; under AddressSanitizer they tell of large leaks alone. */
export function growthBound(bytes: number): number {
  return bytes + (IS_SANITIZED ? QUARANTINE_BYTES : 0);
}

/** Milliseconds that something may take. */
export function durationBound(ms: number): number {
  return IS_SANITIZED ? 10 * ms : ms;
}
