/**
 * Tests of the adapters against the real libraries: installs those of test/backends (they are large, and
 * `npm ci` of the package itself leaves them alone), then runs its tests. What to run may be named:
 * `npm run test:backends -- onnxruntime`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = join(root, 'test/backends');

function install(): void {
  const installed = join(folder, 'node_modules/.package-lock.json');
  const wanted = join(folder, 'package-lock.json');
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(wanted).mtimeMs) {
    execFileSync('npm', ['ci'], { cwd: folder, stdio: 'inherit' });
  }
  // As a dependency of theirs: tests and programs import the package by its name, from what was built.
  const link = join(folder, 'node_modules/safetensors-mmap');
  rmSync(link, { force: true });
  symlinkSync(root, link);
}

function run(command: string, args: readonly string[]): boolean {
  const local = join(root, 'node_modules/.bin', command);
  return spawnSync(local, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

const scratch = mkdtempSync(join(tmpdir(), 'safetensors-mmap-'));
try {
  install();
  rmSync(join(folder, 'out'), { recursive: true, force: true });
  if (!run('tsc', ['-p', 'test/backends'])) process.exitCode = 1;
  const report = join(scratch, 'report.json');
  const config = ['--config', 'test/backends/vitest.config.ts'];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  if (!run('vitest', ['run', ...config, ...reporters, ...process.argv.slice(2)])) {
    process.exitCode = 1;
  }
  const counts: { numPassedTests: number; numFailedTests: number } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  console.log(`backends: ${counts.numPassedTests} passed, ${counts.numFailedTests} failed`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
