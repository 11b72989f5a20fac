import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Installs what a folder's package.json and lock file say, where that has not been done yet, and compiles
 * the folder. Its programs import this package by its name, from what was built.
 */
export function installAndCompile(folder: string): boolean {
  const path = join(root, folder);
  const installed = join(path, 'node_modules/.package-lock.json');
  const wanted = join(path, 'package-lock.json');
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(wanted).mtimeMs) {
    execFileSync('npm', ['ci'], { cwd: path, stdio: 'inherit' });
  }
  const link = join(path, 'node_modules/safetensors-mmap');
  rmSync(link, { force: true });
  symlinkSync(root, link);
  rmSync(join(path, 'out'), { recursive: true, force: true });
  return compile(folder);
}

/** Compiles a folder, or checks its types, as its own tsconfig.json says; whether nothing is wrong. */
export function compile(folder: string): boolean {
  return run('tsc', ['-p', folder]);
}

/** How tests are run, where not all of a folder, by the Node that runs this. */
export interface HowToRun {
  /** Files, or parts of their names; all that the command line has not left out by default. */
  files?: readonly string[];
  node?: string;
}

export interface Counts {
  passed: number;
  failed: number;
}

/** Runs the tests of a folder. */
export function runTests(
  folder: string,
  { files = process.argv.slice(2), node = process.execPath }: HowToRun = {},
): Counts {
  const scratch = mkdtempSync(join(tmpdir(), 'safetensors-mmap-'));
  try {
    const report = join(scratch, 'report.json');
    const config = ['--config', `${folder}/vitest.config.ts`];
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', ...config, ...reporters, ...files];
    const { status } = spawnSync(node, args, { cwd: root, stdio: 'inherit' });
    const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    // A file that does not load, or an error outside any test.
    return { passed, failed: status === 0 ? failed : Math.max(failed, 1) };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Prints "NAME: N passed, M failed", which .ci/run adds up, and says so to who runs this. */
export function report(name: string, compiled: boolean, runs: readonly Counts[]): void {
  const sum = (of: keyof Counts) => runs.reduce((all, counts) => all + counts[of], 0);
  console.log(`${name}: ${sum('passed')} passed, ${sum('failed')} failed`);
  if (!compiled || sum('failed') > 0) process.exitCode = 1;
}

function run(command: string, args: readonly string[]): boolean {
  const local = join(root, 'node_modules/.bin', command);
  return spawnSync(local, args, { cwd: root, stdio: 'inherit' }).status === 0;
}
