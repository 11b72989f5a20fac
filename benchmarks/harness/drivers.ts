import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Child } from './child.ts';
import type { NodeChild } from './trial.ts';

/** The repository: drivers in Python are run from the source tree. */
export const ROOT = dirname(fileURLToPath(import.meta.resolve('safetensors-mmap/package.json')));

const NATIVE = join(ROOT, 'benchmarks/native/build/Release');

/** A kernel that reads and writes and computes nothing: benchmarks/native, `npm run build:bench`. */
export const MEMORY_BOUND = join(NATIVE, 'memory_bound.node');
/** What takes memory, from the same place. */
export const TAKE_MEMORY = join(NATIVE, 'take_memory.node');

const REFERENCE = join(ROOT, 'benchmarks', 'drivers', 'reference.py');
const REFERENCE_VERSION = '0.8.0';

/** What says nothing for so long is no Node. */
const VERSION_MS = 10_000;

function compiled(driver: string): string {
  return fileURLToPath(new URL(`../drivers/${driver}.js`, import.meta.url));
}

export function nodeDriver(driver: string, name: string, program = process.execPath): Child {
  return { name, program, prefix: [compiled(driver)] };
}

/** What a Node says that it is; an error in one line of what is none. */
export function nodeVersion(program: string): string {
  const { error, stdout, status, signal } = spawnSync(program, ['--version'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: VERSION_MS,
  });
  if (error) throw new Error(`it does not run: ${(error as NodeJS.ErrnoException).code}`);
  if (status !== 0) throw new Error(`its --version ended with ${signal ?? status}`);
  const version = stdout.trim();
  if (/^v\d+\.\d+\.\d+\S*$/.test(version)) return version;
  throw new Error(`no Node: its --version is ${JSON.stringify(version.slice(0, 80))}`);
}

/** Nodes for the trials that compare versions, one of each kind, named by its version. */
export function findNodes(programs: readonly string[]): NodeChild[] {
  const nodes = programs.map((program): NodeChild => {
    const version = nodeVersion(program);
    const kind = /^v20\./.test(version) ? 'node20' : 'node22';
    return { ...nodeDriver('views', `Node ${version}`, program), kind };
  });
  return (['node20', 'node22'] as const).map((kind) => {
    const [node, ...others] = nodes.filter((one) => one.kind === kind);
    if (others.length > 0) throw new Error(`--node: ${others[0].name} beside ${node.name}`);
    const name = kind === 'node20' ? 'Node 20' : 'Node 22 or later';
    const missing = `no ${name}: --node PATH`;
    return node ?? { ...nodeDriver('views', name), kind, missing };
  });
}

/** A driver in Python, run by that of the reference. */
export function pythonDriver(reference: Child, driver: string): Child {
  return { ...reference, prefix: [join(ROOT, 'benchmarks', 'drivers', `${driver}.py`)] };
}

/** The Python of `SAFETENSORS_MMAP_PYTHON` or of `.venv`, if it has the reference; else one that is missing. */
export function findReference(): Child {
  const named = process.env.SAFETENSORS_MMAP_PYTHON;
  const program = named ?? join(ROOT, '.venv', 'bin', 'python');
  const child = {
    name: `Python safetensors ${REFERENCE_VERSION}`,
    program,
    prefix: [REFERENCE],
  };
  if (!existsSync(program)) {
    const missing =
      named === undefined
        ? 'no Python: set SAFETENSORS_MMAP_PYTHON, or make .venv with safetensors in it'
        : `SAFETENSORS_MMAP_PYTHON: ${program} does not exist`;
    return { ...child, missing };
  }
  const version = pythonVersionOf(child, 'safetensors');
  if (version === REFERENCE_VERSION) return child;
  const found = version === null ? 'has no package safetensors' : `has safetensors ${version}`;
  return { ...child, missing: `${program} ${found}, ${REFERENCE_VERSION} is needed` };
}

/** `torch` of the Python of the reference, or why it is not to be had; it runs `drivers/<driver>.py`. */
export function findTorch(reference: Child, driver: string): Child {
  const child = { ...pythonDriver(reference, driver), name: 'torch' };
  if (reference.missing !== undefined) return child;
  const version = pythonVersionOf(reference, 'torch');
  if (version === null) return { ...child, missing: 'the Python of the reference has no torch' };
  return { ...child, name: `torch ${version}` };
}

/** Of a package that a Python has; `null` where it has none. Whatever else goes wrong is thrown. */
function pythonVersionOf({ program }: Child, name: string): string | null {
  const script = join(ROOT, 'benchmarks', 'drivers', 'version_of.py');
  return JSON.parse(execFileSync(program, [script, name], { encoding: 'utf8' })) as string | null;
}

/** Of a package of npm that is installed for this suite, as the package says. */
export function npmVersionOf(name: string): string {
  const path = join(ROOT, 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
