import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { saveModel } from 'safetensors-mmap';
import { describe, expect, it } from 'vitest';
import { runCommand } from './support/child.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const main = fileURLToPath(new URL('../out/examples/workers/main.js', import.meta.url));

const tensors = new Map(
  Array.from({ length: 7 }, (_, i) => {
    const data = new Uint8Array(1000 * (i + 1)).fill(i);
    return [`t${i}`, { dtype: 'U8', shape: [data.length], data } as const];
  }),
);

describe('examples/workers', () => {
  it('one model in several workers', async () => {
    const model = join(folder, 'model');
    const { files } = await saveModel(tensors, model, { maxShardSize: 10_000 });
    expect(files.length).toBeGreaterThan(1);
    const lines = Array.from(
      tensors,
      ([name, { data }]) => `${createHash('sha256').update(data).digest('hex')}  ${name}\n`,
    );
    for (const workers of ['1', '3', '9']) {
      const ran = await runCommand(process.execPath, [main, model, workers]);
      expect(ran.stderr).toBe('');
      expect(ran.code).toBe(0);
      expect(ran.stdout).toBe(lines.join(''));
    }
  });

  it('says when there is none', async () => {
    const ran = await runCommand(process.execPath, [main, join(folder, 'none'), '2']);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('ENOENT');
  });
});
