import { renameSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { openModel } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { INDEX, indexOf, shardName, u8, writeModel } from './support/models.ts';
import { temporaryFolder } from './support/temporary.ts';

const [FIRST, SECOND] = [shardName(1, 2), shardName(2, 2)];
const root = temporaryFolder();
let folders = 0;

function twoShards(): string {
  return writeModel(join(root, `model-${folders++}`), {
    shards: { [FIRST]: [u8('a', 1, 2, 3)], [SECOND]: [u8('b', 4, 5)] },
    index: indexOf([
      ['a', FIRST],
      ['b', SECOND],
    ]),
  });
}

const later = new Date(Date.now() + 60_000);

describe('the version of a model', () => {
  it('is the same wherever the same files are open', async () => {
    const folder = twoShards();
    using model = await openModel(folder);
    using again = await openModel(join(folder, INDEX), { version: model.version });
    expect(again.version).toBe(model.version);
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      import('safetensors-mmap').then(async ({ openModel }) => {
        const model = await openModel(workerData.path, { version: workerData.version });
        parentPort.postMessage(model.version);
      });`;
    const { path, version } = model;
    const worker = new Worker(program, { eval: true, workerData: { path, version } });
    const found = await new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject);
    });
    expect(found).toBe(version);
  });

  it('of a single file', async () => {
    const file = join(twoShards(), FIRST);
    using model = await openModel(file);
    using again = await openModel(file, { version: model.version });
    expect(again.version).toBe(model.version);
    utimesSync(file, later, later);
    const error = await thrownBy(() => openModel(file, { version: model.version }));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_FILE_CHANGED', path: file });
  });

  it.each<[string, (folder: string) => void]>([
    ['a shard that was touched', (folder) => utimesSync(join(folder, SECOND), later, later)],
    ['an index that was touched', (folder) => utimesSync(join(folder, INDEX), later, later)],
    [
      'a shard that another took the place of',
      (folder) => renameSync(join(twoShards(), FIRST), join(folder, FIRST)),
    ],
  ])('is another one with %s', async (_, change) => {
    const folder = twoShards();
    using model = await openModel(folder);
    const { version } = model;
    change(folder);
    expect(await thrownBy(() => openModel(folder, { version }))).toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path: join(folder, INDEX),
      message: expect.stringContaining(version),
    });
    using now = await openModel(folder);
    expect(now.version).not.toBe(version);
    expect(model.version).toBe(version);
  });

  it('is a string', async () => {
    const error = await thrownBy(() => openModel(twoShards(), { version: 1 as unknown as string }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toBe('version: expected a string, found 1');
  });
});
