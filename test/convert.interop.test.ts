import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../src/convert/index.ts';
import { thrownBy } from './support/errors.ts';
import { runPython, runSeed } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';
import { withoutTorch } from './support/torch.ts';

interface Convertible {
  name: string;
  file: string;
  expected: string;
  key: string | null;
}

interface Refused {
  name: string;
  file: string;
  code: string;
  says: string;
}

type Case = Convertible | Refused;

const folder = temporaryFolder();

describe('checkpoints that PyTorch writes', () => {
  beforeEach(withoutTorch('conversions against PyTorch'));

  it('are what they were, bit for bit, or refused by name', { timeout: 600_000 }, async () => {
    const all: Case[] = JSON.parse(runPython('make_checkpoints.py', folder, `${runSeed()}`));
    const cases = all.filter((one) => 'expected' in one);
    expect(cases.length).toBeGreaterThan(50);
    await areRefused(all.filter((one) => 'code' in one));
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

async function areRefused(cases: readonly Refused[]): Promise<void> {
  expect(cases.length).toBeGreaterThan(100);
  const found: { name: string; code: string; says: string }[] = [];
  for (const { name, file, says } of cases) {
    const error = await thrownBy(() => convertCheckpoint(file, `${file}.safetensors`));
    const isNamed = error.message.includes(says);
    found.push({ name, code: `${error.code}`, says: isNamed ? says : error.message });
  }
  const expected = cases.map(({ name, code, says }) => ({
    name,
    code: `ERR_SAFETENSORS_${code}`,
    says,
  }));
  expect(found).toEqual(expected);
}
