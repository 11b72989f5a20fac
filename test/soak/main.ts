// npm run soak [-- --minutes N] [--seed N]
//
// Four workers open, slice, decode, prefetch, save and close files at random, and cut and replace them
// under each other; now and then one is told to stop, or terminated in the middle, and another begins.
// In between all end: what the process holds must be what it held after the first of these times, and memory
// must not have grown in each.
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { collectGarbage, type Holdings, holdings } from '../children/support/process.ts';
import { Random } from '../fuzz/random.ts';
import { SoakFiles } from './files.ts';
import type { SoakCounts, SoakJob } from './worker.ts';

const WORKERS = 4;
const SEGMENTS = 6;
const MOST_MS_OF_A_WORKER = 4000;
const MEGABYTE = 2 ** 20;
/**
 * A leak grows in every segment, of which the shortest ends some thirty workers; a heap that V8 or the allocator
 * made larger has grown in one. A mapping that leaks at each turn is far more.
 */
const MOST_GROWTH_BYTES = 4 * MEGABYTE;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('--minutes and --seed are numbers');

const random = new Random(seed);
const folder = mkdtempSync(join(tmpdir(), 'safetensors-mmap-soak-'));
const total: SoakCounts = {};
const turns = { stopped: 0, terminated: 0 };

/** One worker after another, until `end`. */
async function keepWorking(end: number): Promise<void> {
  while (performance.now() < end) {
    const job: SoakJob = { folder, seed: random.below(2 ** 31) };
    const worker = new Worker(fileURLToPath(new URL('worker.js', import.meta.url)), {
      workerData: job,
    });
    worker.on('message', (counts: SoakCounts) => {
      for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
    });
    const exit = once(worker, 'exit'); // rejected by an error
    await Promise.race([once(worker, 'message'), exit]); // it has begun
    const terminate = random.once(2);
    await Promise.race([
      exit,
      sleep(Math.min(random.below(MOST_MS_OF_A_WORKER), end - performance.now())),
    ]);
    if (terminate) await worker.terminate();
    else worker.postMessage('stop');
    await exit;
    turns[terminate ? 'terminated' : 'stopped']++;
  }
}

/**
 * What Node itself leaves open when a worker is terminated while `open` of node:fs/promises is under way,
 * as in saving (and nearly each time: Node 20 to 26, without this package). Files that are read are
 * opened by the addon, and do not count as these.
 */
const OPENED_BY_NODE = /\.(tmp|js)( \(deleted\))?$/;

function descriptorsBut(names: RegExp): number {
  return readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return !names.test(readlinkSync(join('/proc/self/fd', descriptor)));
    } catch {
      return false; // that of the listing itself
    }
  }).length;
}

interface Rest extends Holdings {
  threads: number | undefined;
}

async function atRest(): Promise<Rest> {
  await collectGarbage();
  // Threads of the addon and of the pool may still be on their way out.
  await sleep(200);
  await collectGarbage();
  const linux = process.platform === 'linux';
  return {
    ...holdings(folder),
    descriptors: linux ? descriptorsBut(OPENED_BY_NODE) : undefined,
    threads: linux ? readdirSync('/proc/self/task').length : undefined,
  };
}

console.log(`soak: ${minutes} minutes, seed ${seed}`);
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
new SoakFiles(folder).create(random);
const rests: Rest[] = [];
const start = performance.now();
for (let segment = 1; segment <= SEGMENTS; segment++) {
  const end = start + (minutes * 60_000 * segment) / SEGMENTS;
  await Promise.all(Array.from({ length: WORKERS }, () => keepWorking(end)));
  const rest = await atRest();
  rests.push(rest);
  const { descriptors, mappings, threads, rssBytes } = rest;
  console.log(
    `${Math.round((performance.now() - start) / 1000)} s: ${descriptors} descriptors, ${mappings} mappings, ` +
      `${threads} threads, RSS ${Math.round(rssBytes / MEGABYTE)} MB`,
  );
}
console.log({ ...turns, ...total });

let failed = 0;
function check(what: string, ok: boolean): void {
  console.log(`${ok ? 'ok   ' : 'FAIL '} ${what}`);
  if (!ok) failed++;
}
// The first segment opens what the process keeps.
const [first, last] = [rests[0], rests[SEGMENTS - 1]];
const growths = rests.slice(1).map(({ rssBytes }, i) => rssBytes - rests[i].rssBytes);
const wanted = [
  'open',
  'slice',
  'decode',
  'prefetch',
  'save',
  'close',
  'change',
  'ERR_SAFETENSORS_FILE_CHANGED',
];
check(
  'everything was done',
  wanted.every((name) => total[name] > 0) && turns.terminated > 0 && turns.stopped > 0,
);
check('no descriptor is left', last.descriptors === first.descriptors);
check(
  'no mapping is left',
  rests.every(({ mappings }) => mappings === undefined || mappings === 0),
);
check('no thread is left', last.threads === first.threads);
check('memory has not grown in each segment', Math.min(...growths) < MOST_GROWTH_BYTES);
console.log(`soak: ${5 - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
