import { type ChildProcessByStdio, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

type RunOptions = Pick<SpawnOptions, 'env' | 'uid' | 'gid'> & { timeoutMs?: number };

/** Runs a command without standard input, and keeps what it prints. */
export function runCommand(
  command: string,
  args: readonly string[],
  { env, timeoutMs = 110_000, ...user }: RunOptions = {},
): Promise<ChildResult> {
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(command, args, {
    ...(env && { env }),
    ...user,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/**
 * Runs `test/children/<name>.ts` in a process of its own, with the Node that runs the tests: for
 * whatever could crash or hang a process.
 */
export function runChild(
  name: string,
  args: readonly string[],
  {
    nodeFlags = [],
    timeoutMs,
    env,
  }: { nodeFlags?: readonly string[]; timeoutMs?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<ChildResult> {
  const options = {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(env && { env: { ...process.env, ...env } }),
  };
  return runCommand(...childCommand(name, args, nodeFlags), options);
}

/** What {@link runChild} runs. */
export function childCommand(
  name: string,
  args: readonly string[],
  nodeFlags: readonly string[] = [],
): [command: string, args: string[]] {
  const script = fileURLToPath(new URL(`../../out/test/children/${name}.js`, import.meta.url));
  return [process.execPath, [...nodeFlags, script, ...args]];
}

/** What a child that must end well printed as JSON. */
export async function childReport<T>(...call: Parameters<typeof runChild>): Promise<T> {
  const { code, signal, stdout, stderr } = await runChild(...call);
  if (code !== 0) throw new Error(`${call[0]} ended with ${signal ?? code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Starts a child that never ends by itself, and waits until it has printed that it begins. */
export async function beginningChild(
  name: string,
  args: readonly string[],
): Promise<ChildProcessByStdio<null, Readable, null>> {
  const child = spawn(...childCommand(name, args), { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close').then(([code]) => {
    throw new Error(`${name} ended with ${code} before it began`);
  });
  await Promise.race([once(child.stdout, 'data'), ended]);
  ended.catch(() => {});
  return child;
}
