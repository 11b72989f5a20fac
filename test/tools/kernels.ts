// Compiles test/native/kernels_equal.cc with the kernels, and runs it: every set of kernels against the scalar
// one: those of this machine on it, NEON in an emulator, AVX-512 with its instructions as portable code.
// `npm run test:kernels`.
//
// For NEON on x86-64: a cross compiler and QEMU, in Debian `g++-aarch64-linux-gnu` and `qemu-user-static`. For
// AVX-512: SIMDe, in Debian `libsimde-dev`.
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
  /** A file of the kernels that is compiled with headers of the tests in place of the compiler's. */
  emulated?: { source: string; headers: string; flags: string[]; needs: string };
}

const TARGETS: Target[] = [{ name: process.arch, compiler: 'g++', flags: [], emulators: [] }];
if (process.arch === 'x64') {
  TARGETS.push({
    name: 'AVX-512, emulated',
    compiler: 'g++',
    flags: ['-DSAFETENSORS_EMULATED_AVX512'],
    emulators: [],
    emulated: {
      source: 'decode_avx512.cc',
      headers: 'avx512',
      flags: ['-DSAFETENSORS_AVX512=', '-Wno-psabi'],
      needs: 'simde/x86/avx512.h',
    },
  });
}
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
const tests = join(root, 'test', 'native');
const work = mkdtempSync(join(tmpdir(), 'safetensors-mmap-kernels-'));
let passed = 0;
let failed = 0;

function exists(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

function hasHeader(compiler: string, header: string): boolean {
  const input = `#include <${header}>`;
  return spawnSync(compiler, ['-xc++', '-M', '-'], { input }).status === 0;
}

/** What of a target this machine does not have. */
function missing({ compiler, emulators, emulated }: Target): string | undefined {
  if (!exists(compiler)) return compiler;
  if (emulators.length > 0 && !emulators.some(exists)) return emulators.join(' or ');
  if (emulated && !hasHeader(compiler, emulated.needs)) return emulated.needs;
  return undefined;
}

function compile(name: string, compiler: string, args: readonly string[]): void {
  const compiled = spawnSync(compiler, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (compiled.status !== 0) throw new Error(`${name}: ${compiler} failed`);
}

function run({ name, compiler, flags, emulators, emulated }: Target): string {
  const program = join(work, name.replaceAll(/\W+/g, '-'));
  const sources = readdirSync(kernels)
    .filter((file) => file.endsWith('.cc') && file !== emulated?.source)
    .map((file) => join(kernels, file));
  const args = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-I', join(root, 'native')];
  if (emulated) {
    const object = `${program}.o`;
    const headers = ['-isystem', join(tests, emulated.headers)];
    const source = join(kernels, emulated.source);
    compile(name, compiler, [...args, ...emulated.flags, ...headers, '-c', source, '-o', object]);
    sources.push(object);
  }
  sources.push(join(tests, 'kernels_equal.cc'));
  compile(name, compiler, [...args, ...flags, ...sources, '-o', program]);
  const emulator = emulators.find(exists);
  const command = emulator === undefined ? [program] : [emulator, program];
  const ran = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  if (ran.error) throw ran.error;
  if (ran.signal !== null) throw new Error(`${name}: ended by ${ran.signal}\n${ran.stdout}`);
  return ran.stdout;
}

/** Instructions that kernels are for, and this machine does not run. */
function notRun(output: string): string | undefined {
  if (process.arch !== 'x64') return undefined;
  const sets = ['avx512', 'avx2'].filter((set) => !output.includes(`\n${set} `));
  return sets.length > 0 ? sets.join(', ') : undefined;
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
    const others = target === TARGETS[0] ? notRun(`\n${output}`) : undefined;
    if (others) console.log(`LEFT OUT: instructions that this processor does not have: ${others}`);
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
