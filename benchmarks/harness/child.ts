import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { atEnd } from './undo.ts';

const run = promisify(execFile);

/** A driver: a program that measures one thing in a process of its own and prints it as JSON. */
export interface Child {
  name: string;
  program: string;
  /** Arguments before those of a task. */
  prefix: readonly string[];
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

/**
 * Runs every task once a round, one after the other, so that whatever else the machine does meets
 * them all alike. Result: for each task its result of every round.
 */
export async function interleave<Result>(
  rounds: number,
  tasks: readonly (() => Promise<Result>)[],
): Promise<Result[][]> {
  const results: Result[][] = tasks.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, task] of tasks.entries()) results[i].push(await task());
  }
  return results;
}

/** @throws unless all did the same work */
export function assertSameWork(what: string, checksums: readonly string[]): void {
  const [first] = checksums;
  const other = checksums.find((checksum) => checksum !== first);
  if (other !== undefined) throw new Error(`${what}: checksums differ: ${first}, ${other}`);
}
