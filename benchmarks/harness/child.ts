import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Series } from './compare.ts';
import { atEnd } from './undo.ts';

const run = promisify(execFile);

/** A driver: a program that measures one thing in a process of its own and prints it as JSON. */
export interface Child {
  name: string;
  program: string;
  /** Arguments before those of a task. */
  prefix: readonly string[];
  /** Why this machine does not have it: then it is shown as missing, and never run. */
  missing?: string;
}

/** A task of a driver that is run again and again; none where the driver is missing. */
export type Task<Result> = (() => Promise<Result>) | undefined;

/** What a driver does, unless it is missing. */
export function unlessMissing<Result>(child: Child, run: () => Promise<Result>): Task<Result> {
  return child.missing === undefined ? run : undefined;
}

/** What was measured of a driver, by its name. */
export function seriesOf({ name, missing }: Child, samples: readonly number[]): Series {
  return missing === undefined ? { name, samples } : { name, samples, missing };
}

/**
 * Runs a task of a driver in a fresh process; resolves to the object that it printed.
 * @throws when the driver fails
 */
export async function measure<Result>(
  { name, program, prefix }: Child,
  task: string,
  ...args: readonly (string | number)[]
): Promise<Result> {
  const all = [...prefix, task, ...args.map(String)];
  const running = run(program, all, { maxBuffer: 2 ** 26 });
  const kill = atEnd(() => running.child.kill('SIGKILL'));
  try {
    const { stdout } = await running;
    return JSON.parse(stdout) as Result;
  } catch (cause) {
    throw new Error(`${name} failed: ${program} ${all.join(' ')}`, { cause });
  } finally {
    kill();
  }
}

/** @throws unless all did the same work */
export function assertSameWork(what: string, checksums: readonly string[]): void {
  const [first] = checksums;
  const other = checksums.find((checksum) => checksum !== first);
  if (other !== undefined) throw new Error(`${what}: checksums differ: ${first}, ${other}`);
}
