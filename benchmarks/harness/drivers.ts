import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Child } from './child.ts';
import { NotMeasured } from './trial.ts';

/** The repository: drivers in Python are run from the source tree. */
export const ROOT = dirname(fileURLToPath(import.meta.resolve('safetensors-mmap/package.json')));

/** A kernel that reads and writes and computes nothing: benchmarks/native, `npm run build:bench`. */
export const MEMORY_BOUND = join(ROOT, 'benchmarks/native/build/Release/memory_bound.node');

const REFERENCE = join(ROOT, 'benchmarks', 'drivers', 'reference.py');
const REFERENCE_VERSION = '0.8.0';

function compiled(driver: string): string {
  return fileURLToPath(new URL(`../drivers/${driver}.js`, import.meta.url));
}

export function nodeDriver(driver: string, name: string, program = process.execPath): Child {
  return { name, program, prefix: [compiled(driver)] };
}

/** A Node for the trials that compare versions; named by its version. */
export function nodeOfVersion(program: string): Child {
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  return nodeDriver('views', `Node ${version}`, program);
}

/** A driver in Python, run by that of the reference. */
export function pythonDriver(reference: Child, driver: string): Child {
  return { ...reference, prefix: [join(ROOT, 'benchmarks', 'drivers', `${driver}.py`)] };
}

/** The Python of `SAFETENSORS_MMAP_PYTHON` or of `.venv`, if it has the reference. */
export function findReference(): Child | NotMeasured {
  const named = process.env.SAFETENSORS_MMAP_PYTHON;
  const program = named ?? join(ROOT, '.venv', 'bin', 'python');
  if (!existsSync(program)) {
    return new NotMeasured(
      named === undefined
        ? 'no Python: set SAFETENSORS_MMAP_PYTHON, or make .venv with safetensors in it'
        : `SAFETENSORS_MMAP_PYTHON: ${program} does not exist`,
    );
  }
  let version: string;
  try {
    version = execFileSync(program, [REFERENCE, 'version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return new NotMeasured(`${program} has no package safetensors`);
  }
  if (version !== REFERENCE_VERSION) {
    return new NotMeasured(`${program} has safetensors ${version}, not ${REFERENCE_VERSION}`);
  }
  return { name: `Python safetensors ${version}`, program, prefix: [REFERENCE] };
}
