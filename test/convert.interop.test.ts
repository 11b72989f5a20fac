import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../src/convert/index.ts';
import { runPython, runSeed } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';
import { withoutTorch } from './support/torch.ts';

interface Case {
  name: string;
  file: string;
  expected: string;
  key: string | null;
}

const folder = temporaryFolder();

describe('checkpoints that PyTorch writes', () => {
  beforeEach(withoutTorch('conversions against PyTorch'));

  it('are what they were, bit for bit', { timeout: 300_000 }, async () => {
    const cases: Case[] = JSON.parse(runPython('make_checkpoints.py', folder, `${runSeed()}`));
    expect(cases.length).toBeGreaterThan(50);
    const converted: { name: string; expected: string; converted: string }[] = [];
    for (const { name, file, expected, key } of cases) {
      const output = `${file}.safetensors`;
      const options = key === null ? { fsync: false } : { key, fsync: false };
      const { files } = await convertCheckpoint(file, output, options);
      expect(files.length, name).toBe(1);
      converted.push({ name, expected, converted: output });
    }
    const list = join(folder, 'converted.json');
    writeFileSync(list, JSON.stringify(converted));
    const results: Record<string, number | string> = JSON.parse(
      runPython('compare_converted.py', list),
    );
    expect(Object.keys(results).sort()).toEqual(cases.map(({ name }) => name).sort());
    const wrong = Object.entries(results).filter(([, result]) => !(Number(result) > 0));
    expect(wrong).toEqual([]);
  });
});
