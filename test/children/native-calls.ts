/**
 * Calls every function of the addon, as the package never would: arguments that fit but for one or two, of
 * which some have other kinds, other sizes, or memory that is gone. Prints how many calls there were of each, and how many
 * of them did what they were asked. What it must not do is end the process.
 */
import { closeSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Random } from '../fuzz/random.js';

type Call = (...args: unknown[]) => unknown;
type Handle = object;

/** What is needed of it here; nothing is typed that is called with anything. */
interface Addon {
  readonly kernelSets: readonly string[];
  readonly kernelFormats: readonly string[];
  openSync(...args: unknown[]): { handle: Handle };
  guard: Call;
  close: Call;
  hold: Call;
  reserve: Call;
  weakBuffer: Call;
  openDirect: Call;
  closeDirect: Call;
  startPageIn: Call;
}

const [path, roundsText, seedText] = process.argv.slice(2);
const library = new URL('../../../lib/native.js', import.meta.url);
const { native }: { native: () => Addon } = await import(library.href);
const addon = native();

const BYTES = 5 * 4096 + 100;
console.error(`seed ${seedText}`);
const random = new Random(Number(seedText));
const pick = <T>(values: readonly T[]): T => values[random.below(values.length)];

const SIZES = [0, 1, 2, 3, 4, 8, 16, 32, 100, 4096, BYTES - 1, BYTES, BYTES + 1, 2 ** 14];
const HOSTILE_NUMBERS = [
  ...[-1, -0, 0.5, 1e-300, 63, 64, 65, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1],
  ...[2 ** 52, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64, 1e300, -(2 ** 31), -(2 ** 53)],
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
];
const number = (): number => pick(random.once(3) ? HOSTILE_NUMBERS : SIZES);

function detached<T extends ArrayBufferView<ArrayBuffer>>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

const numbers = (length = random.below(9)): Float64Array => Float64Array.from({ length }, number);

/** Values of all kinds, made anew: some calls detach what they are given. */
const ANYTHING: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => random.once(2),
  number,
  () => BigInt(Math.trunc(Number.isFinite(number()) ? 7 : 0)),
  () =>
    pick(['', 'auto', 'mmap', 'read', path, '/', '/dev/null', '\0', '\ud800', 'x'.repeat(5000)]),
  () => Symbol('s'),
  () => () => 1,
  () => ({}),
  () => [],
  () => [null, {}, { path }, { path, offset: number(), byteLength: number(), prefix: 7 }],
  () => ({
    get path() {
      throw new Error('a getter');
    },
  }),
  () =>
    new Proxy([{}], {
      get: () => {
        throw new Error('a proxy');
      },
    }),
  () => new ArrayBuffer(pick(SIZES)),
  () => new Uint8Array(pick(SIZES)),
  () => new Uint8Array(new SharedArrayBuffer(pick(SIZES))),
  () => detached(new Uint8Array(100)),
  () => detached(new Float32Array(100)),
  () => detached(new Float64Array(4)),
  () => detached(new Int32Array(16)),
  () => new Float32Array(pick(SIZES)),
  () => new Float64Array(pick(SIZES)),
  () => numbers(),
  () => Int32Array.from({ length: random.below(40) }, () => number() | 0),
  () => new Int16Array(7),
  () => new DataView(new ArrayBuffer(16)),
  handle,
  () => closedHandle,
  () => addon.hold(handle()),
  () => addon.weakBuffer(new ArrayBuffer(8)),
  () => addon.startPageIn(handle(), Float64Array.of(0, 4096), 1),
];

function handle(): Handle {
  return pick(handles);
}

function opened(guarded: boolean): Handle {
  const { handle } = addon.openSync(path, new Uint8Array(8), 'mmap');
  addon.guard(handle, guarded);
  return handle;
}

/** One of them is of a file that was cut short since. */
function openAll(): Handle[] {
  const shorter = `${path}.cut`;
  writeFileSync(shorter, bytes(BYTES));
  const { handle } = addon.openSync(shorter, bytes(8), 'mmap');
  addon.guard(handle, true);
  truncateSync(shorter, 5000);
  return [opened(true), opened(false), handle];
}

