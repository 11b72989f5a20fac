/**
 * Opens a file with this package and prints what that cost, as JSON.
 *
 *   open FILE OPENS         the first open of this process, and further ones: safeOpenSync
 *   open-async FILE OPENS   the same with safeOpen
 *   cost FILE               time and peak memory of one open
 */
import { SafetensorsError, type SafetensorsFile, safeOpen, safeOpenSync } from 'safetensors-mmap';
import { type CostResult, memoryStatus, type Opened, timeOpens } from './results.ts';

function opened(file: SafetensorsFile): Opened {
  return {
    lines: () =>
      file.keys().map((name) => {
        const { dtype, shape } = file.info(name);
        return `${name} ${dtype} ${shape.join(',')}`;
      }),
    close: () => file.close(),
  };
}

function cost(path: string): CostResult {
  let file: SafetensorsFile | undefined;
  const before = memoryStatus('VmRSS');
  const start = performance.now();
  try {
    file = safeOpenSync(path);
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
  }
  const time = performance.now() - start;
  const memory = memoryStatus('VmHWM') - before;
  return { time, memory, checksum: file === undefined ? 'refused' : `${file.size} tensors` };
}

const [task, path, opens] = process.argv.slice(2);
const tasks: Record<string, () => object | Promise<object>> = {
  open: () => timeOpens(Number(opens), () => opened(safeOpenSync(path))),
  'open-async': () => timeOpens(Number(opens), async () => opened(await safeOpen(path))),
  cost: () => cost(path),
};
console.log(JSON.stringify(await tasks[task]()));
