// Compiles test/native/kernels_equal.cc with the kernels, and runs it: every set of kernels against the scalar
// one, those of this machine on it and NEON in an emulator. `npm run test:kernels`.
//
// For NEON on x86-64: a cross compiler and QEMU, in Debian `g++-aarch64-linux-gnu` and `qemu-user-static`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Target {
  name: string;
  compiler: string;
  flags: string[];
  /** Runs the program; none where this machine does. */
  emulators: string[];
}

const TARGETS: Target[] = [{ name: process.arch, compiler: 'g++', flags: [], emulators: [] }];
if (process.arch === 'x64' && process.platform === 'linux') {
  TARGETS.push({
    name: 'arm64, emulated',
    compiler: 'aarch64-linux-gnu-g++',
    flags: ['-static'],
    emulators: ['qemu-aarch64-static', 'qemu-aarch64'],
  });
}

const root = fileURLToPath(new URL('../../..', import.meta.url));
const kernels = join(root, 'native', 'kernels');
const work = mkdtempSync(join(tmpdir(), 'safetensors-mmap-kernels-'));
let passed = 0;
let failed = 0;

function exists(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** What of a target this machine does not have. */
function missing({ compiler, emulators }: Target): string | undefined {
  if (!exists(compiler)) return compiler;
  if (emulators.length > 0 && !emulators.some(exists)) return emulators.join(' or ');
  return undefined;
}

function run({ name, compiler, flags, emulators }: Target): string {
  const program = join(work, compiler);
  const sources = readdirSync(kernels).filter((file) => file.endsWith('.cc'));
  const args = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', ...flags];
  args.push('-I', join(root, 'native'), ...sources.map((file) => join(kernels, file)));
  args.push(join(root, 'test', 'native', 'kernels_equal.cc'), '-o', program);
  const compiled = spawnSync(compiler, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (compiled.status !== 0) throw new Error(`${name}: ${compiler} failed`);
  const emulator = emulators.find(exists);
  const command = emulator === undefined ? [program] : [emulator, program];
  const ran = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  if (ran.error) throw ran.error;
  if (ran.signal !== null) throw new Error(`${name}: ended by ${ran.signal}\n${ran.stdout}`);
  return ran.stdout;
}

for (const target of TARGETS) {
  console.log(`\n== ${target.name}`);
  const lacking = missing(target);
  if (lacking !== undefined) {
    console.log(`LEFT OUT: there is no ${lacking}`);
    continue;
  }
  try {
    const output = run(target);
    const counts = /^kernels: (\d+) passed, (\d+) failed$/m.exec(output);
    if (counts === null) throw new Error(`${target.name}: did not come to its end\n${output}`);
    console.log(output.replace(counts[0], '').trimEnd());
    passed += Number(counts[1]);
    failed += Number(counts[2]);
  } catch (error) {
    console.error(error);
    failed++;
  }
}
rmSync(work, { recursive: true });
console.log(`\nkernels: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
