import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CostResult } from '../drivers/results.ts';
import { HOSTILE_FILES, type HostileFile, spoil, writeHostileFile } from '../files/hostile.ts';
import { assertSameWork, measure, seriesOf, unlessMissing } from '../harness/child.ts';
import { type Comparison, compare, type Unit } from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

const NO_MORE_THAN = 1;
const MEGABYTE = 1e6;
/** Of what is beyond the target: seconds each, and most of the files. */
const FEW_ROUNDS = 1;

async function costs(
  setting: Setting,
  { id, name, inTarget }: HostileFile,
  state: 'valid' | 'invalid',
  path: string,
): Promise<Comparison[]> {
  const { ours, reference } = setting;
  const what = state === 'valid' ? name : `${name}, invalid at its end`;
  setting.progress(what);
  const results = await interleave(
    inTarget ? setting.rounds : FEW_ROUNDS,
    [ours, reference].map((child) =>
      unlessMissing(child, () => measure<CostResult>(child, 'cost', path)),
    ),
  );
  assertSameWork(
    what,
    results.flat().map(({ checksum }) => checksum),
  );
  const row = (figure: 'time' | 'memory', unit: Unit, scale: number) => {
    const [own, theirs] = results.map((costs) => costs.map((cost) => cost[figure] / scale));
    return compare(
      { id: `${id}-${state}-${figure}`, what: `${what}: ${figure}`, unit },
      own,
      seriesOf(reference, theirs),
      { ratio: 'cost', limit: inTarget ? NO_MORE_THAN : undefined },
    );
  };
  return [row('time', 'ms', 1), row('memory', 'MB', MEGABYTE)];
}

async function both(setting: Setting, file: HostileFile): Promise<Comparison[]> {
  const path = join(setting.folder, 'hostile.safetensors');
  try {
    const headerBytes = writeHostileFile(path, file);
    const valid = await costs(setting, file, 'valid', path);
    spoil(path, headerBytes);
    return [...valid, ...(await costs(setting, file, 'invalid', path))];
  } finally {
    rmSync(path, { force: true });
  }
}

export const hostile: Trial = {
  name: 'hostile',
  title: 'Hostile headers of 100 MB',
  explains: [
    'One open in a fresh process: its time, and its peak of resident memory over that before it.',
    'The grammar of each is right, so that the whole of it must be read; then its last byte is spoiled.',
    'With --quick only the first is measured, once.',
    'Rows without a target are other attacks, beyond the five that the target names.',
  ],
  run: async (setting) => {
    if (setting.tiny) throw new NotMeasured('its files have 100 MB');
    const files = setting.quick ? HOSTILE_FILES.slice(0, 1) : HOSTILE_FILES;
    const rows: Comparison[] = [];
    for (const file of files) rows.push(...(await both(setting, file)));
    return rows;
  },
};
