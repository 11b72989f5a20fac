// Compiles and links the addon for macOS with the headers and the linker that zig brings, where no Mac is:
// `npm run test:macos`. What it makes is not run.
//
// zig is the Python package `ziglang` of SAFETENSORS_MMAP_PYTHON, or a program on the path.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { root, run, runAll } from './native-build.ts';

/** The oldest macOS of binding.gyp. */
const TARGETS = ['aarch64-macos.11.0', 'x86_64-macos.11.0'];
/** What a 64-bit Mach-O file begins with. */
const MACH_O = 0xfeedfacf;

function findZig(): string[] | undefined {
  const python = process.env.SAFETENSORS_MMAP_PYTHON;
  const known = [...(python === undefined ? [] : [[python, '-m', 'ziglang']]), ['zig']];
  return known.find(([program, ...args]) => spawnSync(program, [...args, 'version']).status === 0);
}

const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
const sources = gyp.match(/(?<=")native\/[\w/]+\.cc(?=")/g) ?? [];
if (sources.length === 0) throw new Error('binding.gyp names no source');

/** As binding.gyp has them. */
function compilerArguments(): string[] {
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
  ];
}

async function compiles(zig: readonly string[], target: string, into: string): Promise<boolean> {
  const folder = join(into, target);
  mkdirSync(folder);
  const addon = join(folder, 'addon.node');
  const [program, ...args] = [...zig, 'c++', '-target', target];
  const options = compilerArguments();
  const objects = sources.map((source) => join(folder, `${basename(source)}.o`));
  try {
    await runAll(
      sources.map((source, i) => ['-c', source, '-o', objects[i]]),
      (job) => run(program, [...args, ...options, ...job]),
    );
    // Without the C++ library, which is the system's there, and which zig would build first, for two minutes.
    const linking = ['-shared', '-nostdlib++', '-Wl,-undefined,dynamic_lookup'];
    await run(program, [...args, ...linking, ...objects, '-o', addon]);
    return readFileSync(addon).readUInt32LE() === MACH_O;
  } catch (error) {
    console.error(error);
    return false;
  }
}

const zig = findZig();
if (zig === undefined) {
  console.log('LEFT OUT: there is no zig: python3 -m pip install ziglang');
} else {
  const folder = mkdtempSync(join(tmpdir(), 'safetensors-mmap-macos-'));
  let passed = 0;
  for (const target of TARGETS) if (await compiles(zig, target, folder)) passed++;
  rmSync(folder, { recursive: true });
  console.log(`macos: ${passed} passed, ${TARGETS.length - passed} failed`);
  process.exitCode = passed === TARGETS.length ? 0 : 1;
}
