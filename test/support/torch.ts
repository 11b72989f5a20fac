import { execFileSync } from 'node:child_process';
import type { TestContext } from 'vitest';
import { python } from './python.ts';

const HOW_TO_GET_IT = '.venv/bin/pip install torch==2.13.0';

function findTorch(): string | undefined {
  if (python.problem !== undefined) return python.problem;
  try {
    execFileSync(python.path, ['-c', 'import torch, safetensors.torch'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string };
    return (stderr?.toString().trim() || message).split('\n').at(-1);
  }
}

/** Why there is no PyTorch; `undefined` when there is. */
const problem = findTorch();

/** A test that says what is left out where there is no PyTorch; CI must have one. */
export function withoutTorch(what: string): (context: TestContext) => void {
  return ({ skip }) => {
    if (problem === undefined) return;
    if (process.env.CI) throw new Error(`no PyTorch: ${problem}. CI needs it: ${HOW_TO_GET_IT}`);
    console.warn(`LEFT OUT: ${what}. No PyTorch: ${problem}. ${HOW_TO_GET_IT}`);
    skip(`no PyTorch: ${problem}`);
  };
}
