import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildFile, type TensorSource } from './support/build.ts';
import { interruptCli, runCli, runCliInTerminal, whyNoTerminal } from './support/cli.ts';
import { INDEX, shardName, u8, writeModel } from './support/models.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = temporaryFolder();
let folders = 0;

function newFolder(): string {
  const folder = join(root, `${folders++}`);
  mkdirSync(folder);
  return folder;
}

const HOSTILE = 'n\x1b[31m\u202e';

const TENSORS: TensorSource[] = [
  { name: 'w', dtype: 'F32', shape: [2, 3], data: new Uint8Array(24).fill(7) },
  { name: HOSTILE, dtype: 'BF16', shape: [5], data: new Uint8Array(10).fill(8) },
  u8('bytes', 1, 2, 3),
  u8('none'),
];

/** A model of two shards in a folder of its own. */
function newModel(): string {
  return writeModel(join(newFolder(), 'model'), {
    shards: { [shardName(1, 2)]: TENSORS.slice(0, 1), [shardName(2, 2)]: TENSORS.slice(1) },
    options: {
      [shardName(1, 2)]: { metadata: { format: 'pt' } },
      [shardName(2, 2)]: { metadata: { format: 'np', more: 'yes' } },
    },
  });
}

function newFile(metadata?: Record<string, string>): string {
  const path = join(newFolder(), 'in.safetensors');
  writeFileSync(path, buildFile(TENSORS, metadata === undefined ? {} : { metadata }));
  return path;
}

async function succeed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function fail(code: number, ...args: string[]): Promise<string> {
  const result = await runCli(args);
  expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' });
  if (code === 1) expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  return result.stderr;
}

const expectSame = async (a: string, b: string) =>
  expect(await succeed('diff', a, b)).toBe('the same: 4 tensors\n');

