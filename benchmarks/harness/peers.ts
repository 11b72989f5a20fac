import { dirname } from 'node:path';
import type { TouchResult } from '../drivers/results.ts';
import { totalBytes, type Weights } from '../files/weights.ts';
import { type Child, measure } from './child.ts';
import { makeCold } from './cold.ts';
import { assertSpace } from './disk.ts';
import { findTorch, nodeDriver, npmVersionOf, pythonDriver } from './drivers.ts';
import { findRust } from './rust.ts';
import { NotMeasured, type Setting } from './trial.ts';

/** A way to read all tensors of a file and touch their pages. */
export interface Peer {
  /** For the ids of rows. */
  id: string;
  name: string;
  /** Why this machine does not have it. */
  missing?: string;
  /** What it reads, where that is a file of its own. */
  own?: string;
  touch: (path: string) => Promise<TouchResult>;
}

const TOUCH = nodeDriver('touch', 'touch');

function touching(id: string, name: string, child: Child, ...task: readonly string[]): Peer {
  const { missing } = child;
  const [first, ...rest] = task;
  return {
    id,
    name,
    ...(missing === undefined ? {} : { missing }),
    touch: (path) => measure<TouchResult>({ ...child, name }, first, path, ...rest),
  };
}

/** This package: with prefetch(), without, and with what might be done in its place. */
export const OWN: readonly [prefetch: Peer, fault: Peer, buffered: Peer] = [
  touching('prefetch', 'safetensors-mmap, prefetch()', TOUCH, 'prefetch'),
  touching('faults', 'safetensors-mmap, page faults', TOUCH, 'fault'),
  touching('buffered', 'buffered reads into the page cache, then mapped', TOUCH, 'buffered'),
];

/** All others, for the weights of a file. */
export async function findPeers(
  setting: Setting,
  path: string,
  weights: Weights,
): Promise<readonly Peer[]> {
  const { reference } = setting;
  const npm = (name: string) => `${name} ${npmVersionOf(name)} of npm`;
  const python = pythonDriver(reference, 'touch');
  const rust = findRust(setting);
  return [
    touching('read-file', 'fs.readFile and views', TOUCH, 'read-file'),
    touching('jax', npm('@jax-js/loaders'), TOUCH, 'jax-loaders'),
    touching('npm', npm('safetensors'), TOUCH, 'npm-safetensors'),
    ...['mmap', 'pread'].map((backend) =>
      touching(
        `python-${backend}`,
        `${reference.name}, ${backend}`,
        python,
        'safetensors',
        backend,
      ),
    ),
    ...(await torchPeers(setting, path, weights)),
    touching('rust', rust.name, rust, 'touch'),
  ];
}

/** Reads a file of its own, with the same weights. */
async function torchPeers({ reference }: Setting, path: string, weights: Weights): Promise<Peer[]> {
  const torch = findTorch(reference, 'touch');
  const own = `${path.replace(/\.safetensors$/, '')}.pt`;
  let { missing } = torch;
  if (missing === undefined) {
    try {
      assertSpace(dirname(path), totalBytes(weights));
      await measure(torch, 'torch-write', path, own);
    } catch (error) {
      if (!(error instanceof NotMeasured)) throw error;
      missing = error.message;
    }
  }
  return ['read', 'mmap'].map((mode) => ({
    id: `torch-${mode}`,
    name: `torch.load, ${mode}, ${torch.name}`,
    ...(missing === undefined ? {} : { missing }),
    own,
    touch: () => measure<TouchResult>(torch, 'torch', own, mode),
  }));
}

/** Runs a peer on a file that was evicted before, or on one that is in memory. */
export async function touchFile(
  peer: Peer,
  path: string,
  state: 'cold' | 'warm',
): Promise<TouchResult> {
  if (state === 'cold') await makeCold(peer.own ?? path);
  return peer.touch(path);
}
