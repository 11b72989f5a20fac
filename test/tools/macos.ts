// Compiles and links the addon for macOS with the headers and the linker that zig brings, where no Mac is:
// `npm run test:macos`. What it makes is not run.
//
// zig is the Python package `ziglang` of SAFETENSORS_MMAP_PYTHON, or a program on the path.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './native-build.ts';

/** The oldest macOS of binding.gyp. */
const TARGETS = ['aarch64-macos.11.0', 'x86_64-macos.11.0'];
/** What a 64-bit Mach-O file begins with. */
const MACH_O = 0xfeedfacf;

function findZig(): string[] | undefined {
  const python = process.env.SAFETENSORS_MMAP_PYTHON;
  const known = [...(python === undefined ? [] : [[python, '-m', 'ziglang']]), ['zig']];
  return known.find(([program, ...args]) => spawnSync(program, [...args, 'version']).status === 0);
}

/** As binding.gyp has them. */
function compilerArguments(): string[] {
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
  const sources = gyp.match(/(?<=")native\/[\w/]+\.cc(?=")/g) ?? [];
  const [defines] = gyp.match(/(?<="defines": \[)[^\]]*/) ?? [''];
  const ask = (question: string) =>
    execFileSync(process.execPath, ['native/gyp.cjs', question], { cwd: root, encoding: 'utf8' });
  // Where node-gyp found the headers of Node, which `npm run build` has written down.
  const config = readFileSync(join(root, 'build', 'config.gypi'), 'utf8');
  const [nodeFolder] = config.match(/(?<="nodedir": ")[^"]+/) ?? [''];
  const includes = [ask('include').trim(), join(nodeFolder, 'include', 'node')];
  return [
    // Quickly: only whether it compiles is asked. Zig itself would add a sanitizer to that.
    ...['-std=c++20', '-O0', '-fno-sanitize=undefined', '-fno-exceptions', '-fno-rtti'],
    ...ask('warnings').trim().split(' '),
    ...(defines.match(/(?<=")\w+(=\w+)?(?=")/g) ?? []).map((define) => `-D${define}`),
    '-Inative',
    ...includes.flatMap((folder) => ['-isystem', folder]),
    ...['-shared', '-Wl,-undefined,dynamic_lookup'],
    ...sources,
  ];
}

function compiles(zig: readonly string[], target: string, folder: string): boolean {
  const addon = join(folder, `${target}.node`);
  const [program, ...args] = [...zig, 'c++', '-target', target, ...compilerArguments()];
  const { status } = spawnSync(program, [...args, '-o', addon], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0 && readFileSync(addon).readUInt32LE() === MACH_O;
}

const zig = findZig();
if (zig === undefined) {
  console.log('LEFT OUT: there is no zig: python3 -m pip install ziglang');
} else {
  const folder = mkdtempSync(join(tmpdir(), 'safetensors-mmap-macos-'));
  const passed = TARGETS.filter((target) => compiles(zig, target, folder)).length;
  rmSync(folder, { recursive: true });
  console.log(`macos: ${passed} passed, ${TARGETS.length - passed} failed`);
  process.exitCode = passed === TARGETS.length ? 0 : 1;
}
