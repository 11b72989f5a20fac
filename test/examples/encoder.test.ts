import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/child.ts';
import { python, withoutPython } from '../support/python.ts';
import { temporaryFolder } from '../support/temporary.ts';

const example = fileURLToPath(new URL('../../examples/encoder', import.meta.url));

interface Report {
  tolerance: number;
  comparisons: {
    dtype: string;
    backend: string;
    output: string;
    count: number;
    largestDifference: number;
  }[];
}

describe('the encoder', () => {
  it('answers as numpy does, by each backend and from each dtype', async () => {
    const { code, stdout, stderr } = await runCommand(process.execPath, [
      join(example, 'out/main.js'),
      '--json',
    ]);
    expect(code, stderr).toBe(0);
    const { tolerance, comparisons }: Report = JSON.parse(stdout.slice(stdout.indexOf('{')));
    expect(tolerance).toBeLessThanOrEqual(1e-5);
    const seen = comparisons.map(({ dtype, backend, output, count }) =>
      [dtype, backend, output, count].join(' '),
    );
    const wanted = ['F32', 'BF16'].flatMap((dtype) =>
      ['ONNX Runtime', 'TensorFlow.js'].flatMap((backend) => [
        `${dtype} ${backend} last_hidden_state ${2 * 12 * 64}`,
        `${dtype} ${backend} sentence_embedding ${2 * 64}`,
      ]),
    );
    expect(seen).toEqual(wanted);
    for (const { largestDifference, ...which } of comparisons) {
      expect(largestDifference, JSON.stringify(which)).toBeLessThan(tolerance);
    }
    // What is compared differs from dtype to dtype, and from text to text.
    const reference = JSON.parse(readFileSync(join(example, 'reference.json'), 'utf8'));
    const [ours, other] = ['F32', 'BF16'].map((dtype) => reference[dtype].sentence_embedding);
    expect(distance(ours, other)).toBeGreaterThan(100 * tolerance);
    expect(distance(ours.slice(0, 64), ours.slice(64))).toBeGreaterThan(0.1);
  });

  it('has answers by numpy that its script still gives', async (context) => {
    withoutPython('the answers in examples/encoder/reference.json, made again')(context);
    const folder = temporaryFolder();
    const written = await runCommand(process.execPath, [
      join(example, 'out/main.js'),
      '--write',
      folder,
    ]);
    expect(written.code, written.stderr).toBe(0);
    const { code, stdout, stderr } = await runCommand(python.path, [
      join(example, 'reference.py'),
      folder,
    ]);
    expect(code, stderr).toBe(0);
    const again = JSON.parse(stdout);
    const reference = JSON.parse(readFileSync(join(example, 'reference.json'), 'utf8'));
    expect(Object.keys(again)).toEqual(Object.keys(reference));
    expect(again.input_ids).toEqual(reference.input_ids);
    expect(again.attention_mask).toEqual(reference.attention_mask);
    for (const dtype of ['F32', 'BF16']) {
      expect(again[dtype].sha256).toBe(reference[dtype].sha256);
      for (const output of ['last_hidden_state', 'sentence_embedding']) {
        expect(distance(again[dtype][output], reference[dtype][output])).toBeLessThan(1e-8);
      }
    }
  });
});

function distance(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, place) => Math.abs(value - b[place])));
}
