import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type DriverName, driverNames } from './drivers.ts';
import type { Measurement } from './measure.ts';
import { memoryOf } from './memory-use.ts';

const ROUNDS = 3;
/** Processes that have the model open at the same time: the workers of a small server. */
const TOGETHER = 4;
/** What the group that shares nothing needs, over the model's size. */
const ROOM_PER_PROCESS = 1.25;

/** Steps that {@link compareDrivers} reports. */
export const COMPARISON_STEPS = ROUNDS * driverNames.length + driverNames.length;

/** Medians over the rounds; the times in milliseconds, the rest in bytes. */
export interface Result {
  openMs: number;
  firstTensorMs: number;
  allViewsMs: number;
  everyByteMs: number;
  peakRss: number;
  /** `null` where the system does not tell. */
  pss: number | null;
  anonymous: number | null;
  /** Sum over all processes that have the model open together; `null` also if they had no room. */
  pssTogether: number | null;
}

export interface Comparison {
  rounds: number;
  processesTogether: number;
  tensors: number;
  bytes: number;
  checksum: string;
  results: Record<DriverName, Result>;
}

interface Options {
  signal: AbortSignal;
  onStep(): void;
}

/** Measures every driver in processes of its own, one after another, in turns. */
export async function compareDrivers(path: string, options: Options): Promise<Comparison> {
  const measurements: Measurement[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const driver of driverNames) {
      const { measurement, release } = await startDriver(driver, path, options.signal);
      await release();
      measurements.push(measurement);
      options.onStep();
    }
  }
  assertEqualWork(measurements);
  const [{ tensors, bytes, checksum }] = measurements;

  const results: Partial<Record<DriverName, Result>> = {};
  for (const driver of driverNames) {
    const own = measurements.filter((measurement) => measurement.driver === driver);
    const pssTogether = await measureTogether(driver, path, bytes, options.signal);
    results[driver] = { ...medians(own), pssTogether };
    options.onStep();
  }
  return {
    rounds: ROUNDS,
    processesTogether: TOGETHER,
    tensors,
    bytes,
    checksum,
    results: results as Record<DriverName, Result>,
  };
}

/** The memory of several processes that have read the whole model and hold it, all at once. */
async function measureTogether(
  driver: DriverName,
  path: string,
  bytes: number,
  signal: AbortSignal,
): Promise<number | null> {
  if (process.availableMemory() < TOGETHER * bytes * ROOM_PER_PROCESS) return null;
  const starts = Array.from({ length: TOGETHER }, () => startDriver(driver, path, signal));
  const settled = await Promise.allSettled(starts);
  const running = settled.flatMap((start) => (start.status === 'fulfilled' ? start.value : []));
  // Read from here, when the last one is ready: none of them knows when that is.
  const uses = running.map(({ pid }) => memoryOf(pid)?.pss ?? Number.NaN);
  await Promise.all(running.map(({ release }) => release()));
  // Rejects if one has failed, now that none is left behind.
  const group = await Promise.all(starts);
  assertEqualWork(group.map(({ measurement }) => measurement));
  const sum = uses.reduce((total, pss) => total + pss, 0);
  return Number.isNaN(sum) ? null : sum;
}

interface Running {
  measurement: Measurement;
  pid: number;
  /** Lets the process end. */
  release(): Promise<void>;
}

/** Resolves when the process has done its work; it holds what it has until it is released. */
async function startDriver(
  driver: DriverName,
  path: string,
  signal: AbortSignal,
): Promise<Running> {
  const script = fileURLToPath(new URL('measure.js', import.meta.url));
  const child = spawn(process.execPath, [script, driver, path], { signal });
  const exit = once(child, 'close');
  // Seen below, or by whoever releases; not an unhandled rejection in between.
  exit.catch(() => {});
  // The pipe breaks when the process is gone, which `exit` tells.
  child.stdin.on('error', () => {});
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { value: line, done } = await lines.next();
  if (done || child.pid === undefined) {
    const [code, killedBy] = await exit;
    throw new Error(`measuring ${driver} failed (${killedBy ?? code}): ${mainLine(complaint)}`);
  }
  return {
    measurement: JSON.parse(line) as Measurement,
    pid: child.pid,
    async release() {
      child.stdin.end();
      await exit;
    },
  };
}

/** Of what Node prints for an uncaught error, the error. */
function mainLine(complaint: string): string {
  const lines = complaint.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[0] ?? 'it said nothing';
}

/** A driver that reads less is no faster. */
function assertEqualWork(measurements: Measurement[]): void {
  const [first, ...others] = measurements.map(
    ({ tensors, bytes, checksum }) => `${tensors} tensors, ${bytes} bytes, checksum ${checksum}`,
  );
  const different = others.find((work) => work !== first);
  if (different) throw new Error(`not all have read the same: ${first}, but also ${different}`);
}

function medians(measurements: Measurement[]): Omit<Result, 'pssTogether'> {
  const of = (value: (measurement: Measurement) => number) => median(measurements.map(value));
  const known = measurements.every(({ memory }) => memory !== null);
  return {
    openMs: of(({ openMs }) => openMs),
    firstTensorMs: of(({ firstTensorMs }) => firstTensorMs),
    allViewsMs: of(({ allViewsMs }) => allViewsMs),
    everyByteMs: of(({ everyByteMs }) => everyByteMs),
    peakRss: of(({ peakRss }) => peakRss),
    pss: known ? of(({ memory }) => memory?.pss ?? 0) : null,
    anonymous: known ? of(({ memory }) => memory?.anonymous ?? 0) : null,
  };
}

/** Of an odd number of values. */
function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[(values.length - 1) / 2];
}