const aligned = () => new Uint8Array(4096);
const bytes = (length: number) => new Uint8Array(length).fill(1);
const floats = (length: number) => new Float32Array(length).fill(1);
const format = (dtype: string) => addon.kernelFormats.indexOf(dtype);
const set = () => random.below(addon.kernelSets.length);
/** Runs of 4 bytes each, 8 apart. */
const runs = () => Float64Array.of(8, 4, 16, 8);
const names = () => [
  Buffer.from('abcd'),
  Int32Array.of(0, 1, 2),
  Int32Array.of(1, 2, 4),
  3,
  new Int32Array(16),
  Int32Array.of(1, 2),
];
/** Of shapes: none yet, or anything. */
const kept = () =>
  Int32Array.from({ length: 5 }, () => (random.once(8) ? random.below(2 ** 32) : 0));
/** Of tables: dtypes, begins, ends, where shapes start. */
const columns = (count: number) => [
  bytes(count),
  new Float64Array(count),
  new Float64Array(count),
  Int32Array.of(0, 4, 5).subarray(0, count),
];
const wanted = () => ({
  path,
  offset: 0,
  byteLength: BYTES,
  prefix: bytes(64),
  textStart: 8,
});

/** An array that closes a handle when its first element is asked for, now and then. */
function closing<T>(close: Call, handle: unknown, array: T[]): T[] {
  const [first] = array;
  const get = () => {
    close(handle);
    return first;
  };
  return random.once(8) ? Object.defineProperty(array, 0, { get }) : array;
}

function filesInto(): unknown[] {
  const range = addon.reserve(4096 * 20);
  return [range, closing(addon.close, range, [wanted()]), true];
}

function partsDirect(): unknown[] {
  const output = addon.openDirect(direct, directFile);
  return [output, 4096, closing(addon.closeDirect, output, [aligned(), aligned()])];
}

