/**
 * Cuts a mapped file short, has the system say so to a call, and gives the file its length back: the lost
 * pages are zeros by then. Prints how the call ended, and others afterwards.
 */
import { statSync, truncateSync, utimesSync } from 'node:fs';
import { type Container, type SafetensorsError, safeOpenSync, saveFile } from 'safetensors-mmap';

const [path, way] = process.argv.slice(2);

const ROWS = 400;
const COLUMNS = 500;
const data = new Uint16Array(ROWS * COLUMNS).fill(0x3f80);
const CUT_AT = 8192;
/** Seconds since 1970. */
const MODIFIED = 1_000_000_000;

const calls: Record<string, (container: Container) => unknown> = {
  decode: (container) => container.getTensor('x').toFloat32(),
  decodeAsync: (container) => container.getTensor('x').toFloat32Async(),
  gather: (container) => container.getTensor('x').slice([null, null, 2]),
  gatherAsync: (container) => container.getTensor('x').sliceAsync([[null, null, 2]]),
  prefetch: (container) => container.prefetch(),
  save: (container) => saveFile(container, `${path}.copy`, { fsync: false }),
};

async function endOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return 'done';
  } catch (error) {
    const { code, message, tensor } = error as SafetensorsError;
    return { code, tensor, offset: Number(/byte (\d+)/.exec(message)?.[1]) };
  }
}

await saveFile({ x: { dtype: 'BF16', shape: [ROWS, COLUMNS], data } }, path, { fsync: false });
utimesSync(path, MODIFIED, MODIFIED);
const { size } = statSync(path);
using file = safeOpenSync(path);
truncateSync(path, CUT_AT);
const ends = [await endOf(() => calls[way](file))];
truncateSync(path, size);
utimesSync(path, MODIFIED, MODIFIED);
for (const again of [() => file.check(), () => file.getTensor('x').toFloat32(), calls[way]]) {
  ends.push(await endOf(() => again(file)));
}
console.log(JSON.stringify(ends));
