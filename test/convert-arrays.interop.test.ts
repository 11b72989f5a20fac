import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { type ConvertedFile, convertCheckpoint } from '../src/convert/index.ts';
import { safeOpenSync } from '../src/index.ts';
import { python, runPython, runSeed, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';

interface Case {
  name: string;
  file: string;
  expected: string;
}

const folder = temporaryFolder();

/** Converts what a script has written, and has Python compare it; the files by name. */
async function convertAll(kind: 'numpy' | 'gguf'): Promise<Map<string, ConvertedFile>> {
  const cases: Case[] = JSON.parse(runPython('make_arrays.py', folder, `${runSeed()}`, kind));
  const converted: { name: string; expected: string; converted: string }[] = [];
  const files = new Map<string, ConvertedFile>();
  for (const { name, file, expected } of cases) {
    const output = `${file}.safetensors`;
    const conversion = await convertCheckpoint(file, output, { fsync: false });
    expect(conversion.files.length, name).toBe(1);
    files.set(name, conversion.files[0]);
    converted.push({ name, expected, converted: output });
  }
  const list = join(folder, 'converted.json');
  writeFileSync(list, JSON.stringify(converted));
  const results: Record<string, number | string> = JSON.parse(runPython('compare_arrays.py', list));
  expect(Object.keys(results).sort()).toEqual(cases.map(({ name }) => name).sort());
  const wrong = Object.entries(results).filter(([, result]) => !(Number(result) > 0));
  expect(wrong).toEqual([]);
  return files;
}

describe('arrays that numpy writes', () => {
  beforeEach(withoutPython('conversions against numpy'));

  it('are what they were, bit for bit, whatever their files are called', {
    timeout: 300_000,
  }, async () => {
    const files = await convertAll('numpy');
    expect(files.size).toBeGreaterThan(150);
    const { tensors = [] } = files.get('compressed') ?? {};
    expect(tensors.length).toBeGreaterThan(350);
    expect(new Set(tensors.map(({ dtype }) => dtype)).size).toBe(13);
  });
});

const GGUF = 'gguf==0.19.0';
const HOW_TO_GET_IT = `.venv/bin/pip install ${GGUF}`;

/** A test that says what is left out where there is no package gguf; CI must have one. */
function withoutGguf({ skip }: TestContext): void {
  let problem = python.problem;
  try {
    if (problem === undefined) execFileSync(python.path, ['-c', 'import gguf'], { stdio: 'pipe' });
  } catch (error) {
    problem = `${error}`.trim().split('\n').at(-1);
  }
  if (problem === undefined) return;
  const message = `no ${GGUF}: ${problem}. ${HOW_TO_GET_IT}`;
  if (process.env.CI) throw new Error(message);
  console.warn(`LEFT OUT: conversions against the package gguf. ${message}`);
  skip(message);
}

describe('GGUF files that the package gguf writes', () => {
  beforeEach(withoutGguf);

  it('are what they were, bit for bit', { timeout: 300_000 }, async () => {
    const files = await convertAll('gguf');
    expect(files.size).toBe(16);
    for (const { output, others } of files.values()) {
      expect(others).toEqual([
        { path: 'tokenizer.ggml.tokens', value: 'array of 3000 strings' },
        { path: 'llama.nested', value: 'array of 2 arrays' },
        { path: 'llama.floats', value: 'array of 7 × float32' },
      ]);
      expect(safeOpenSync(output).metadata).toMatchObject({
        format: 'gguf',
        'gguf.general.architecture': 'llama',
        'gguf.general.name': 'a name with ∞',
        'gguf.llama.context_length': '4096',
        'gguf.llama.rope.freq_base': `${Math.fround(0.1)}`,
        'gguf.llama.f64': '1e+300',
        'gguf.llama.u64': `${2n ** 64n - 1n}`,
        'gguf.llama.i64': `${-(2n ** 63n)}`,
        'gguf.llama.i8': '-1',
        'gguf.llama.yes': 'true',
      });
    }
  });
});
