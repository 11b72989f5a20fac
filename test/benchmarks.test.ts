import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { safeOpenSync } from 'safetensors-mmap';
import { describe, expect, it } from 'vitest';
import { sizeOf, writeWeights } from '../benchmarks/files/weights.ts';
import { makeCold, makeWarm } from '../benchmarks/harness/cold.ts';
import { assertSpace, setReadAhead } from '../benchmarks/harness/disk.ts';
import { FIGURES } from '../benchmarks/harness/figures.ts';
import { allFigures, headlines, withFigures } from '../benchmarks/harness/publish.ts';
import type { Results } from '../benchmarks/harness/results.ts';
import { NotMeasured } from '../benchmarks/harness/trial.ts';
import { TRIALS } from '../benchmarks/trials/all.ts';
import { runCommand } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const main = fileURLToPath(new URL('../out/benchmarks/main.js', import.meta.url));
const output = join(folder, 'bench.json');
/** Under each Node in turn; `npm test` runs them all. */
const fewer = process.env.SAFETENSORS_MMAP_FEWER_ROUNDS !== undefined;
const isLinux = process.platform === 'linux';
if (!isLinux) console.warn('benchmarks: cold files are left out: evicting them needs Linux');

function emptyFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

describe('the suite, on the smallest inputs', () => {
  it('runs every trial, and draws what it found', async () => {
    const files = emptyFolder('files');
    const names = fewer ? ['touch', 'scattered', 'loop', 'gc'] : TRIALS.map(({ name }) => name);
    const filters = names.flatMap((name) => ['--filter', name]);
    const args = [main, '--tiny', '--folder', files, '--output', output, ...filters];
    const ran = await runCommand(process.execPath, args, { timeoutMs: 280_000 });
    expect(ran.code, ran.stderr).toBe(0);
    expect(readdirSync(files)).toEqual([]);

    const { machine, results } = JSON.parse(readFileSync(output, 'utf8')) as Results;
    expect(machine.node).toBe(process.version);
    expect(results.map(({ trial }) => trial)).toEqual(names);
    for (const { trial, rows } of results) {
      expect(rows.length, trial).toBeGreaterThan(0);
      for (const { what, ours, verdict, note } of rows) {
        if (verdict === 'not measured') expect(note, what).toMatch(/^not measured: ./);
        else if (ours !== undefined) expect(ours.median, what).toBeGreaterThanOrEqual(0);
      }
    }

    const charts = join(folder, 'charts');
    const drawn = await runCommand(process.execPath, [
      main,
      '--charts',
      charts,
      '--output',
      output,
    ]);
    expect(drawn.code, drawn.stderr).toBe(0);
    const drawings = results.flatMap((result) => result.charts.map(({ name }) => `${name}.svg`));
    expect(readdirSync(charts).toSorted()).toEqual(drawings.toSorted());
    for (const name of drawings) expect(readFileSync(join(charts, name), 'utf8')).toMatch(/^<svg /);
  }, 300_000);

  it.each([
    [
      'docs/benchmarks.md',
      allFigures,
      /^\| … pauses of all collections \| [\d.]+ ms \| [\d.]+ ms, /m,
    ],
    ['README.md', headlines, /^\| a view of a tensor \(`tensor\.data`\) \| [\d.]+ ns \| /m],
  ])('puts what it found into %s', (name, figures, row) => {
    const results = JSON.parse(readFileSync(output, 'utf8')) as Results;
    const page = readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
    const written = withFigures(page, figures(results));
    expect(written).toMatch(row);
    // Nothing but what is between the marks has changed, and that is written again.
    expect(withFigures(written, figures(results))).toBe(written);
    const around = (text: string) => text.replace(/(?<=<!-- figures).*(?=<!-- end)/s, '');
    expect(around(written)).toBe(around(page));
  });

  it('has figures of trials that there are', () => {
    const trials = new Set(TRIALS.map(({ name }) => name));
    const unknown = FIGURES.flatMap(([, rows]) => rows.filter(({ trial }) => !trials.has(trial)));
    expect(unknown).toEqual([]);
  });

  it('keeps the results of trials that are not measured again', async () => {
    const before = JSON.parse(readFileSync(output, 'utf8')) as Results;
    const args = [main, '--tiny', '--folder', folder, '--output', output, '--filter', 'loop'];
    expect((await runCommand(process.execPath, args)).code).toBe(0);
    const after = JSON.parse(readFileSync(output, 'utf8')) as Results;
    const names = ({ results }: Results) => results.map(({ trial }) => trial).toSorted();
    expect(names(after)).toEqual(names(before));
    const when = ({ results }: Results, name: string) =>
      results.find(({ trial }) => trial === name)?.at;
    expect(when(after, 'loop')).not.toBe(when(before, 'loop'));
    expect(when(after, 'gc')).toBe(when(before, 'gc'));
  }, 120_000);

  it('leaves no file when it is interrupted', async () => {
    const files = emptyFolder('interrupted');
    const args = [main, '--quick', '--folder', files, '--output', output, '--filter', 'touch'];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const exit = once(child, 'close');
    const written = () => readdirSync(files, { recursive: true }).length > 1;
    while (!written() && child.exitCode === null) await setTimeout(10);
    child.kill('SIGINT');
    expect(await exit).toEqual([130, null]);
    expect(readdirSync(files)).toEqual([]);
  }, 60_000);
});

describe('what the figures rest on', () => {
  const weights = { tensors: 4, tensorBytes: 2 ** 20 };

  it('weights with their number at the beginning of each', () => {
    using file = safeOpenSync(writeWeights(folder, { tensors: 600, tensorBytes: 12_288 }));
    expect(file.size).toBe(600);
    for (const [i, name] of file.offsetKeys().entries()) {
      const { bytes } = file.getTensor(name);
      expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)).toBe(i);
    }
    expect(sizeOf({ tensors: 119, tensorBytes: 2 ** 24 })).toBe('2.0 GB');
  });

  it.runIf(isLinux)('a file is cold, or the run fails', async () => {
    const path = writeWeights(folder, weights);
    await makeWarm(path);
    await makeCold(path);
    using file = safeOpenSync(path);
    // Opening it has read its header, and what the kernel reads with that.
    expect((await file.residency()).residentBytes).toBeLessThan(2 ** 19);
    // A page that somebody has mapped cannot be evicted.
    expect(file.getTensor('t000002').bytes[0]).toBe(2);
    await expect(makeCold(path)).rejects.toThrow(/is not cold: \d+ bytes of it stay in memory/);
  });

  it('a disk with too little room is told before anything is written', async () => {
    const error = await thrownBy(() => assertSpace(folder, 2 ** 60));
    expect(error).toBeInstanceOf(NotMeasured);
    expect(error.message).toMatch(/has [\d.]+ GB free, [\d.]+ are needed/);
  });

  it('a read-ahead is set back', async () => {
    const path = join(folder, 'read_ahead_kb');
    writeFileSync(path, '8192\n');
    const restore = setReadAhead({ path, kilobytes: 8192 }, 128);
    expect(readFileSync(path, 'utf8')).toBe('128');
    restore();
    expect(readFileSync(path, 'utf8')).toBe('8192');
    const missing = { path: join(folder, 'none'), kilobytes: 8192 };
    expect(await thrownBy(() => setReadAhead(missing, 128))).toBeInstanceOf(NotMeasured);
  });
});
