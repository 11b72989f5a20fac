import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { safeOpenSync } from 'safetensors-mmap';
import { describe, expect, it } from 'vitest';
import { sizeOf, writeWeights } from '../benchmarks/files/weights.ts';
import { WholeFile } from '../benchmarks/harness/addon.ts';
import { makeCold, makeWarm } from '../benchmarks/harness/cold.ts';
import { compare, never } from '../benchmarks/harness/compare.ts';
import { assertSpace, setReadAhead } from '../benchmarks/harness/disk.ts';
import { svgOf } from '../benchmarks/harness/draw.ts';
import { FIGURES } from '../benchmarks/harness/figures.ts';
import { interleave } from '../benchmarks/harness/interleave.ts';
import type { Machine } from '../benchmarks/harness/machine.ts';
import { allFigures, headlines } from '../benchmarks/harness/markdown.ts';
import { assertComplete, assertFull, withFigures } from '../benchmarks/harness/publish.ts';
import { returnsFreeMemory } from '../benchmarks/harness/ready-memory.ts';
import { mergeResults, type Results, readResults } from '../benchmarks/harness/results.ts';
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

/** What a machine need not have; the crate is never compiled here, and hostile files have 100 MB. */
const MAY_BE_MISSING = new RegExp(
  `^not measured: (${[
    'no Python: ',
    'the Python of the reference has no torch',
    'not compiled for tests$',
    'its files have 100 MB$',
    'no Node (20|22 or later): --node PATH$',
    'evicting a file needs Linux$',
    'the kernel that it is held against needs x86-64$',
    'no /proc/PID/smaps_rollup: ENOENT$',
    'fio is not installed$',
    'tests leave the read-ahead of the disk as it is; no Python: ',
  ].join('|')})`,
);

function emptyFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

it('results of other trials are kept, each with its machine', () => {
  const path = join(emptyFolder('written'), 'bench.json');
  const measured = (reference: string, at: string, ...trials: string[]): Results => ({
    results: trials.map((trial) => {
      return { trial, at, machine: { reference } as Machine } as Results['results'][number];
    }),
  });
  mergeResults(path, measured('first', '2026-01-01', 'a', 'b'));
  mergeResults(path, measured('second', '2026-01-02', 'b', 'c'));
  // What lay in out/ for long takes the place of nothing that was measured since.
  const all = mergeResults(path, measured('first', '2026-01-01', 'a', 'b'));
  expect(all.results.map(({ trial, machine }) => [trial, machine.reference])).toEqual([
    ['a', 'first'],
    ['b', 'second'],
    ['c', 'second'],
  ]);
  expect(readResults(path)).toEqual(all);
  // Of a suite that did not say what a trial ran on.
  writeFileSync(path, JSON.stringify({ machine: {}, results: [{ trial: 'a' }] }));
  expect(mergeResults(path, measured('third', '2026-01-03', 'b')).results).toHaveLength(1);
});

