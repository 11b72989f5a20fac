import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = fileURLToPath(
  new URL('../../../node_modules/.cache/safetensors-mmap/', import.meta.url),
);

/**
 * Installs the newest Node of a version, `'24'` or `'20.19.0'`, from the registry, and returns its binary. The package
 * `node` fetches the same ones in an install script, which npm may block.
 */
export function installNode(version: string): string {
  const folder = join(cache, `node-${version}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const spec = `node@npm:node-${process.platform}-${process.arch}@${version}`;
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-save', spec], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`npm install ${spec} failed`);
  return join(folder, 'node_modules', 'node', 'bin', 'node');
}

/** The version that a binary says it is. */
export function versionOf(node: string, expected: string): string {
  const { stdout, error } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (error) throw error;
  const version = stdout.trim();
  if (!`${version}.`.startsWith(`v${expected}.`)) {
    throw new Error(`${node} is ${version}, not ${expected}`);
  }
  return version;
}
