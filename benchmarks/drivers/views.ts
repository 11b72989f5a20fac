/**
 * Makes views of a file's tensors and prints what that cost, as JSON.
 *
 *   open FILE                  opening alone: external memory and full GCs
 *   last FILE NAME             opening, and reading the last element of a tensor
 *   data FILE PASSES           `data` of tensors that were got before
 *   get-tensor FILE PASSES     `getTensor(name)`
 *   both FILE PASSES           `getTensor(name).data`
 *   array FILE PASSES          the peer: new Float32Array(buffer, offset, length), as many of them
 */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type SafetensorsFile, safeOpenSync, type Tensor } from 'safetensors-mmap';
import type { ExternalResult, LastResult, ViewsResult } from './results.ts';

/** Start times of full GCs; Node tells of them some turns of the event loop later. */
class FullCollections {
  readonly #starts: number[] = [];
  readonly #observer = new PerformanceObserver((list) => this.#note(list.getEntries()));

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  #note(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { detail, startTime } = entry as PerformanceEntry & { detail: { kind: number } };
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) this.#starts.push(startTime);
    }
  }

  async between(start: number, end: number): Promise<number> {
    for (let turn = 0; turn < 3; turn++) await setImmediate();
    this.#note(this.#observer.takeRecords());
    return this.#starts.filter((at) => at >= start && at < end).length;
  }
}

const collections = new FullCollections();

async function openAlone(path: string): Promise<ExternalResult> {
  // The addon is loaded and the caches of Node are filled by another open.
  safeOpenSync(path).close();
  await setImmediate();
  const before = process.memoryUsage();
  const start = performance.now();
  const file = safeOpenSync(path);
  const end = performance.now();
  const opened = process.memoryUsage();
  const [first] = file.offsetKeys();
  const view = file.getTensor(first).data;
  const viewed = process.memoryUsage();
  return {
    opened: opened.external - before.external,
    viewed: viewed.external - opened.external,
    fullCollections: await collections.between(start, end),
    checksum: `${file.size} ${view.length}`,
  };
}

async function last(path: string, name: string): Promise<LastResult> {
  const start = performance.now();
  const file = safeOpenSync(path);
  const opened = performance.now();
  const value = file.getTensor(name).data.at(-1);
  const end = performance.now();
  return {
    time: end - start,
    fullCollections: {
      opening: await collections.between(start, opened),
      reading: await collections.between(opened, end),
    },
    checksum: `${value}`,
  };
}

/** One pass over all tensors: makes the `i`th thing, and tells its length in elements. */
type Make = (i: number) => { length: number };
type Prepare = (file: SafetensorsFile, names: readonly string[]) => Make;

function prepareData(file: SafetensorsFile, names: readonly string[]): Make {
  const tensors = names.map((name) => file.getTensor(name));
  return (i) => tensors[i].data;
}

function prepareBoth(file: SafetensorsFile, names: readonly string[]): Make {
  return (i) => file.getTensor(names[i]).data;
}

function prepareArrays(file: SafetensorsFile, names: readonly string[]): Make {
  const { buffer } = file.getTensor(file.offsetKeys()[0]).data;
  const lengths = names.map((name) => file.getTensor(name).data.length);
  const offsets = names.map((_, i) => 4 * i);
  const longest = (buffer.byteLength - 4 * names.length) / 4;
  const fitting = lengths.map((length) => Math.min(length, Math.floor(longest)));
  return (i) => new Float32Array(buffer, offsets[i], fitting[i]);
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function views(path: string, passes: number, prepare: Prepare): Promise<ViewsResult> {
  const file = safeOpenSync(path);
  const names = file.keys();
  const held = new Array<{ length: number } | undefined>(names.length);
  const times: number[] = [];
  const spans: [start: number, end: number][] = [];
  for (let pass = 0; pass < passes; pass++) {
    const make = prepare(file, names);
    held.fill(undefined);
    // What the passes before left behind, and the tensors of this one, are not this one's cost.
    collectGarbage();
    const start = performance.now();
    for (let i = 0; i < names.length; i++) held[i] = make(i);
    const end = performance.now();
    times.push((1e6 * (end - start)) / names.length);
    spans.push([start, end]);
  }
  const fullCollections: number[] = [];
  for (const [start, end] of spans) fullCollections.push(await collections.between(start, end));
  const made = held.filter((view) => view !== undefined && view.length > 0);
  return { first: times[0], further: times.slice(1), fullCollections, checksum: `${made.length}` };
}

async function getTensors(path: string, passes: number): Promise<ViewsResult> {
  const prepare: Prepare = (file, names) => (i) => new Named(file.getTensor(names[i]));
  return views(path, passes, prepare);
}

/** A tensor as something with a length, without making its data. */
class Named {
  readonly tensor: Tensor;
  readonly length = 1;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }
}

const [task, path, argument] = process.argv.slice(2);
const tasks: Record<string, () => Promise<object>> = {
  open: () => openAlone(path),
  last: () => last(path, argument),
  data: () => views(path, Number(argument), prepareData),
  'get-tensor': () => getTensors(path, Number(argument)),
  both: () => views(path, Number(argument), prepareBoth),
  array: () => views(path, Number(argument), prepareArrays),
};
console.log(JSON.stringify(await tasks[task]()));