describe('the suite, on the smallest inputs', () => {
  it('runs every trial, and draws what it found', async () => {
    const files = emptyFolder('files');
    const names = fewer ? ['touch', 'scattered', 'loop', 'gc'] : TRIALS.map(({ name }) => name);
    const filters = names.flatMap((name) => ['--filter', name]);
    const args = [main, '--tiny', '--folder', files, '--output', output, ...filters];
    if (names.includes('decode')) {
      const built = await runCommand('npm', ['run', 'build:bench'], { timeoutMs: 120_000 });
      expect(built.code, built.stderr).toBe(0);
    }
    const ran = await runCommand(process.execPath, args, { timeoutMs: 880_000 });
    expect(ran.code, ran.stderr).toBe(0);
    expect(readdirSync(files)).toEqual([]);

    const reasons = new Set<string>();
    const { results } = JSON.parse(readFileSync(output, 'utf8')) as Results;
    for (const { machine } of results) expect(machine.node).toBe(process.version);
    expect(results.map(({ trial }) => trial)).toEqual(names);
    for (const { trial, rows } of results) {
      expect(rows.length, trial).toBeGreaterThan(0);
      expect(new Set(rows.map(({ id }) => id)).size, trial).toBe(rows.length);
      for (const { what, ours, rounds, verdict, note } of rows) {
        if (verdict === 'not measured') reasons.add(`${note}`);
        else if (ours !== undefined) {
          expect(ours.median, what).toBeGreaterThanOrEqual(0);
          expect(rounds, what).toBeGreaterThan(0);
        }
      }
    }
    for (const reason of reasons) console.log(`benchmarks: ${reason}`);
    expect([...reasons].filter((reason) => !MAY_BE_MISSING.test(reason))).toEqual([]);

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
  }, 900_000);

  it.each([
    [
      'docs/benchmarks.md',
      allFigures,
      /^\| … pauses of all collections \| [\d.]+ ms \| [\d.]+ ms, /m,
    ],
    [
      'README.md',
      headlines,
      /^\| a view \(`tensor\.data`\), GPT-2's 160 tensors \| [\d.,]+ ns \| /m,
    ],
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

  it('publishes no figures of a quick look', async () => {
    const results = JSON.parse(readFileSync(output, 'utf8')) as Results;
    expect((await thrownBy(() => assertFull(results))).message).toMatch(/--quick or --tiny/);
    for (const option of ['--publish', '--readme']) {
      const args = [main, '--tiny', option, '--output', output];
      const ran = await runCommand(process.execPath, args);
      expect(ran.code).not.toBe(0);
      expect(ran.stderr).toMatch(/^error: .*--quick or --tiny.*$/m);
      expect(ran.stderr).not.toContain(' at ');
    }
  });

  it.each(['--readme', '--charts'])(
    'says where it looked for results in vain: %s',
    async (option) => {
      const args = [main, option, '--output', join(folder, 'none.json')];
      const ran = await runCommand(process.execPath, args);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(/^error: ENOENT: .*none\.json'$/m);
      expect(ran.stderr).not.toContain(' at ');
    },
  );

  it.each([
    ['--node', '/nonexistent', 'it does not run: ENOENT'],
    ['--node', '/', 'it does not run: EACCES'],
    ['--node', '/bin/echo', /^no Node: its --version is "/],
    ['--node', '/bin/false', 'its --version ended with 1'],
    ['--filter', 'nope', 'no trial is called so'],
    ['--rounds', '0', 'not a number over 0'],
  ])('says in one line what is wrong with %s %s', async (option, value, why) => {
    const files = emptyFolder(`wrong${option}${value.replaceAll('/', '-')}`);
    const args = [main, '--tiny', '--folder', files, '--output', output, option, value];
    const { code, stdout, stderr } = await runCommand(process.execPath, args);
    expect([code, stdout]).toEqual([1, '']);
    const line = /^error: option '(--\w+) <\w+>' argument '(.*)' is invalid\. (.*)\n$/.exec(stderr);
    expect(line?.slice(1, 3), stderr).toEqual([option, value]);
    expect(line?.[3]).toMatch(why);
    expect(readdirSync(files)).toEqual([]);
  });

  it('keeps the results of trials that are not measured again', async () => {
    const before = JSON.parse(readFileSync(output, 'utf8')) as Results;
    const args = [main, '--tiny', '--folder', folder, '--output', output, '--filter', 'loop'];
    expect((await runCommand(process.execPath, args, { timeoutMs: 120_000 })).code).toBe(0);
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

describe('what is published', () => {
  const machine = { node: 'v20', system: 'Linux', readAheadKb: 128 } as Machine;
  const MISSING = 'no such thing';

  /** Results with one row for each figure, of which none could be compared, or all were. */
  function resultsOf(missing: string | undefined, samples: number[]): Results {
    const all = FIGURES.flatMap(([, rows]) => rows);
    const trials = new Set(all.map(({ trial }) => trial));
    const peer = missing === undefined ? { samples: [2, 2] } : { samples: [], missing };
    return {
      results: Array.from(trials, (trial) => ({
        trial,
        machine,
        run: '2026-01-02T03:04:05.678Z',
        at: '2026-01-02T03:04:06.678Z',
        seconds: 1,
        quick: false,
        ceiling: 'not measured',
        charts: [],
        rows: all
          .filter((figure) => figure.trial === trial)
          .map(({ id }) =>
            compare(
              { id, what: id, unit: 'ms' },
              samples,
              { name: 'Peer 1.2.3', ...peer },
              {
                ratio: 'faster',
                limit: 3,
              },
            ),
          ),
      })),
    };
  }

  it('a peer that is missing is shown as missing, beside what there is of ours', () => {
    const page = allFigures(resultsOf(MISSING, [1, 1]));
    const rows = page.split('\n').filter((line) => / ms \| /.test(line));
    expect(rows).toHaveLength(FIGURES.flatMap(([, figures]) => figures).length);
    for (const row of rows) {
      expect(row).toMatch(
        / \| 1 ms \| missing, not measured: no such thing \| ≥ 3× faster: not measured \|$/,
      );
    }
    expect(headlines(resultsOf(MISSING, [1, 1]))).toMatch(
      /\| missing, not measured: no such thing \|/,
    );
  });

  it('says why a target is missed where one is, and nowhere else', () => {
    const [missed, met] = [
      [1, 1],
      [0.5, 0.5],
    ].map((ours) => allFigures(resultsOf(undefined, ours)));
    expect(missed).toMatch(
      /^- Missed \(.*Node 20: buffers of 4 GiB\): Node 20 has no buffer over 4 GiB/m,
    );
    expect(missed).toMatch(/^Peers: Peer 1\.2\.3\.$/m);
    expect(met).not.toMatch(/Missed|missed/);
  });

  it('says of how many rounds a row is, and of which run', () => {
    const results = resultsOf(undefined, [1, 1]);
    const [touch, ...others] = results.results;
    const [row] = touch.rows;
    const other = compare(row, [1], { name: 'a peer', samples: [4] }, { ratio: 'faster' });
    const later = {
      ...touch,
      run: '2026-02-02T03:04:05.678Z',
      rows: [other, ...touch.rows.slice(1)],
    };
    const page = allFigures({ results: [later, ...others] });
    expect(page).toMatch(/^Medians of 2 rounds/);
    expect(page).toMatch(/ \(1 round\) \| 1 ms \| 4 ms, 4× \|/);
    expect(page).toContain(`\`${touch.trial}\` in one run, of 2026-02-02 03:04 UTC`);
    expect(page.match(/^Medians.*Node v20.*in one run.*in one run/m)).not.toBe(null);
    expect(allFigures(results)).toContain('All in one run, of 2026-01-02 03:04 UTC');
    const elsewhere = { ...later, machine: { ...machine, node: 'v24' } };
    const both = allFigures({ results: [elsewhere, ...others] });
    expect(both).toMatch(new RegExp(`^Node v24.* \`${touch.trial}\` in one run`, 'm'));
    expect(both).toMatch(new RegExp(`^Node v20.* \`${others[0].trial}\`.* in one run`, 'm'));
  });

  it('nothing, where a figure has no row', async () => {
    const results = resultsOf(undefined, [1, 1]);
    assertComplete(results);
    results.results[0].rows.shift();
    expect((await thrownBy(() => assertComplete(results))).message).toMatch(
      /^nothing was measured for\n[\w-]+: [\w-]+$/,
    );
  });

  it('a chart with spreads, and with who is missing', async () => {
    const points = [
      { name: 'ours', x: 1, rounds: 2, median: 2, min: 1, max: 3 },
      { name: 'ours', x: 10, rounds: 2, median: 2, min: 1, max: 3 },
      { name: 'a peer', x: 1, rounds: 0, missing: MISSING },
    ];
    for (const kind of ['bars', 'lines', 'groups'] as const) {
      const svg = await svgOf({ name: 'chart', title: 'Chart', unit: 'ms', kind, points }, [
        `not measured: a peer: ${MISSING}`,
      ]);
      expect(svg, kind).toContain(`not measured: a peer: ${MISSING}`);
      expect(svg, kind).toMatch(/aria-roledescription="rule mark"/);
      if (kind === 'bars') expect(svg).toContain('>missing<');
    }
  });
});

describe('what the figures rest on', () => {
  it('tasks take turns in another order each round, all of them in each', async () => {
    const seen: number[] = [];
    const tasks = Array.from({ length: 6 }, (_, i) => async () => seen.push(i));
    const results = await interleave(4, [...tasks, undefined]);
    expect(results.map(({ length }) => length)).toEqual([4, 4, 4, 4, 4, 4, 0]);
    const rounds = [0, 1, 2, 3].map((round) => seen.slice(6 * round, 6 * (round + 1)));
    for (const round of rounds) expect(round.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(new Set(rounds.map(String)).size).toBe(4);
  });

  it('a machine returns free memory if it has a balloon that reports it', () => {
    const devices = emptyFolder('devices');
    const write = (name: string, device: string, features: string) => {
      mkdirSync(join(devices, name));
      writeFileSync(join(devices, name, 'device'), `${device}\n`);
      writeFileSync(join(devices, name, 'features'), `${features.padEnd(64, '0')}\n`);
    };
    expect(returnsFreeMemory(join(devices, 'none'))).toBe(false);
    write('disk', '0x0002', '111111');
    write('balloon', '0x0005', '111110');
    expect(returnsFreeMemory(devices)).toBe(false);
    write('reporting', '0x0005', '000001');
    expect(returnsFreeMemory(devices)).toBe(true);
  });

  it('what must never be is held against the worst round', () => {
    const row = { id: 'delay', what: 'delay', unit: 'ms' } as const;
    expect(never(row, [1, 1, 21], 20)).toMatchObject({ verdict: 'missed', rounds: 3 });
    const idle = { name: 'idle', samples: [30, 40] };
    expect(never(row, [1, 1, 20], 20, idle)).toMatchObject({
      verdict: 'met',
      peer: { name: 'idle', spread: { median: 35, max: 40 } },
    });
  });

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

  it.runIf(isLinux)('a file is cold from its first page on', async () => {
    const path = join(folder, 'one-page');
    writeFileSync(path, 'in memory since it was written');
    const file = new WholeFile(path);
    expect(await file.residentBytes()).toBeGreaterThan(0);
    await makeCold(path);
    expect(await file.residentBytes()).toBe(0);
    file[Symbol.dispose]();
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
