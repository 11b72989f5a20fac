import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished, type TestContext } from 'vitest';

const REQUIREMENTS = ['safetensors==0.8.0', 'numpy', 'ml_dtypes', 'huggingface_hub'];
const HOW_TO_GET_IT =
  `python3 -m venv .venv && .venv/bin/pip install ${REQUIREMENTS.join(' ')}` +
  ' (or name another Python in SAFETENSORS_MMAP_PYTHON)';

const PROBE = `
import safetensors, numpy, ml_dtypes, huggingface_hub
assert safetensors.__version__ == "0.8.0", "safetensors is " + safetensors.__version__`;

export interface Python {
  path: string;
  /** Why it cannot be used; `undefined` when it can. */
  problem?: string;
}

function findPython(): Python {
  const inRepository = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
  const path = process.env.SAFETENSORS_MMAP_PYTHON || inRepository;
  if (!existsSync(path)) return { path, problem: `there is no ${path}` };
  try {
    execFileSync(path, ['-c', PROBE], { stdio: 'pipe' });
    return { path };
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string };
    const lines = (stderr?.toString().trim() || message).split('\n');
    return { path, problem: `${path}: ${lines.at(-1)}` };
  }
}

/** What the live tests run with: see {@link withoutPython}. */
export const python = findPython();

/** Runs a script of test/interop; what it prints. */
export function runPython(script: string, ...args: string[]): string {
  const path = fileURLToPath(new URL(`../interop/${script}`, import.meta.url));
  return execFileSync(python.path, [path, ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

/** What the reference says of each file of a folder, in the order of their names. */
export function readByReference<T extends { ok: boolean }>(folder: string): T[] {
  const lines = runPython('read_all.py', folder).trim().split('\n');
  return lines.map((line) => {
    const { metadata, ...verdict } = JSON.parse(line);
    return metadata ? { ...verdict, metadata: Object.fromEntries(metadata) } : verdict;
  });
}

/** A seed of this run's own; printed when the test fails, and taken from the environment again. */
export function runSeed(): number {
  const seed = Number(process.env.SAFETENSORS_MMAP_INTEROP_SEED ?? Date.now() % 2 ** 31);
  onTestFinished(({ task }) => {
    if (task.result?.state === 'fail') console.error(`SAFETENSORS_MMAP_INTEROP_SEED=${seed}`);
  });
  return seed;
}

/** A test that says what is left out where there is no Python; CI must have one. */
export function withoutPython(what: string): (context: TestContext) => void {
  return ({ skip }) => {
    if (python.problem === undefined) return;
    const message = `no Python with ${REQUIREMENTS.join(', ')}: ${python.problem}`;
    if (process.env.CI) throw new Error(`${message}. CI needs it: ${HOW_TO_GET_IT}`);
    console.warn(`LEFT OUT: ${what}. ${message}. ${HOW_TO_GET_IT}`);
    skip(message);
  };
}