describe('merge', () => {
  it('writes all shards and their metadata into one file', async () => {
    const model = newModel();
    const output = join(newFolder(), 'out.safetensors');
    const stdout = await succeed('merge', model, '-o', output);
    expect(stdout).toBe(`${output}  (4 tensors, ${statSync(output).size} B)\n`);
    await expectSame(model, output);
    const { metadata } = JSON.parse(await succeed('metadata', output, '--json'));
    expect(metadata).toEqual({ format: 'pt', more: 'yes' });
    expect(readdirSync(join(output, '..'))).toEqual(['out.safetensors']);
  });

  it('prints JSON, and takes an index or a file', async () => {
    const model = newModel();
    const folder = newFolder();
    const first = join(folder, 'first.safetensors');
    const second = join(folder, 'second.safetensors');
    const stdout = await succeed('merge', join(model, INDEX), '-o', first, '--json');
    const byteLength = statSync(first).size;
    expect(JSON.parse(stdout)).toEqual({ path: first, tensors: 4, byteLength });
    await succeed('merge', first, '-o', second);
    expect(Buffer.compare(readFileSync(first), readFileSync(second))).toBe(0);
  });

  it('replaces a file, follows links, and writes a file over itself', async () => {
    const model = newModel();
    const folder = newFolder();
    const [target, link] = ['target', 'link'].map((name) => join(folder, `${name}.safetensors`));
    writeFileSync(target, 'old');
    symlinkSync('target.safetensors', link);
    await succeed('merge', model, '-o', link);
    await expectSame(model, target);
    await succeed('merge', target, '-o', link);
    await expectSame(model, target);
    expect(readdirSync(folder).sort()).toEqual(['link.safetensors', 'target.safetensors']);
  });

  it('adds no metadata where there is none', async () => {
    const output = join(newFolder(), 'out.safetensors');
    await succeed('merge', newFile(), '-o', output);
    expect(readFileSync(output, 'latin1')).not.toContain('__metadata__');
  });

  it('refuses folders, parts of the model, and what cannot be written', async () => {
    const model = newModel();
    const before = readdirSync(model).map((name) => readFileSync(join(model, name), 'latin1'));
    const folder = newFolder();
    expect(await fail(1, 'merge', model, '-o', folder)).toBe(
      `error: ${folder} is a folder: name a file in it, as ${folder}/model.safetensors\n`,
    );
    const link = join(folder, 'link');
    symlinkSync(join(model, shardName(2, 2)), link);
    for (const part of [join(model, shardName(1, 2)), join(model, INDEX), link]) {
      expect(await fail(1, 'merge', model, '-o', part)).toContain('is a part of the model itself');
    }
    const nowhere = join(folder, 'no', 'where');
    expect(await fail(1, 'merge', model, '-o', nowhere)).toBe(
      `error: ENOENT ${nowhere}: no such file or directory\n`,
    );
    expect(await fail(1, 'merge', join(model, 'none'), '-o', join(folder, 'out'))).toContain(
      `ENOENT ${join(model, 'none')}: `,
    );
    const after = readdirSync(model).map((name) => readFileSync(join(model, name), 'latin1'));
    expect(after).toEqual(before);
    expect(readdirSync(folder)).toEqual(['link']);
    expect(await fail(2, 'merge', model)).toContain("required option '-o, --output <file>'");
    for (const command of ['merge', 'split']) {
      expect(await fail(2, command, model, '-o', '')).toContain('It must be a path.');
    }
  });

  it('says which shard is bad, and writes nothing', async () => {
    const model = newModel();
    writeFileSync(join(model, shardName(2, 2)), '');
    const folder = newFolder();
    const stderr = await fail(1, 'merge', model, '-o', join(folder, 'out.safetensors'));
    expect(stderr).toContain(`ERR_SAFETENSORS_HEADER_TOO_SMALL ${join(model, shardName(2, 2))}: `);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('split', () => {
  it('writes shards and an index', async () => {
    const file = newFile({ format: 'pt' });
    const output = join(newFolder(), 'new', 'model');
    const stdout = await succeed('split', file, '--max-shard-size', '24', '-o', output);
    const names = [shardName(1, 2), shardName(2, 2), INDEX];
    const lines = names.map((name) => {
      const path = join(output, name);
      return `${path}  (${statSync(path).size} B)`;
    });
    expect(stdout.trimEnd().split('\n')).toEqual(lines);
    expect(readdirSync(output).sort()).toEqual(names.sort());
    await expectSame(file, output);
    const index = JSON.parse(readFileSync(join(output, INDEX), 'utf8'));
    expect(index.metadata.total_size).toBe(37);
    expect(index.weight_map.w).toBe(shardName(1, 2));
  });

  it('writes one file where all fit, and prints JSON', async () => {
    const file = newFile();
    const output = newFolder();
    const path = join(output, 'model.safetensors');
    const stdout = await succeed('split', file, '-o', output, '--json');
    const byteLength = statSync(path).size;
    expect(JSON.parse(stdout)).toEqual({
      path: output,
      index: null,
      files: [{ path, byteLength }],
    });
    const other = newFolder();
    const { index, files } = JSON.parse(
      await succeed('split', path, '-m', '0.01KB', '-j', '-o', other),
    );
    expect(index).toEqual({
      path: join(other, INDEX),
      byteLength: statSync(join(other, INDEX)).size,
    });
    expect(files).toHaveLength(3);
  });

  it('replaces another model, and splits a sharded one anew', async () => {
    const output = newModel();
    const file = newFile();
    await succeed('split', file, '-m', '10', '-o', output);
    await expectSame(file, output);
    const other = newFolder();
    await succeed('split', output, '-m', '1TB', '-o', other);
    await expectSame(file, other);
    await succeed('split', other, '-m', '10', '-o', output);
    await expectSame(file, output);
  });

  it('does not lose the model that it reads', async () => {
    const model = newModel();
    expect(await fail(1, 'split', model, '-o', model)).toContain('has the model itself in it');
    const folder = newFolder();
    const single = join(folder, 'model.safetensors');
    writeFileSync(single, buildFile(TENSORS));
    const link = join(newFolder(), 'link');
    symlinkSync(folder, link);
    expect(await fail(1, 'split', single, '-m', '10', '-o', link)).toBe(
      `error: ${link} has the model itself in it, as model.safetensors, which would be lost: ` +
        'choose another folder\n',
    );
    const alias = join(newFolder(), 'alias.safetensors');
    symlinkSync(single, alias);
    expect(await fail(1, 'split', alias, '-m', '10', '-o', folder)).toContain(
      `error: ${folder} has the model itself in it, as model.safetensors`,
    );
    // Of another name it is in nobody's way.
    const file = newFile();
    await succeed('split', file, '-m', '10', '-o', join(file, '..'));
    expect(existsSync(file)).toBe(true);
    await expectSame(file, join(file, '..'));
  });

  it('refuses a file, and sizes that are none', async () => {
    const file = newFile();
    expect(await fail(1, 'split', file, '-o', file)).toBe(
      `error: ${file} is a file: name a folder\n`,
    );
    const none = ['0', 'GB', '-1', '2GiB', '1.5', '1e3', '', '0.0GB'];
    for (const size of [...none, '0.0000001KB', '9007199254740992', '9999999TB']) {
      expect(await fail(2, 'split', file, '-o', root, '-m', size)).toContain('bytes, or one of KB');
    }
  });
});

describe('metadata', () => {
  it('prints, sets and removes keys', async () => {
    const path = newFile({ format: 'pt', old: 'x' });
    const before = newFile({ format: 'pt', old: 'x' });
    expect(await succeed('metadata', path)).toBe('format  pt\nold  x\n');
    const args = ['--set', 'a=b=c', '-s', 'empty=', '-s', 'a=d=e', '--unset', 'old', '-u', 'none'];
    expect(await succeed('metadata', path, ...args)).toBe('format  pt\na  d=e\nempty\n');
    expect(await succeed('metadata', path)).toBe('format  pt\na  d=e\nempty\n');
    const { stdout } = await runCli(['diff', path, before]);
    expect(stdout).toContain('4 tensors the same, 3 metadata keys');
    expect(readdirSync(join(path, '..'))).toEqual(['in.safetensors']);
  });

  it('prints JSON, and whether the file is the same one', async () => {
    const path = newFile();
    expect(JSON.parse(await succeed('metadata', path, '--json'))).toEqual({ path, metadata: {} });
    const metadata = { __proto__x: '1', long: 'y'.repeat(2000) };
    const set = Object.entries(metadata).flatMap(([key, value]) => ['-s', `${key}=${value}`]);
    const first = JSON.parse(await succeed('metadata', path, '--json', ...set));
    expect(first).toEqual({ path, metadata, inPlace: false });
    const second = JSON.parse(await succeed('metadata', path, '--json', '-s', 'more=1'));
    expect(second).toEqual({ path, metadata: { ...metadata, more: '1' }, inPlace: true });
  });

  it('says when there is none', async () => {
    expect(await runCli(['metadata', newFile()])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: 'no metadata\n',
    });
  });

  it('escapes keys and values', async () => {
    const path = newFile();
    const stdout = await succeed('metadata', path, '-s', `${HOSTILE}=${HOSTILE}\n`);
    expect(stdout).toBe('n\\u001b[31m\\u202e  n\\u001b[31m\\u202e\\u000a\n');
    expect(JSON.parse(await succeed('metadata', path, '--json')).metadata).toEqual({
      [HOSTILE]: `${HOSTILE}\n`,
    });
  });

  it('prints that of a model, and changes that of its only file, or of none', async () => {
    const model = newModel();
    expect(await succeed('metadata', model)).toBe('format  pt\nmore  yes\n');
    expect(await fail(1, 'metadata', model, '-s', 'a=b')).toContain('is a model of several files');
    const folder = newFolder();
    writeFileSync(join(folder, 'model.safetensors'), buildFile(TENSORS));
    expect(await succeed('metadata', folder, '-s', 'a=b')).toBe('a  b\n');
  });

  it('refuses what is wrong', async () => {
    const path = newFile();
    expect(await fail(2, 'metadata', path, '--set', 'k')).toContain('It must be key=value.');
    expect(await fail(2, 'metadata', path, '-s', 'k=1', '-u', 'k')).toContain(
      "key 'k' is both set and unset",
    );
    expect(await fail(1, 'metadata', `${path}-none`, '-s', 'k=1')).toBe(
      `error: ENOENT ${path}-none: no such file or directory\n`,
    );
    writeFileSync(path, 'no tensors');
    expect(await fail(1, 'metadata', path, '-s', 'k=1')).toContain('ERR_SAFETENSORS_');
    expect(readFileSync(path, 'utf8')).toBe('no tensors');
  });
});

describe('a bar tells of the progress of', () => {
  const reason = whyNoTerminal();
  if (reason) console.warn(`LEFT OUT: bars of test/cli-writing.test.ts. ${reason}`);
  /** Has the second be over at once that comes before a bar. */
  const impatient = `const later = globalThis.setTimeout;
    globalThis.setTimeout = (work, ms, ...rest) => {
      if (ms === 1000) queueMicrotask(work);
      return later(work, ms, ...rest);
    };`;
  const env = {
    NO_COLOR: '1',
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(impatient)}`,
  };

  it.skipIf(reason).each([
    ['merging', () => ['merge', newModel(), '-o', join(newFolder(), 'out.safetensors')]],
    ['splitting', () => ['split', newFile(), '-o', newFolder()]],
    ['copying', () => ['metadata', newFile(), '-s', 'k=v']],
  ])('%s', async (label, args) => {
    const { code, stdout } = await runCliInTerminal(80, args(), env);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(new RegExp(`${label} .* \\d+% +\\S+ k?B of \\S+ k?B`));
    expect((await runCliInTerminal(80, args())).stdout).not.toContain(label);
  });
});

describe('Ctrl-C leaves nothing behind: ', () => {
  const [MB, tail] = [1e6, Uint8Array.of(1)];
  const large = join(newFolder(), 'large.safetensors');
  const size = writeSparseFile(large, [
    { name: 'a', byteLength: 400 * MB, tail },
    { name: 'b', byteLength: 400 * MB, tail },
  ]);
  /** Whether a file under a temporary name has been begun. */
  const writingIn = (folder: string) => () =>
    existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.tmp'));
  const ended = { code: 130, signal: null, stdout: '', stderr: '' };

  it('merge', async () => {
    const folder = newFolder();
    const output = join(folder, 'out.safetensors');
    writeFileSync(output, 'old');
    const args = ['merge', large, '-o', output];
    expect(await interruptCli(args, 'SIGINT', writingIn(folder))).toEqual(ended);
    expect(readdirSync(folder)).toEqual(['out.safetensors']);
    expect(readFileSync(output, 'utf8')).toBe('old');
    const terminated = await interruptCli(args, 'SIGTERM', writingIn(folder));
    expect(terminated).toEqual({ ...ended, code: 143 });
    expect(readdirSync(folder)).toEqual(['out.safetensors']);
  });

  it('split', async () => {
    const folder = newFolder();
    const output = join(folder, 'model');
    const args = ['split', large, '-m', '400MB', '-o', output];
    expect(await interruptCli(args, 'SIGINT', writingIn(output))).toEqual(ended);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('metadata', async () => {
    const folder = join(large, '..');
    const { ino } = statSync(large);
    const args = ['metadata', large, '-s', 'k=v'];
    expect(await interruptCli(args, 'SIGINT', writingIn(folder))).toEqual(ended);
    expect(readdirSync(folder)).toEqual(['large.safetensors']);
    expect(statSync(large)).toMatchObject({ ino, size });
  });
});
