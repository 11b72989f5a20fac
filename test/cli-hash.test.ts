import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildFile, patternBytes, type TensorSource } from './support/build.ts';
import { runCli, runCliInTerminal, whyNoTerminal } from './support/cli.ts';
import { INDEX, shardName, u8, writeModel } from './support/models.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function hash(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(['hash', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

const HOSTILE = '\x1b[31m\u202e\n';
const HOSTILE_ESCAPED = '\\u001b[31m\\u202e\\u000a';

const bytes = (name: string, data: Uint8Array): TensorSource => ({
  name,
  dtype: 'U8',
  shape: [data.length],
  data,
});

const PIECE = 3 * 2 ** 20;
const TENSORS = [
  bytes('empty first', new Uint8Array(0)),
  bytes('odd', patternBytes(1)),
  bytes('long', patternBytes(2 * PIECE + 5)),
  bytes('to the end of a piece', patternBytes(PIECE - 6)),
  bytes('empty', new Uint8Array(0)),
  bytes(HOSTILE, patternBytes(1000)),
  bytes('', patternBytes(7)),
  bytes('empty last', new Uint8Array(0)),
];

describe('hash', () => {
  it.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])(
    'of any file of %i bytes',
    async (size) => {
      const data = patternBytes(size);
      const path = makeFile(data, 'any.bin');
      expect(await hash(path)).toBe(`${sha256(data)}  ${path}\n`);
    },
  );

  const reason = whyNoTerminal();
  it.skipIf(reason)('shows names whole, on any terminal', async () => {
    const path = makeFile(patternBytes(1), `${'long-'.repeat(20)}.bin`);
    const { code, stdout } = await runCliInTerminal(80, ['hash', path]);
    expect({ code, stdout: stdout.trimEnd() }).toEqual({
      code: 0,
      stdout: `${sha256(patternBytes(1))}  ${path}`,
    });
  });

  it('of each tensor, in the order of the data', async () => {
    const path = makeFile(buildFile(TENSORS));
    const names = ['empty first', 'odd', 'long', 'to the end of a piece', 'empty'];
    const shown = [...names, HOSTILE_ESCAPED, '""', 'empty last'];
    const lines = TENSORS.map(({ data }, i) => `${sha256(data)}  ${shown[i]}`);
    // Empty ones are wherever they like.
    expect((await hash('--per-tensor', path)).trimEnd().split('\n').sort()).toEqual(lines.sort());
    const { tensors } = JSON.parse(await hash('--per-tensor', '--json', path));
    const full = tensors.filter(({ byteLength }: { byteLength: number }) => byteLength > 0);
    expect(full).toEqual(
      TENSORS.filter(({ data }) => data.length > 0).map(({ name, dtype, shape, data }) => ({
        name,
        dtype,
        shape,
        byteLength: data.length,
        sha256: sha256(data),
      })),
    );
  });

  it('of a tensor is the same in files that are laid out in other ways', async () => {
    const [a, b] = [TENSORS, TENSORS.toReversed()].map((tensors) => makeFile(buildFile(tensors)));
    const sorted = async (path: string) => (await hash('-t', path)).split('\n').sort();
    expect(await sorted(a)).toEqual(await sorted(b));
  });

  it('of a model: its files, or its tensors', async () => {
    const shards = {
      [shardName(1, 2)]: [u8('a', 1, 2), u8('b', 3)],
      [shardName(2, 2)]: [u8('c', 4)],
    };
    const model = writeModel(join(folder, 'model'), { shards });
    const names = [INDEX, shardName(1, 2), shardName(2, 2)];
    const lines = names.map((name) => {
      const path = join(model, name);
      return `${sha256(readFileSync(path))}  ${path}\n`;
    });
    expect(await hash(model)).toBe(lines.join(''));
    expect(await hash(join(model, INDEX))).toBe(lines.join(''));
    const { files } = JSON.parse(await hash('--json', model));
    expect(files.map(({ path }: { path: string }) => basename(path))).toEqual(names);
    const tensors = [
      ['a', [1, 2]],
      ['b', [3]],
      ['c', [4]],
    ] as const;
    expect(await hash('-t', model)).toBe(
      tensors.map(([name, data]) => `${sha256(Uint8Array.from(data))}  ${name}\n`).join(''),
    );
  });

  it('leaves out what the index does not have', async () => {
    const model = writeModel(join(folder, 'partial'), {
      shards: { [shardName(1, 1)]: [u8('a', 1), u8('hidden', 2), u8('c', 3)] },
      index: JSON.stringify({ weight_map: { a: shardName(1, 1), c: shardName(1, 1) } }),
    });
    expect(await hash('-t', model)).toBe(
      [`${sha256(Uint8Array.of(1))}  a\n`, `${sha256(Uint8Array.of(3))}  c\n`].join(''),
    );
  });

  it('of 92,000 tensors takes little time', async () => {
    const tensors = Array.from({ length: 92_000 }, (_, i) => u8(`t.${i}`, i & 255, i >>> 8));
    const path = makeFile(buildFile(tensors));
    const started = performance.now();
    const lines = (await hash('-t', path)).trimEnd().split('\n');
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(lines).toHaveLength(92_000);
    expect(lines[91_999]).toBe(`${sha256(tensors[91_999].data)}  t.91999`);
  }, 120_000);
});

describe('hash in trouble', () => {
  it('takes the index of a model for one by its name, and other JSON for any file', async () => {
    const path = makeFile(Buffer.from('{}'), 'config.json');
    expect(await hash(path)).toBe(`${sha256(Buffer.from('{}'))}  ${path}\n`);
    const { code, stderr } = await runCli(['hash', makeFile(Buffer.from('{}'), INDEX)]);
    expect({ code, stderr: stderr.slice(0, 35) }).toEqual({
      code: 1,
      stderr: 'error: ERR_SAFETENSORS_HEADER_JSON ',
    });
  });

  it('says what a thread was refused as for any other file', async () => {
    const path = makeFile(Buffer.from('any'), 'any.bin');
    // Whoever runs the tests may be allowed to read everything.
    const refusal = `{code:'EACCES',errno:-13,syscall:'open',path}`;
    const hook = `
      import files from 'node:fs/promises';
      import { syncBuiltinESMExports } from 'node:module';
      files.open = async (path) => {
        throw Object.assign(new Error("EACCES: permission denied, open '" + path + "'"), ${refusal});
      };
      syncBuiltinESMExports();`;
    const url = `data:text/javascript,${encodeURIComponent(hook)}`;
    const { code, stderr } = await runCli(['hash', path], { NODE_OPTIONS: `--import=${url}` });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `error: EACCES ${path}: permission denied\n`,
    });
  });

  it.each([
    ['/nowhere/at all', [], 'error: ENOENT /nowhere/at all: no such file or directory\n'],
    ['/dev/null', [], 'error: ERR_SAFETENSORS_NOT_SAFETENSORS /dev/null: this is not a regular'],
    [makeFile(Buffer.from('{}')), ['-t'], 'error: ERR_SAFETENSORS_'],
    [folder, [], `error: ERR_SAFETENSORS_SHARD_MISSING ${folder}: `],
  ])('says what is wrong in one line (%#)', async (path, flags, message) => {
    const { code, stdout, stderr } = await runCli(['hash', path, ...flags]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.startsWith(message), stderr).toBe(true);
    expect(stderr.match(/\n/g)).toHaveLength(1);
  });
});
