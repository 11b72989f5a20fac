/**
 * Cuts a mapped file short, again and again, and touches a view of it in the way it is told; prints how
 * check() and a call that reads ended. Without the fault guard the first lost page ends the process.
 */
import { truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { safeOpenSync, serialize } from 'safetensors-mmap';
import { Outcomes } from './support/outcomes.js';

const [path, way, roundsText, guard = 'on'] = process.argv.slice(2);

const PAGE = 4096;
const ELEMENTS = 2 ** 16;
const content = serialize(
  {
    x: { dtype: 'F32', shape: [ELEMENTS], data: new Float32Array(ELEMENTS).fill(1) },
    y: { dtype: 'F32', shape: [ELEMENTS], data: new Float32Array(ELEMENTS).fill(2) },
  },
  { alignment: PAGE },
);
/** `y` comes last, which is behind the header and `x`. */
const END_OF_X = content.length - 4 * ELEMENTS;

/** Seconds since 1970. */
const MODIFIED = 1_000_000_000;

/** The elements of a view: as in the file up to a page, zeros from there on. */
function checkCut(values: Float32Array, fileLength: number): void {
  const kept = values.indexOf(0);
  const end = kept < 0 ? values.length : kept;
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== (i < end ? 2 : 0)) throw new Error(`element ${i} is ${values[i]}`);
  }
  const bytes = fileLength - END_OF_X;
  const from = Math.ceil(Math.max(bytes, 0) / PAGE) * PAGE;
  // Of the page that is cut, the system itself makes the rest zeros.
  if (4 * end < Math.min(bytes, from) - 4 || 4 * end > from) {
    throw new Error(`zeros from byte ${4 * end} on, the file ends at ${bytes}`);
  }
}

/** Ways to touch all of a view in JavaScript; they return what they have read. */
const views: Record<string, (values: Float32Array) => Float32Array | undefined> = {
  interpreted: element,
  optimised: element,
  backwards: (values) => {
    const copy = new Float32Array(values.length);
    for (let i = values.length - 1; i >= 0; i--) copy[i] = values[i];
    return copy;
  },
  slice: (values) => values.slice(),
  set: (values) => {
    const copy = new Float32Array(values.length);
    copy.set(values);
    return copy;
  },
  buffer: (values) => {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    const copy = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(copy);
    return new Float32Array(copy.buffer);
  },
  concat: (values) => {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    return new Float32Array(new Uint8Array(Buffer.concat([bytes])).buffer);
  },
  // A write to a page that is lost is as bad as a read. (Each makes a copy of its page.)
  write: (values) => {
    for (let i = 1; i < values.length; i += PAGE / 4) values[i] = 2;
    return undefined;
  },
};

function element(values: Float32Array): Float32Array {
  const copy = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) copy[i] = values[i];
  return copy;
}

/** V8 itself says that it has optimised a function. Needs --allow-natives-syntax. */
function optimise(): void {
  const small = new Float32Array(1000);
  const isOptimised = new Function('f', 'return (%GetOptimizationStatus(f) & 16) !== 0');
  const begin = performance.now();
  while (!isOptimised(element)) {
    if (performance.now() - begin > 20_000) throw new Error('not optimised');
    element(small);
  }
}

function writeWhole(): void {
  writeFileSync(path, content);
  utimesSync(path, MODIFIED, MODIFIED);
}

const outcomes = new Outcomes();
if (way === 'optimised') optimise();
for (let round = 0; round < Number(roundsText); round++) {
  writeWhole();
  const file = safeOpenSync(path, { faultGuard: guard === 'on' });
  const values = file.getTensor('y').data as Float32Array;
  // At least one whole page is lost, of `y`.
  const length = Math.floor(Math.random() * (content.length - PAGE - 1));
  truncateSync(path, length);
  const read = views[way](values);
  if (read !== undefined) checkCut(read, length);
  // What was lost stays lost, also when the file is as it was.
  writeWhole();
  await outcomes.note(() => file.check());
  await outcomes.note(() => void file.getTensor('y').toFloat32());
  file.close();
  if (round % 100 === 0) await nextTurn();
}
outcomes.print();
