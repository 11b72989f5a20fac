import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child } from './child.ts';
import { ROOT } from './drivers.ts';
import type { Setting } from './trial.ts';

const MANIFEST = join(ROOT, 'benchmarks', 'peers', 'safetensors-rs', 'Cargo.toml');
const TARGET = join(ROOT, 'out', 'peers');

let found: Child | undefined;

/** The crate with memmap2, compiled once a run, or why it is not to be had. */
export function findRust({ tiny }: Setting): Child {
  found ??= compiled(tiny);
  return found;
}

function compiled(tiny: boolean): Child {
  const child = { name: nameOf(), program: join(TARGET, 'release', 'safetensors-rs'), prefix: [] };
  if (tiny) return { ...child, missing: 'not compiled for tests' };
  const options = ['--release', '--locked', '--quiet', '--target-dir', TARGET];
  try {
    execFileSync('cargo', ['build', ...options, '--manifest-path', MANIFEST], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    const missing = code === 'ENOENT' ? 'no cargo' : `cargo: ${stderr?.toString().split('\n')[0]}`;
    return { ...child, missing };
  }
  return child;
}

/** With the versions that the manifest asks for. */
function nameOf(): string {
  const manifest = readFileSync(MANIFEST, 'utf8');
  const version = (crate: string) =>
    new RegExp(`^${crate} = "=([\\d.]+)"$`, 'm').exec(manifest)?.[1] ?? '?';
  return `Rust safetensors ${version('safetensors')}, memmap2 ${version('memmap2')}`;
}
