import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ChildResult, runCommand } from './child.ts';

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

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
  return runCommand(command, args, { env: { ...inherited, ...env }, timeoutMs: 60_000 });
}
