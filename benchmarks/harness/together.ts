import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { HoldResult } from '../drivers/results.ts';
import type { Child } from './child.ts';
import { NotMeasured } from './trial.ts';
import { atEnd } from './undo.ts';

export interface Together {
  /** Bytes: the proportional set sizes of all processes, together. */
  pss: number;
  checksums: string[];
}

/** Has so many processes of a driver do a task, and looks at their memory once all have done it. */
export async function measureTogether(
  child: Child,
  count: number,
  task: string,
  path: string,
): Promise<Together> {
  const holders = Array.from({ length: count }, () => start(child, task, path));
  try {
    const results = await Promise.all(holders.map(({ ready }) => ready));
    const pss = holders.reduce((sum, { pid }) => sum + pssOf(pid), 0);
    return { pss, checksums: results.map(({ checksum }) => checksum) };
  } finally {
    await Promise.all(holders.map(({ end }) => end()));
  }
}

function start({ name, program, prefix }: Child, task: string, path: string) {
  const holder = spawn(program, [...prefix, task, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(holder, 'close');
  const kill = atEnd(() => holder.kill('SIGKILL'));
  holder.stdin.on('error', () => {}); // it is gone already: `ready` tells
  const ready = (async (): Promise<HoldResult> => {
    for await (const line of createInterface(holder.stdout)) return JSON.parse(line) as HoldResult;
    throw new Error(`${name} failed: ${task} ${path}`);
  })();
  ready.catch(() => {}); // seen by whoever waits for all
  const end = async () => {
    holder.stdin.end();
    await exit;
    kill();
  };
  return { pid: holder.pid, ready, end };
}

/** @throws {NotMeasured} where the system does not tell */
function pssOf(pid: number | undefined): number {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch (error) {
    throw new NotMeasured(`no /proc/PID/smaps_rollup: ${(error as NodeJS.ErrnoException).code}`);
  }
  return 1024 * Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]);
}
