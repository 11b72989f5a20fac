import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { ROOT } from './drivers.ts';
import { NotMeasured } from './trial.ts';

const PROJECT = join(ROOT, 'benchmarks', 'peers', 'safetensors-rs');
const TARGET = join(ROOT, 'out', 'peers');
const NAME = 'Rust safetensors 0.8.0 and memmap2';

/** The crate with memmap2, compiled on demand, or why it is not to be had. */
export function buildRustPeer(): Child | NotMeasured {
  try {
    execFileSync(
      'cargo',
      ['build', '--release', '--locked', '--quiet', '--target-dir', TARGET].concat(
        '--manifest-path',
        join(PROJECT, 'Cargo.toml'),
      ),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    const reason = code === 'ENOENT' ? 'no cargo' : `cargo: ${stderr?.toString().split('\n')[0]}`;
    return new NotMeasured(reason);
  }
  return { name: NAME, program: join(TARGET, 'release', 'safetensors-rs'), prefix: [] };
}
