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
  return run('tsc', ['-p', folder]);
}

/** Runs the tests of a folder, and prints "NAME: N passed, M failed". */
export function runTests(name: string, folder: string): boolean {
  const scratch = mkdtempSync(join(tmpdir(), 'safetensors-mmap-'));
  try {
    const report = join(scratch, 'report.json');
    const config = ['--config', `${folder}/vitest.config.ts`];
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const passed = run('vitest', ['run', ...config, ...reporters, ...process.argv.slice(2)]);
    const counts: { numPassedTests: number; numFailedTests: number } = JSON.parse(
      readFileSync(report, 'utf8'),
    );
    console.log(`${name}: ${counts.numPassedTests} passed, ${counts.numFailedTests} failed`);
    return passed;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[]): boolean {
  const local = join(root, 'node_modules/.bin', command);
  return spawnSync(local, args, { cwd: root, stdio: 'inherit' }).status === 0;
}
