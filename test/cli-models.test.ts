import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from './support/cli.ts';
import { INDEX, shardName, u8, writeModel } from './support/models.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const [FIRST, SECOND] = [shardName(1, 2), shardName(2, 2)];

function makeModel(name: string): string {
  return writeModel(join(folder, name), {
    shards: { [FIRST]: [u8('m.b', 1, 2), u8('m.a', 3)], [SECOND]: [u8('m.c', 4, 5, 6)] },
    options: { [FIRST]: { metadata: { format: 'pt' } } },
  });
}

const model = makeModel('model');
const sizes = [FIRST, SECOND].map((name) => readFileSync(join(model, name)).length);

describe('inspect of a model', () => {
  it.each([model, join(model, INDEX)])('shows the tensors of all shards: %#', async (path) => {
    const { code, stdout } = await runCli(['inspect', path]);
    expect(code).toBe(0);
    const lines = stdout.split('\n').map((line) => line.replace(/ {2,}/g, '  '));
    const size = sizes[0] + sizes[1];
    expect(lines.slice(0, 7)).toEqual([
      path,
      `3 tensors · 6 parameters · ${size} B · all zero-copy · 2 shards`,
      '',
      'name  dtype  shape  bytes  begin  end  zero-copy  shard',
      expect.stringMatching(/^─+$/),
      `m.b  U8  2  2 B  0  2  yes  ${FIRST}`,
      `m.a  U8  1  1 B  2  3  yes  ${FIRST}`,
    ]);
    expect(lines[7]).toBe(`m.c  U8  3  3 B  0  3  yes  ${SECOND}`);
    expect(stdout.endsWith('\nmetadata\nformat  pt\n')).toBe(true);
  });

  it('sorts by place through all shards', async () => {
    const { stdout } = await runCli(['inspect', model, '--sort', 'offset', '-r', '--json']);
    const { tensors, shards, size } = JSON.parse(stdout);
    expect(tensors.map(({ name }: { name: string }) => name)).toEqual(['m.c', 'm.a', 'm.b']);
    expect(tensors[0]).toMatchObject({ shard: SECOND, dataOffsets: [0, 3] });
    expect(shards).toEqual(
      [FIRST, SECOND].map((name, i) => ({ path: join(model, name), byteLength: sizes[i] })),
    );
    expect(size).toBe(3);
    const tree = await runCli(['inspect', model, '--tree']);
    expect(tree.stdout).toMatch(/\nm +3 +6 +6 B +U8\n/);
  });

  it('has no shards in the JSON of a single file', async () => {
    const { stdout } = await runCli(['inspect', join(model, FIRST), '--json']);
    const document = JSON.parse(stdout);
    expect(document).not.toHaveProperty('shards');
    expect(document.tensors[0]).not.toHaveProperty('shard');
  });
});

describe('verify of a model', () => {
  it('checks the index and all shards', async () => {
    const { code, stdout } = await runCli(['verify', model]);
    const size = sizes[0] + sizes[1];
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `ok    ${model}  (3 tensors, ${size} B, 2 shards)\n`,
    });
    expect(JSON.parse((await runCli(['verify', '--json', model])).stdout)).toEqual({
      files: [{ path: model, ok: true, tensors: 3, byteLength: size, shards: 2 }],
      ok: true,
    });
  });

  it('says which shard is bad', async () => {
    const bad = makeModel('bad');
    const shard = join(bad, SECOND);
    rmSync(shard);
    const { code, stdout } = await runCli(['verify', model, bad]);
    expect(code).toBe(1);
    const lines = stdout.split('\n');
    expect(lines.slice(1, 3)).toEqual([
      `FAIL  ${bad}`,
      `      ERR_SAFETENSORS_SHARD_MISSING  ${shard}: the shard is not there, and the index names it`,
    ]);
    const { files } = JSON.parse((await runCli(['verify', '--json', bad])).stdout);
    expect(files[0]).toMatchObject({
      path: bad,
      ok: false,
      error: { code: 'ERR_SAFETENSORS_SHARD_MISSING', path: shard },
    });
  });

  it('says that a folder has none', async () => {
    const { code, stdout } = await runCli(['verify', folder]);
    expect(code).toBe(1);
    expect(stdout).toContain('ERR_SAFETENSORS_SHARD_MISSING  the folder has no model');
    expect(stdout.split(folder)).toHaveLength(2);
  });
});
