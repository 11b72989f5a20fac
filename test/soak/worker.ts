// Uses files that others change, in every way at random, until it is told to stop or is terminated.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import {
  type AnyTensor,
  loadFile,
  openModel,
  type SafetensorsFile,
  type SafetensorsModel,
  safeOpen,
  safeOpenSync,
  saveFile,
} from 'safetensors-mmap';
import { Random } from '../fuzz/random.ts';
import { SoakFiles } from './files.ts';

export interface SoakJob {
  folder: string;
  seed: number;
}

export type SoakCounts = Record<string, number>;

type Open = SafetensorsFile | SafetensorsModel;

const MOST_OPEN = 6;
/** Reported so often, so that little is lost of a worker that is terminated. */
const REPORT_ACTIONS = 50;
const MOST_MS_BEFORE_ABORT = 3;

/** How an action may end when its file is cut, replaced, or closed by another action meanwhile. */
const EXPECTED =
  /^(ERR_SAFETENSORS_(FILE_CHANGED|CLOSED|TRUNCATED|HEADER_TOO_SMALL|HEADER_LENGTH|NOT_SAFETENSORS|INDEX_MISMATCH)|ABORT_ERR)$/;

const { folder, seed }: SoakJob = workerData;
const random = new Random(seed);
const files = new SoakFiles(folder);
let saves = 0;
const open: Open[] = [];
let counts: SoakCounts = {};
let stopped = false;

function versionOf({ metadata }: Open, { name }: AnyTensor): number {
  return Number(metadata[name.split('.')[0]]);
}

/** What was read, and nothing was said against, is what the file had. */
function expectAll(values: ArrayLike<number>, version: number, what: string): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== version) throw new Error(`${what}: ${values[i]} at ${i}, not ${version}`);
  }
}

function aborting(): { signal?: AbortSignal } {
  if (!random.once(3)) return {};
  return { signal: AbortSignal.timeout(random.below(MOST_MS_BEFORE_ABORT)) };
}

const options = () => ({ backend: random.once(8) ? ('read' as const) : ('mmap' as const) });

const openers: (() => Promise<Open> | Open)[] = [
  () => safeOpen(random.pick(files.singles), options()),
  () => safeOpenSync(random.pick(files.singles), options()),
  () => openModel(files.model, options()),
];

function anyOf(container: Open, kind?: string): AnyTensor {
  const names = container.keys().filter((name) => kind === undefined || name.endsWith(kind));
  return container.getTensor(random.pick(names));
}

const actions: Record<string, (container: Open) => unknown> = {
  slice(container) {
    const tensor = anyOf(container, '.i32');
    // Not from the first column: that would be a view.
    const slice = tensor.slice([random.below(200), null], [1 + random.below(500), null]);
    expectAll(slice.data as Int32Array, versionOf(container, tensor), 'slice');
  },
  async sliceAsync(container) {
    const tensor = anyOf(container, '.u8');
    const slice = await tensor.sliceAsync([null, [random.below(500), null, 3]], aborting());
    expectAll(slice.data as Uint8Array, versionOf(container, tensor), 'sliceAsync');
  },
  decode(container) {
    const tensor = anyOf(container);
    expectAll(tensor.toFloat32(), versionOf(container, tensor), 'toFloat32');
  },
  async decodeAsync(container) {
    const tensor = anyOf(container);
    const values = await tensor.toFloat32Async(undefined, aborting());
    expectAll(values, versionOf(container, tensor), 'toFloat32Async');
  },
  view(container) {
    const tensor = anyOf(container, '.i32');
    const version = versionOf(container, tensor);
    const data = tensor.data as Int32Array;
    for (let i = random.below(999); i < data.length; i += 999) {
      if (data[i] === version) continue;
      if (data[i] !== 0) throw new Error(`a view shows ${data[i]}, not ${version}`);
      container.check(); // throws: it must know of zeros in the place of lost pages
      throw new Error('a view shows zeros, and check() does not know');
    }
  },
  prefetch: (container) => container.prefetch(undefined, aborting()),
  residency: (container) => container.residency(),
  release: (container) => container.release(),
  check: (container) => container.check(),
  async save(container) {
    const saved = join(folder, `saved-${threadId}-${saves++}.safetensors`);
    await saveFile(container, saved, { ...aborting(), fsync: false });
    const copy = safeOpenSync(saved);
    for (const [, tensor] of copy) {
      expectAll(tensor.toFloat32(), versionOf(container, tensor), 'saved');
    }
    copy.close();
    rmSync(saved);
  },
  close: (container) => container.close(),
};

async function act(): Promise<string> {
  if (random.once(12)) {
    files.change(random, `${threadId}`);
    return 'change';
  }
  if (open.length === 0 || (open.length < MOST_OPEN && random.once(4))) {
    if (random.once(5)) {
      await loadFile(random.pick(files.singles)); // dropped at once
      return 'load';
    }
    open.push(await random.pick(openers)());
    return 'open';
  }
  const place = random.below(open.length);
  const container = open[place];
  const name = random.pick(Object.keys(actions));
  // Closed, or dropped for garbage collection to find; work on it may be in flight.
  if (name === 'close') open.splice(place, 1);
  if (random.once(30)) open.splice(place, 1);
  await actions[name](container);
  return name;
}

async function countOne(): Promise<void> {
  try {
    const name = await act();
    counts[name] = (counts[name] ?? 0) + 1;
  } catch (error) {
    const { code, name, stack } = error as NodeJS.ErrnoException;
    const ended = name === 'TimeoutError' ? 'ABORT_ERR' : `${code}`;
    if (!EXPECTED.test(ended)) throw new Error(`seed ${seed}: ${stack}`);
    counts[ended] = (counts[ended] ?? 0) + 1;
  }
}

function report(): void {
  parentPort?.postMessage(counts);
  counts = {};
}

parentPort?.on('message', () => {
  stopped = true;
});

/** Two lines of work, so that one closes what the other is using. */
async function line(): Promise<void> {
  for (let round = 1; !stopped; round++) {
    await countOne();
    if (round % REPORT_ACTIONS === 0) report();
    if (random.once(20)) await new Promise(setImmediate);
  }
}

report(); // it has begun
await Promise.all([line(), line()]);
for (const container of open.splice(0)) {
  if (!random.once(3)) container.close(); // the others are left to the end of the worker
}
report();
parentPort?.close();
