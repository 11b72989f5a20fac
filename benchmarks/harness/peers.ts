import type { TouchResult } from '../drivers/results.ts';
import { type Child, measure } from './child.ts';
import { makeCold } from './cold.ts';
import { nodeDriver, pythonDriver } from './drivers.ts';
import { buildRustPeer } from './rust.ts';
import { NotMeasured, type Setting } from './trial.ts';

/** A way to read all tensors of a file and touch their pages. */
export interface Peer {
  name: string;
  /** Evicts what it reads, and proves it; nothing where the file that all share is what it reads. */
  makeCold?: () => Promise<void>;
  touch: (path: string) => Promise<TouchResult>;
}

/** One that this machine does not have. */
export interface MissingPeer {
  name: string;
  reason: string;
}

const TOUCH = nodeDriver('touch', 'touch');

function touching(name: string, child: Child, task: string, ...args: string[]): Peer {
  return {
    name,
    touch: (path) => measure<TouchResult>({ ...child, name }, task, path, ...args),
  };
}

/** This package, with and without prefetch(). */
export const OWN: readonly [prefetch: Peer, fault: Peer] = [
  touching('safetensors-mmap, prefetch()', TOUCH, 'prefetch'),
  touching('safetensors-mmap, page faults', TOUCH, 'fault'),
];

/** All others, for the weights of a file. */
export async function findPeers(
  setting: Setting,
  path: string,
): Promise<readonly (Peer | MissingPeer)[]> {
  return [
    touching('fs.readFile and views', TOUCH, 'read-file'),
    touching('@jax-js/loaders 0.1.1', TOUCH, 'jax-loaders'),
    touching('safetensors 0.0.1 of npm', TOUCH, 'npm-safetensors'),
    ...pythonPeers(setting),
    ...(await torchPeers(setting, path)),
    rustPeer(setting),
  ];
}

function pythonPeers({ reference }: Setting): (Peer | MissingPeer)[] {
  return ['mmap', 'pread'].map((backend) => {
    const name = `Python safetensors 0.8.0, ${backend}`;
    if (reference instanceof NotMeasured) return { name, reason: reference.message };
    return touching(name, pythonDriver(reference, 'touch'), 'safetensors', backend);
  });
}

/** Reads a file of its own, with the same weights. */
async function torchPeers({ reference }: Setting, path: string): Promise<(Peer | MissingPeer)[]> {
  const modes = ['read', 'mmap'];
  const missing = (reason: string) =>
    modes.map((mode) => ({ name: `torch.load, ${mode}`, reason }));
  if (reference instanceof NotMeasured) return missing(reference.message);
  const python = pythonDriver(reference, 'touch');
  let version: string;
  try {
    ({ version } = await measure<{ version: string }>(python, 'torch-write', path));
  } catch {
    return missing('the Python of the reference has no torch');
  }
  return modes.map((mode) => ({
    ...touching(`torch.load ${version}, ${mode}`, python, 'torch', mode),
    makeCold: () => makeTorchCold(python, path),
  }));
}

async function makeTorchCold(python: Child, path: string): Promise<void> {
  const { residentBytes } = await measure<{ residentBytes: number }>(python, 'torch-evict', path);
  if (residentBytes > 0) throw new Error(`${residentBytes} bytes of torch's file stay in memory`);
}

function rustPeer({ tiny }: Setting): Peer | MissingPeer {
  const name = 'Rust safetensors 0.8.0, memmap2';
  const built = tiny ? new NotMeasured('not compiled for tests') : buildRustPeer();
  if (built instanceof NotMeasured) return { name, reason: built.message };
  return touching(name, built, 'touch');
}

/** Runs a peer on a file that was evicted before, or on one that is in memory. */
export async function touchFile(
  peer: Peer,
  path: string,
  state: 'cold' | 'warm',
): Promise<TouchResult> {
  if (state === 'cold') await (peer.makeCold ?? (() => makeCold(path)))();
  return peer.touch(path);
}
