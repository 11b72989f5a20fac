/**
 * Makes views of a file's tensors and prints what that cost, as JSON.
 *
 *   open FILE                  opening alone: external memory and full GCs
 *   last FILE NAME             opening, and reading the last element of a tensor
 *   data FILE PASSES           `data` of tensors that were got before
 *   collected FILE PASSES      the same, each pass right after a full collection
 *   get-tensor FILE PASSES     `getTensor(name)`
 *   both FILE PASSES           `getTensor(name).data`
 *   model FOLDER HEAP_MB       opening a model and viewing all of its tensors, beside a heap of that size
 *   array FILE PASSES          the peer: new Float32Array(buffer, offset, length), as many of them
 *   objects FILE PASSES        the same, each kept by the object that it was asked of, as a tensor keeps its data
 */
import { setImmediate } from 'node:timers/promises';
import { openModel, type SafetensorsFile, safeOpenSync, type Tensor } from 'safetensors-mmap';
import { CollectionObserver } from './collections.ts';
import { collectGarbage, fillHeap } from './heap.ts';
import type { ExternalResult, LastResult, ModelViewsResult, ViewsResult } from './results.ts';

const observer = new CollectionObserver();

async function fullCollections(start: number, end: number): Promise<number> {
  return (await observer.between(start, end)).full;
}

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
    fullCollections: await fullCollections(start, end),
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
      opening: await fullCollections(start, opened),
      reading: await fullCollections(opened, end),
    },
    checksum: `${value}`,
  };
}

/** Makes the `i`th thing, and tells its length in elements. */
type Make = (i: number) => { length: number };
/** What a pass over all tensors makes; what it needs for that is there before, and is not its cost. */
type Prepare = () => Make;
type PrepareAll = (file: SafetensorsFile, names: readonly string[]) => Prepare;

function prepareData(file: SafetensorsFile, names: readonly string[]): Prepare {
  return () => {
    const tensors = names.map((name) => file.getTensor(name));
    return (i) => tensors[i].data;
  };
}

function prepareTensors(file: SafetensorsFile, names: readonly string[]): Prepare {
  return () => (i) => new Named(file.getTensor(names[i]));
}

function prepareBoth(file: SafetensorsFile, names: readonly string[]): Prepare {
  return () => (i) => file.getTensor(names[i]).data;
}

function arraysOver(file: SafetensorsFile, names: readonly string[]) {
  const { buffer } = file.getTensor(file.offsetKeys()[0]).data;
  const longest = Math.floor((buffer.byteLength - 4 * names.length) / 4);
  const lengths = names.map((name) => Math.min(file.getTensor(name).size, longest));
  return { buffer, lengths };
}

function prepareArrays(file: SafetensorsFile, names: readonly string[]): Prepare {
  const { buffer, lengths } = arraysOver(file, names);
  return () => (i) => new Float32Array(buffer, 4 * i, lengths[i]);
}

function prepareObjects(file: SafetensorsFile, names: readonly string[]): Prepare {
  const { buffer, lengths } = arraysOver(file, names);
  return () => {
    const objects = lengths.map((length, i) => new Lazy(buffer, 4 * i, length));
    return (i) => objects[i].data;
  };
}

/** @param collected whether nothing is left to collect when a pass begins, as for the first it always is */
async function views(
  path: string,
  passes: number,
  prepareAll: PrepareAll,
  collected = false,
): Promise<ViewsResult> {
  const file = safeOpenSync(path);
  const names = file.keys();
  const prepare = prepareAll(file, names);
  const held = new Array<{ length: number } | undefined>(names.length);
  const times: number[] = [];
  const spans: [start: number, end: number][] = [];
  for (let pass = 0; pass < passes; pass++) {
    const make = prepare();
    held.fill(undefined);
    if (pass === 0 || collected) collectGarbage();
    const start = performance.now();
    for (let i = 0; i < names.length; i++) held[i] = make(i);
    const end = performance.now();
    times.push((1e6 * (end - start)) / names.length);
    spans.push([start, end]);
  }
  const collections: number[] = [];
  for (const [start, end] of spans) collections.push(await fullCollections(start, end));
  const made = held.filter((view) => view !== undefined && view.length > 0);
  return {
    first: times[0],
    further: times.slice(1),
    fullCollections: collections,
    checksum: `${made.length}`,
  };
}

async function modelViews(folder: string, heapMegabytes: number): Promise<ModelViewsResult> {
  const heap = fillHeap(heapMegabytes);
  // What the filling left to collect is not what is counted; a program without a heap is left as it is.
  if (heap.length > 0) collectGarbage();
  const { heapUsed } = process.memoryUsage();
  await setImmediate();
  const start = performance.now();
  const model = await openModel(folder);
  const opened = performance.now();
  const views = Array.from(model, ([, tensor]) => tensor.data);
  const end = performance.now();
  const filled = views.filter(({ length }) => length > 0);
  return {
    open: opened - start,
    view: end - opened,
    openingCollections: await fullCollections(start, opened),
    fullCollections: await fullCollections(start, end),
    heap: heapUsed,
    checksum: `${views.length} ${filled.length}`,
  };
}

/** The least that can be asked for an array, and gives the same one each time. */
class Lazy {
  readonly #buffer: ArrayBufferLike;
  readonly #offset: number;
  readonly #length: number;
  #data: Float32Array | undefined;

  constructor(buffer: ArrayBufferLike, offset: number, length: number) {
    this.#buffer = buffer;
    this.#offset = offset;
    this.#length = length;
  }

  get data(): Float32Array {
    this.#data ??= new Float32Array(this.#buffer, this.#offset, this.#length);
    return this.#data;
  }
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
  collected: () => views(path, Number(argument), prepareData, true),
  'get-tensor': () => views(path, Number(argument), prepareTensors),
  both: () => views(path, Number(argument), prepareBoth),
  model: () => modelViews(path, Number(argument)),
  array: () => views(path, Number(argument), prepareArrays),
  objects: () => views(path, Number(argument), prepareObjects),
};
console.log(JSON.stringify(await tasks[task]()));
