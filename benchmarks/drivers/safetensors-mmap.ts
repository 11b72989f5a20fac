/**
 * Opens a file with this package and prints what that cost, as JSON.
 *
 *   open FILE OPENS         the first open of this process, and further ones: safeOpenSync
 *   open-async FILE OPENS   the same with safeOpen
 *   open-model FOLDER OPENS        a model of many files: openModel
 *   open-model-keys FOLDER OPENS   the same, and the names of all its tensors
 *   cost FILE               time and peak memory of one open
 */
import {
  type Container,
  openModel,
  SafetensorsError,
  type SafetensorsFile,
  safeOpen,
  safeOpenSync,
} from 'safetensors-mmap';
import { memoryStatus } from './memory.ts';
import { type CostResult, type Opened, timeOpens } from './results.ts';

function opened(file: Container): Opened {
  return {
    lines: () =>
      file.keys().map((name) => {
        const { dtype, shape } = file.info(name);
        return `${name} ${dtype} ${shape.join(',')}`;
      }),
    close: () => file.close(),
  };
}

async function openedWithKeys(folder: string): Promise<Opened> {
  const model = await openModel(folder);
  if (model.keys().length !== model.size) throw new Error('names are missing');
  return opened(model);
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
  'open-model': () => timeOpens(Number(opens), async () => opened(await openModel(path))),
  'open-model-keys': () => timeOpens(Number(opens), () => openedWithKeys(path)),
  cost: () => cost(path),
};
console.log(JSON.stringify(await tasks[task]()));
