/**
 * Opens a file again and again, and closes none of them, without a turn of the event loop between, until it is
 * refused; then goes on, and opens it once more. Prints how that went. Needs --expose-gc.
 */
import { safeOpenSync } from 'safetensors-mmap';
import { collectGarbage } from './support/process.js';

const [path, most] = process.argv.slice(2);
/** What needs mappings that are not a file's. */
const HEAP_ARRAYS = 100;
const ARRAY_LENGTH = 10_000;

function openAll(): { open: number; code?: string | undefined; syscall?: string | undefined } {
  let open = 0;
  try {
    for (; open < Number(most); open++) safeOpenSync(path, { faultGuard: false });
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    return { open, code, syscall };
  }
  return { open };
}

const refusal = openAll();
const heap = Array.from({ length: HEAP_ARRAYS }, () =>
  Array.from({ length: ARRAY_LENGTH }, (_, i) => ({ i })),
);
await collectGarbage();
using file = safeOpenSync(path);
console.log(JSON.stringify({ ...refusal, arrays: heap.length, after: file.backend }));
