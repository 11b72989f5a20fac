import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CostResult } from '../drivers/results.ts';
import { HOSTILE_FILES, type HostileFile, spoil, writeHostileFile } from '../files/hostile.ts';
import { assertSameWork, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, notMeasured } from '../harness/compare.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

const NO_MORE_THAN = 1;
const MEGABYTE = 1e6;

async function costs(setting: Setting, what: string, path: string, judged: boolean) {
  const { ours, reference } = setting;
  const children = reference instanceof NotMeasured ? [ours] : [ours, reference];
  setting.progress(what);
  const results = await interleave(
    setting.quick ? 1 : setting.rounds,
    children.map((child) => () => measure<CostResult>(child, 'cost', path)),
  );
  assertSameWork(
    what,
    results.flat().map(({ checksum }) => checksum),
  );
  const [times, memories] = (['time', 'memory'] as const).map((figure) =>
    results.map((ofChild) =>
      ofChild.map((cost) => (figure === 'time' ? cost.time : cost.memory / MEGABYTE)),
    ),
  );
  if (reference instanceof NotMeasured) {
    const target = `≤ ${NO_MORE_THAN}× the cost`;
    return [
      atMost(`${what}: time`, 'ms', times[0]),
      atMost(`${what}: memory`, 'MB', memories[0]),
      ...(judged ? [notMeasured(what, target, reference.message)] : []),
    ];
  }
  const limits = { ratio: 'cost' as const, ...(judged ? { limit: NO_MORE_THAN } : {}) };
  const { name } = reference;
  return [
    compare(`${what}: time`, 'ms', times[0], { name, samples: times[1] }, limits),
    compare(`${what}: memory`, 'MB', memories[0], { name, samples: memories[1] }, limits),
  ];
}

async function both(setting: Setting, file: HostileFile): Promise<Comparison[]> {
  const path = join(setting.folder, 'hostile.safetensors');
  try {
    const headerBytes = writeHostileFile(path, file);
    const valid = await costs(setting, file.name, path, file.inTarget);
    spoil(path, headerBytes);
    return [
      ...valid,
      ...(await costs(setting, `${file.name}, invalid at its end`, path, file.inTarget)),
    ];
  } finally {
    rmSync(path, { force: true });
  }
}

export const hostile: Trial = {
  name: 'hostile',
  title: 'Hostile headers of 100 MB',
  explains: [
    'One open in a fresh process: its time, and its peak of resident memory over that before it.',
    'Every file is valid, so that the whole of it must be read; then its last byte is spoiled.',
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
