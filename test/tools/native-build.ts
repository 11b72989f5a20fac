// Compiles core/ and kernels/ with the programs of test/native/checks: without Node, and therefore with any
// compiler and any sanitizer.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
const checks = join(root, 'test', 'native', 'checks');

export interface NativeProgram {
  /** Of the folder under out/native that it is built in. */
  name: string;
  compiler: string;
  /** For compiling and linking. */
  sanitizers: string;
  /** For linking alone; as `sanitizers` when there are none. */
  linkWith?: string;
  /** Files of test/native/checks that it leaves out. */
  without: readonly string[];
}

/** The files that the addon is made of, but for its bindings. */
function coreSources(): string[] {
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
  const found = gyp.match(/(?<=")native\/(?:core|kernels)\/\w+\.cc(?=")/g) ?? [];
  if (found.length === 0) throw new Error('binding.gyp names no file of native/core');
  return found.map((file) => join(root, file));
}

function filesUnder(folder: string, ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file));
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Rejects when the command fails. */
export function run(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ${args.at(-1)} ended with ${signal ?? code}`));
    });
  });
}

/** One command for each job, on all cores. */
export async function runAll<T>(jobs: readonly T[], start: (job: T) => Promise<void>) {
  const waiting = [...jobs];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await start(next);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/** What must hold of all of them is undefined behaviour that ends the process. */
const FLAGS = '-std=c++20 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all';
// ThreadSanitizer of GCC does not know fences, and says so.
const WARNINGS = '-Wall -Wextra -Werror -Wno-error=tsan -Wno-unknown-warning-option';

/** Builds what is older than its sources; the program's path. */
export async function buildProgram(program: NativeProgram): Promise<string> {
  const { name, compiler, sanitizers, linkWith = sanitizers, without } = program;
  const folder = join(root, 'out', 'native', name);
  mkdirSync(folder, { recursive: true });
  const headers = [...filesUnder(join(root, 'native'), '.h'), ...filesUnder(checks, '.h')];
  const newestHeader = Math.max(...headers.map(modified));
  const sources = [
    ...coreSources(),
    ...filesUnder(checks, '.cc').filter((file) => !without.includes(basename(file))),
  ];
  const flags = [...`${FLAGS} ${WARNINGS}`.split(' '), `-fsanitize=${sanitizers}`];
  const includes = [`-I${join(root, 'native')}`, `-I${checks}`];
  const objects = sources.map((file) => join(folder, `${basename(file)}.o`));
  const waiting = sources.flatMap((file, i) => {
    const built = modified(objects[i]);
    const fresh = built > modified(file) && built > newestHeader;
    return fresh ? [] : [{ file, object: objects[i] }];
  });
  await runAll(waiting, ({ file, object }) =>
    run(compiler, [...flags, ...includes, '-o', object, '-c', file]),
  );
  const path = join(folder, 'program');
  await run(compiler, [`-fsanitize=${linkWith}`, ...objects, '-lpthread', '-o', path]);
  return path;
}

/** The first command that is there. */
export function findCommand(...names: readonly string[]): string | undefined {
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}
