/**
 * A process of its own for each measurement: `measure.js DRIVER PATH` prints one line of JSON, a
 * {@link Measurement}, and holds the model in memory until its standard input ends.
 */
import { once } from 'node:events';
import { type DriverName, drivers } from './drivers.ts';
import { type MemoryUse, memoryOf } from './memory-use.ts';

export interface Measurement {
  driver: DriverName;
  /** Milliseconds from the start, for this and the next three. */
  openMs: number;
  firstTensorMs: number;
  allViewsMs: number;
  everyByteMs: number;
  tensors: number;
  /** Bytes of all views. */
  bytes: number;
  /** Of every byte, in order: shows that the drivers have read the same. */
  checksum: string;
  /** Bytes; the peak, at the end of the work. */
  peakRss: number;
  /** At the end of the work, with everything held; `null` where the system does not tell. */
  memory: MemoryUse | null;
}

const [driver, path] = process.argv.slice(2);
if (!(driver in drivers) || path === undefined) {
  throw new Error(`usage: measure.js ${Object.keys(drivers).join('|')} PATH`);
}
const open = await drivers[driver as DriverName]();

const start = performance.now();
const elapsed = () => performance.now() - start;
const model = await open(path);
const openMs = elapsed();
const firstValues = model.view(model.names[0]).slice(0, 8);
const firstTensorMs = elapsed();
const views = model.names.map((name) => model.view(name));
const allViewsMs = elapsed();
const checksum = views.reduce(addToChecksum, 0);
const everyByteMs = elapsed();

const measurement: Measurement = {
  driver: driver as DriverName,
  openMs,
  firstTensorMs,
  allViewsMs,
  everyByteMs,
  tensors: views.length,
  bytes: views.reduce((bytes, view) => bytes + view.byteLength, 0),
  checksum: (checksum >>> 0).toString(16).padStart(8, '0'),
  peakRss: process.resourceUsage().maxRSS * 1024,
  memory: memoryOf(process.pid),
};
process.stdout.write(`${JSON.stringify(measurement)}\n`);

process.stdin.resume();
await once(process.stdin, 'end');
// Used after the wait, so that they cannot be collected before it.
if (views.length === 0 || firstValues.length === 0) throw new Error('the model has no values');

/** A rolling hash of the bits: unlike a sum, it depends on the order and loses nothing to NaN. */
function addToChecksum(checksum: number, view: Float32Array): number {
  const bits = new Uint32Array(view.buffer, view.byteOffset, view.length);
  let hash = checksum;
  for (let index = 0; index < bits.length; index++) {
    hash = (Math.imul(hash, 31) + bits[index]) | 0;
  }
  return hash;
}
