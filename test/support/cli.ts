import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ChildResult, runCommand } from './child.ts';

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

const POLL_MS = 5;
/** More than a command takes to open its files. */
const OPENING_MS = 3000;

/** Runs the built command line, without colour settings but those given, its output in pipes. */
export function runCli(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ChildResult> {
  return run(process.execPath, [MAIN, ...args], env);
}

/** Runs it in a shell, as `"$@"` of the script. */
export function runCliInShell(script: string, args: readonly string[]): Promise<ChildResult> {
  return run('bash', ['-c', script, 'bash', process.execPath, MAIN, ...args], {});
}

/** Runs it in a terminal of that many columns; both of its outputs are in `stdout`. */
export function runCliInTerminal(
  columns: number,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<ChildResult> {
  const command = [process.execPath, MAIN, ...args].map(quoteForShell).join(' ');
  const script = `stty cols ${columns}; exec ${command}`;
  return run('script', ['-qec', script, '/dev/null'], { TERM: 'xterm', SHELL: '/bin/sh', ...env });
}

/** Why {@link runCliInTerminal} cannot work here. */
export function whyNoTerminal(): string | undefined {
  try {
    const version = execFileSync('script', ['--version'], { encoding: 'utf8', stdio: 'pipe' });
    return version.includes('util-linux') ? undefined : `script is ${version.trim()}`;
  } catch {
    return 'there is no script of util-linux to run it in a terminal with';
  }
}

function quoteForShell(argument: string): string {
  return `'${argument.replaceAll("'", "'\\''")}'`;
}

function run(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<ChildResult> {
  const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env;
  return runCommand(command, args, { env: { ...inherited, ...env }, timeoutMs: 110_000 });
}

/**
 * Runs it until `ready` says so, and then sends it a signal, or does something else to it. Fails when
 * it ends before.
 *
 * @param ready Asked every few milliseconds.
 */
export async function interruptCli(
  args: readonly string[],
  interrupt: NodeJS.Signals | (() => void),
  ready: (pid: number) => boolean,
): Promise<ChildResult> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      output[stream] += text;
    });
  }
  const closed = once(child, 'close');
  let hasEnded = false;
  closed.then(() => {
    hasEnded = true;
  });
  while (!ready(child.pid ?? 0)) {
    if (hasEnded) throw new Error(`it ended before it was interrupted: ${output.stderr}`);
    await setTimeout(POLL_MS);
  }
  if (typeof interrupt === 'string') child.kill(interrupt);
  else interrupt();
  const [code, endedBy] = await closed;
  return { code, signal: endedBy, ...output };
}

/** Whether a process has a file open; where that cannot be known, whether it had the time to. */
export function hasOpen(path: string): (pid: number) => boolean {
  const started = performance.now();
  return (pid) => {
    if (!existsSync('/proc/self/fd')) return performance.now() - started > OPENING_MS;
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
      } catch {
        return false;
      }
    });
  };
}
