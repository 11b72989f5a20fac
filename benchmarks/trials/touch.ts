import type { TouchResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { assertSameWork, interleave } from '../harness/child.ts';
import { makeWarm } from '../harness/cold.ts';
import { type Comparison, compare, notMeasured, point, type Series } from '../harness/compare.ts';
import { findPeers, type MissingPeer, OWN, type Peer, touchFile } from '../harness/peers.ts';
import { bestOf, findReaders } from '../harness/readers.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const OF_THE_BEST_READER = 0.95;
const NO_SLOWER_THAN_A_PEER = 1;

type Samples = Series & { results: TouchResult[] };

async function run(setting: Setting): Promise<Comparison[]> {
  const file = weights(setting, 'whole');
  const path = writeWeights(setting.folder, file);
  const found = await findPeers(setting, path);
  const peers = found.filter((peer): peer is Peer => 'touch' in peer);
  const missing = found.filter((peer): peer is MissingPeer => 'reason' in peer);
  const cold = await coldTimes(setting, file, path, peers);
  setting.progress(`${sizeOf(file)}, warm`);
  await makeWarm(path);
  const warm = await touchTimes(setting, [...OWN, ...peers], path, 'warm');
  const absent = (state: string) =>
    missing.map(({ name, reason }) =>
      notMeasured(`${sizeOf(file)}, ${state}: ${name}`, '', reason),
    );
  return [...cold, ...absent('cold'), ...against(`${sizeOf(file)}, warm`, warm), ...absent('warm')];
}

async function coldTimes(
  setting: Setting,
  file: Weights,
  path: string,
  peers: readonly Peer[],
): Promise<Comparison[]> {
  setting.progress(`${sizeOf(file)}, cold`);
  const readers = findReaders();
  const readerTimes: number[][] = readers.map(() => []);
  const touched: Samples[] = [];
  // A round of the readers, then one of the others: what the machine does meanwhile meets them all.
  for (let round = 0; round < roundsOf(setting); round++) {
    for (const [i, reader] of readers.entries()) readerTimes[i].push(await reader.read(path));
    const one = await touchTimes({ ...setting, rounds: 1 }, [...OWN, ...peers], path, 'cold');
    for (const [i, samples] of one.entries()) {
      touched[i] ??= { name: samples.name, samples: [], results: [] };
      touched[i] = merged(touched[i], samples);
    }
  }
  const series = readers.map(({ name }, i) => ({ name, samples: readerTimes[i] }));
  const best = bestOf(series);
  const what = `${sizeOf(file)}, cold`;
  const ready = touched[0].results.map((result) => result.ready);
  setting.draw({
    name: 'cold-read',
    title: `${sizeOf(file)} from the disk, every page touched`,
    unit: 'GB/s',
    kind: 'bars',
    points: [...touched, best].map(({ name, samples }) =>
      point(
        name,
        samples.map((ms) => totalBytes(file) / ms / 1e6),
      ),
    ),
  });
  return [
    ...series.map((reader) =>
      compare(`${what}: open and prefetch()`, 'ms', ready, reader, {
        ratio: 'faster',
        ...(reader === best ? { limit: OF_THE_BEST_READER } : {}),
      }),
    ),
    ...against(what, touched, NO_SLOWER_THAN_A_PEER),
  ];
}

const merged = (a: Samples, b: Samples): Samples => ({
  name: a.name,
  samples: [...a.samples, ...b.samples],
  results: [...a.results, ...b.results],
});

function roundsOf({ quick, rounds }: Setting): number {
  return quick ? 1 : rounds;
}

async function touchTimes(
  setting: Setting,
  peers: readonly Peer[],
  path: string,
  state: 'cold' | 'warm',
): Promise<Samples[]> {
  const results = await interleave(
    roundsOf(setting),
    peers.map((peer) => () => touchFile(peer, path, state)),
  );
  assertSameWork(
    path,
    results.flat().map(({ checksum }) => checksum),
  );
  return peers.map(({ name }, i) => ({
    name,
    results: results[i],
    samples: results[i].map(({ time }) => time),
  }));
}

/** Ours with prefetch() against everybody, ours without included. */
function against(what: string, [own, ...others]: readonly Samples[], limit?: number): Comparison[] {
  return others.map((other, i) =>
    compare(`${what}: prefetch(), and every page touched`, 'ms', own.samples, other, {
      ratio: 'faster',
      // The first is ours.
      ...(limit === undefined || i === 0 ? {} : { limit }),
    }),
  );
}

export const touch: Trial = {
  name: 'touch',
  title: 'All of a file: from the disk, and from the page cache',
  explains: [
    'Cold: the file was evicted, and mincore(2) says that none of its pages is in memory.',
    'Sequential readers read into memory that they use again, and look at nothing: against them, prefetch()',
    'alone. Against the peers, one word of every page is read as well, by all of them.',
  ],
  run,
};