/** Arguments that fit. */
const CALLS: Record<string, () => unknown[]> = {
  open: () => [path, bytes(100), pick(['auto', 'mmap', 'read'])],
  openSync: () => [path, bytes(100), pick(['auto', 'mmap', 'read'])],
  look: () => [path],
  fileSizes: () => [[path, path]],
  reserve: () => [4096 * 20],
  openInto: filesInto,
  read: () => [readHandle, 0, bytes(100), random.once(2)],
  readSync: () => [readHandle, 0, bytes(100), random.once(2)],
  closeDescriptor: () => [opened(false)],
  close: () => [opened(true)],
  mapBuffer: () => [opened(true), 0, BYTES],
  allowsExternalBuffers: () => [],
  weakBuffer: () => [new ArrayBuffer(8)],
  derefBuffer: () => [addon.weakBuffer(new ArrayBuffer(8))],
  hold: () => [handle()],
  release: () => [addon.hold(handle())],
  guard: () => [addon.openSync(path, bytes(8), 'mmap').handle, random.once(2)],
  keepGuard: () => [],
  lostIn: () => [handle(), 0, BYTES],
  anyLost: () => [],
  lostAt: () => [bytes(8)],
  noteLost: () => [bytes(8)],
  startPageIn: () => [handle(), Float64Array.of(0, BYTES), 2],
  pageInBytes: () => [addon.startPageIn(handle(), Float64Array.of(0, BYTES), 1)],
  pageInFinished: () => [addon.startPageIn(handle(), Float64Array.of(0, BYTES), 1)],
  cancelPageIn: () => [addon.startPageIn(handle(), Float64Array.of(0, BYTES), 1)],
  residentBytes: () => [handle(), Float64Array.of(0, BYTES)],
  dropPages: () => [handle(), Float64Array.of(0, BYTES)],
  indexNames: names,
  indexNamesAsync: names,
  findNames: () => [...names(), ...names().slice(0, 4), new Int32Array(20)],
  takeUp: () => [
    ...[Buffer.from('2,3]]4]'), 3, Int32Array.of(1, -1, 0), 0, 100, ...columns(3)],
    ...[2, ...columns(2), new Int32Array(2), new Uint8Array(2), bytes(64), kept()],
  ],
  noteCopy: () => [handle(), new ArrayBuffer(8)],
  detach: () => [handle(), new ArrayBuffer(8)],
  gather: () => [random.once(2) ? handle() : bytes(200), runs(), bytes(64), 0, 64],
  gatherAsync: () => [handle(), runs(), bytes(64), 0, 64],
  // Descriptors that cannot be written to, but for one: nothing fills the disk.
  preallocate: () => [readOnly, 100],
  copyRange: () => [readOnly, 0, readOnly, 0, 100],
  openDirect: () => [direct, directFile],
  writeDirect: partsDirect,
  closeDirect: () => [addon.openDirect(direct, directFile)],
  decode: () => [set(), format('BF16'), bytes(64), floats(32), random.once(2)],
  decodeTiles: () => [
    ...[set(), format('F8_E4M3'), bytes(64), floats(4), floats(64), 8, 4, 4, random.once(2)],
  ],
  decodeMxfp4: () => [set(), bytes(64), bytes(4), floats(128), random.once(2)],
  encode: () => [set(), format('BF16'), floats(32), bytes(64), random.once(2)],
  preferHugePages: () => [floats(64)],
};
for (const name of ['decode', 'decodeTiles', 'decodeMxfp4', 'encode']) {
  CALLS[`${name}Async`] = CALLS[name];
}
/** Arguments that are descriptors: never one of Node's own, nor one that can be written to. */
const DESCRIPTORS: Record<string, readonly number[]> = {
  preallocate: [0],
  copyRange: [0, 2],
  openDirect: [1],
};
const NO_DESCRIPTORS = [-1, 0.5, 2 ** 31 - 1, 2 ** 31, 2 ** 53, Number.NaN, '0', undefined, null];

/**
 * What may refuse even arguments that fit: a descriptor that is for reading, and file systems that are not
 * written to past the page cache.
 */
const REFUSED = ['closeDirect', 'copyRange', 'preallocate', 'writeDirect'];

writeFileSync(path, bytes(BYTES));
const direct = `${path}.direct`;
const directFile = openSync(direct, 'w');
const readOnly = openSync(path, 'r');
const readHandle = addon.openSync(path, bytes(8), 'read').handle;
const closedHandle = opened(true);
addon.close(closedHandle);
let handles = openAll();

const isCall = (entry: [string, unknown]): entry is [string, Call] =>
  typeof entry[1] === 'function';
const functions = Object.entries(addon).filter(isCall);
const report: Record<string, { calls: number; done: number }> = {};
for (const [name, call] of functions) {
  const fitting = CALLS[name];
  if (fitting === undefined) throw new Error(`${name}: nothing to call it with`);
  const counts = { calls: 0, done: 0 };
  report[name] = counts;
  for (let round = 0; round < Number(roundsText); round++) {
    const args = fitting();
    // The first few times they fit.
    for (let changes = round < 4 ? 0 : 1 + random.below(2); changes > 0; changes--) {
      const at = random.below(args.length + 1);
      const is = args[at];
      if (DESCRIPTORS[name]?.includes(at)) args[at] = pick(NO_DESCRIPTORS);
      else if (typeof is === 'number' && !random.once(4)) args[at] = number();
      else if (is instanceof Float64Array && !random.once(4)) args[at] = numbers(is.length);
      else args[at] = pick(ANYTHING)();
    }
    counts.calls++;
    try {
      await call(...args);
      counts.done++;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
    if (name === 'close') handles = openAll();
    if (round % 50 === 0) await nextTurn();
  }
  if (counts.done === 0 && !REFUSED.includes(name)) throw new Error(`${name} has never been done`);
}
closeSync(readOnly);
closeSync(directFile);
console.log(JSON.stringify(report));
