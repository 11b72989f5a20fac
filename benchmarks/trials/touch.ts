import type { TouchResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { assertSameWork, type Task } from '../harness/child.ts';
import { makeWarm } from '../harness/cold.ts';
import { type Comparison, compare, point, type Series } from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import { findPeers, OWN, type Peer, touchFile } from '../harness/peers.ts';
import { bestOf, findReaders, type Reader } from '../harness/readers.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const OF_THE_BEST_READER = 0.95;
const NO_SLOWER_THAN_A_PEER = 1;

/** Sequential readers have no checksum: they look at nothing. */
type Touched = Omit<TouchResult, 'checksum'> & { checksum?: string };

const taskOf = (peer: Peer, path: string, state: 'cold' | 'warm'): Task<Touched> =>
  peer.missing === undefined ? () => touchFile(peer, path, state) : undefined;

const taskOfReader =
  (reader: Reader, path: string): Task<Touched> =>
  async () => {
    const time = await reader.read(path);
    return { ready: time, time };
  };

function times(
  named: { name: string; missing?: string },
  results: readonly Touched[],
  figure: 'ready' | 'time' = 'time',
): Series {
  const { name, missing } = named;
  const samples = results.map((result) => result[figure]);
  return missing === undefined ? { name, samples } : { name, samples, missing };
}

async function inTurns(
  { rounds }: Setting,
  path: string,
  bytes: number,
  tasks: readonly Task<Touched>[],
) {
  // Of the file, a page cache and a copy.
  const results = await interleave(rounds, tasks, 2 * bytes);
  assertSameWork(
    path,
    results.flat().flatMap(({ checksum }) => checksum ?? []),
  );
  return results;
}

async function cold(
  setting: Setting,
  file: Weights,
  path: string,
  peers: readonly Peer[],
): Promise<Comparison[]> {
  const what = `${sizeOf(file)}, cold`;
  setting.progress(what);
  const readers = findReaders();
  const all = [...OWN, ...peers];
  const results = await inTurns(setting, path, totalBytes(file), [
    ...readers.map((reader) => taskOfReader(reader, path)),
    ...all.map((peer) => taskOf(peer, path, 'cold')),
  ]);
  const read = readers.map(({ id, name }, i) => ({
    id,
    name,
    samples: results[i].map(({ time }) => time),
  }));
  const touched = results.slice(readers.length);
  const ready = times(OWN[0], touched[0], 'ready').samples;
  const best = bestOf(read);
  const series = all.map((peer, i) => times(peer, touched[i]));
  const speeds = ({ samples, ...one }: Series): Series => ({
    ...one,
    samples: samples.map((ms) => totalBytes(file) / ms / 1e6),
  });
  setting.draw({
    name: 'cold-read',
    title: `${sizeOf(file)} from the disk, every page touched`,
    unit: 'GB/s',
    kind: 'bars',
    points: [...series, best].map((one) => point(speeds(one))),
  });
  const prefetch = (id: string, peer: Series, limit?: number) =>
    compare({ id, what: `${what}: open and prefetch()`, unit: 'ms' }, ready, peer, {
      ratio: 'faster',
      limit,
    });
  return [
    prefetch('cold-best-reader', best, OF_THE_BEST_READER),
    ...read.filter((one) => one !== best).map((one) => prefetch(`cold-${one.id}`, one)),
    prefetch('cold-mapped', times(OWN[2], touched[2], 'ready')),
    ...against('cold', what, all, series, NO_SLOWER_THAN_A_PEER),
  ];
}

async function warm(
  setting: Setting,
  file: Weights,
  path: string,
  peers: readonly Peer[],
): Promise<Comparison[]> {
  const what = `${sizeOf(file)}, warm`;
  setting.progress(what);
  await makeWarm(path);
  const all = [OWN[0], OWN[1], ...peers];
  const results = await inTurns(
    setting,
    path,
    totalBytes(file),
    all.map((peer) => taskOf(peer, path, 'warm')),
  );
  const series = all.map((peer, i) => times(peer, results[i]));
  return against('warm', what, all, series);
}

/** Ours with prefetch() against everybody, other ways of ours included, of which none is a target. */
function against(
  state: string,
  what: string,
  [, ...others]: readonly Peer[],
  [own, ...series]: readonly Series[],
  limit?: number,
): Comparison[] {
  return others.map((other, i) =>
    compare(
      {
        id: `${state}-touched-${other.id}`,
        what: `${what}: prefetch(), and every page touched`,
        unit: 'ms',
      },
      own.samples,
      series[i],
      { ratio: 'faster', limit: OWN.includes(other) ? undefined : limit },
    ),
  );
}

export const touch: Trial = {
  name: 'touch',
  title: 'All of a file: from the disk, and from the page cache',
  explains: [
    'Cold: the file was evicted, and mincore(2) says that none of its pages is in memory.',
    'Sequential readers read into memory that they use again, and look at nothing: against them, prefetch()',
    'alone. Against the peers, one word of every page is read as well, by all of them.',
    'Buffered reads: what prefetch() might do in place of MADV_WILLNEED and MADV_POPULATE_READ: four threads read',
    'the file into the page cache, then its pages are mapped.',
  ],
  run: async (setting) => {
    const file = weights(setting, 'whole');
    const path = writeWeights(setting.folder, file);
    const peers = await findPeers(setting, path, file);
    return [
      ...(await cold(setting, file, path, peers)),
      ...(await warm(setting, file, path, peers)),
    ];
  },
};
