import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder that is removed after the tests of the file that asks for it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'safetensors-mmap-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes files of their own into one temporary folder. */
export function fileMaker(): (bytes: Uint8Array, name?: string) => string {
  const folder = temporaryFolder();
  let count = 0;
  return (bytes, name = 'model.safetensors') => {
    const path = join(folder, `${count++}-${name}`);
    writeFileSync(path, bytes);
    return path;
  };
}
