import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
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
    timeoutMs = 60_000,
  }: { nodeFlags?: readonly string[]; timeoutMs?: number } = {},
): Promise<ChildResult> {
  const script = fileURLToPath(new URL(`../../out/test/children/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [...nodeFlags, script, ...args], {
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

/** What a child that must end well printed as JSON. */
export async function childReport<T>(...call: Parameters<typeof runChild>): Promise<T> {
  const { code, signal, stdout, stderr } = await runChild(...call);
  if (code !== 0) throw new Error(`${call[0]} ended with ${signal ?? code}: ${stderr}`);
  return JSON.parse(stdout);
}
