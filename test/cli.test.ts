import { readFileSync } from 'node:fs';
import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { compareNatural } from '../src/cli/natural-order.ts';
import { terminalOf } from '../src/cli/terminal.ts';
import { fitMiddle } from '../src/cli/text.ts';
import { runCli, runCliInShell, runCliInTerminal, whyNoTerminal } from './support/cli.ts';
import { fileMaker } from './support/temporary.ts';

interface Spec {
  name: string;
  dtype: string;
  shape: number[];
  byteLength: number;
}

/** A file of these tensors, in this order, with a header that ends where it ends. */
function fileBytes(specs: readonly Spec[], metadata?: readonly [string, string][]): Buffer {
  let offset = 0;
  const fields = specs.map(({ name, dtype, shape, byteLength }) => {
    const begin = offset;
    offset += byteLength;
    const info = { dtype, shape, data_offsets: [begin, offset] };
    return `${JSON.stringify(name)}:${JSON.stringify(info)}`;
  });
  if (metadata) {
    const pairs = metadata.map((pair) => pair.map((text) => JSON.stringify(text)).join(':'));
    fields.unshift(`"__metadata__":{${pairs.join(',')}}`);
  }
  const json = `{${fields.join(',')}}`;
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(offset)]);
}

const bytesOf = (name: string, byteLength = 1): Spec => ({
  name,
  dtype: 'U8',
  shape: [byteLength],
  byteLength,
});

const MODEL: Spec[] = [
  { name: 'model.layers.10.mlp.weight', dtype: 'F32', shape: [3, 2], byteLength: 24 },
  { name: 'model.layers.2.mlp.weight', dtype: 'F32', shape: [4], byteLength: 16 },
  { name: 'model.layers.2.mlp.bias', dtype: 'F16', shape: [2], byteLength: 4 },
  { name: 'model.layers.2.norm', dtype: 'U8', shape: [], byteLength: 1 },
  // From byte 45 on: no place for an F16.
  { name: 'lm_head.weight', dtype: 'F16', shape: [250, 2], byteLength: 1000 },
];
const METADATA: [string, string][] = [
  ['format', 'pt'],
  ['__proto__', 'kept'],
];

const HOSTILE = '\x1b[31m\u202e\n\x9b\x7f\u2028';
const HOSTILE_ESCAPED = '\\u001b[31m\\u202e\\u000a\\u009b\\u007f\\u2028';
// What may not reach a terminal, line feeds apart.
const ACTIVE = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;

const makeFile = fileMaker();
const model = makeFile(fileBytes(MODEL, METADATA));
const broken = makeFile(fileBytes(MODEL).subarray(0, -1), 'broken.safetensors');

/**
 * The lines of the table whose first column is called `title`, split into cells; the spaces among
 * the lines of a tree are dots.
 */
function tableRows(output: string, title: string): string[][] {
  const lines = output.split('\n');
  const start = lines.findIndex((line) => line.startsWith(title));
  expect(start, output).toBeGreaterThanOrEqual(0);
  expect(lines[start + 1]).toMatch(/^─+$/);
  const end = lines.indexOf('', start);
  return lines
    .slice(start + 2, end)
    .map((line) => line.replace(/^[│├└─ ]+/, (tree) => tree.replaceAll(' ', '·')))
    .map((line) => line.split(/ {2,}/));
}

async function inspect(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(['inspect', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function shownNames(...args: string[]): Promise<string[]> {
  return tableRows(await inspect(...args), 'name').map(([name]) => name);
}

describe('inspect', () => {
  it('shows the tensors in the order of the data, totals and metadata', async () => {
    const size = readFileSync(model).length;
    const stdout = await inspect(model);
    expect(stdout.split('\n').slice(0, 3)).toEqual([
      model,
      `5 tensors · 513 parameters · ${(size / 1000).toPrecision(3)} kB · 4 zero-copy`,
      '',
    ]);
    expect(tableRows(stdout, 'name')).toEqual([
      ['model.layers.10.mlp.weight', 'F32', '3 × 2', '24 B', '0', '24', 'yes'],
      ['model.layers.2.mlp.weight', 'F32', '4', '16 B', '24', '40', 'yes'],
      ['model.layers.2.mlp.bias', 'F16', '2', '4 B', '40', '44', 'yes'],
      ['model.layers.2.norm', 'U8', 'scalar', '1 B', '44', '45', 'yes'],
      ['lm_head.weight', 'F16', '250 × 2', '1 kB', '45', '1045', 'no'],
    ]);
    expect(tableRows(stdout, 'dtype')).toEqual([
      ['F16', '2', '502', '1 kB'],
      ['F32', '2', '10', '40 B'],
      ['U8', '1', '1', '1 B'],
      ['total', '5', '513', '1.04 kB'],
    ]);
    expect(stdout.endsWith('\nmetadata\nformat  pt\n__proto__  kept\n')).toBe(true);
  });

  it('aligns numbers to the right, and leaves no space at the end of a line', async () => {
    const stdout = await inspect(model);
    const lines = stdout.split('\n');
    const ends = lines.slice(3, 10).map((line) => line.match(/^.*\d(?= {2}(yes|no))/)?.[0].length);
    expect(new Set(ends.slice(2)).size).toBe(1);
    expect(stdout).not.toMatch(/[ \t]\n/);
  });

  it.each([
    ['name', ['lm_head', 'model.layers.2.mlp.b', 'model.layers.2.mlp.w', 'model.layers.2.n']],
    ['size', ['lm_head', 'model.layers.10', 'model.layers.2.mlp.w', 'model.layers.2.mlp.b']],
    ['dtype', ['model.layers.2.mlp.b', 'lm_head', 'model.layers.10', 'model.layers.2.mlp.w']],
    ['offset', ['model.layers.10', 'model.layers.2.mlp.w', 'model.layers.2.mlp.b']],
  ])('sorts by %s, either way', async (key, starts) => {
    const names = await shownNames(model, '--sort', key);
    expect(names).toHaveLength(MODEL.length);
    expect(starts.map((start, index) => names[index].startsWith(start))).not.toContain(false);
    const reversed = await shownNames(model, '--sort', key, '--reverse');
    // Equal ones keep the order of the data.
    if (key !== 'dtype') expect(reversed).toEqual(names.toReversed());
    else expect(reversed[0]).toBe('model.layers.2.norm');
  });

  it.each([
    [['*'], [0, 1, 2, 3, 4]],
    [['*.weight'], [0, 1, 4]],
    [
      ['*.weight', '*.bias'],
      [0, 1, 2, 4],
    ],
    [
      ['model.*', '!*.bias'],
      [0, 1, 3],
    ],
    [['!*.weight'], [2, 3]],
    [['!(*.weight)'], [2, 3]],
    [['model.layers.?.*'], [1, 2, 3]],
    [['*.{bias,norm}'], [2, 3]],
    [['*.[0-9][0-9].*'], [0]],
    [['lm_head.weight'], [4]],
  ])('filters by %j', async (globs, expected) => {
    const args = globs.flatMap((glob) => ['--filter', glob]);
    expect(await shownNames(...args, model)).toEqual(expected.map((index) => MODEL[index].name));
  });

  it('lets a star match slashes, dots at the start and line feeds, and a name itself', async () => {
    const names = ['a/b/.c', '.hidden', 'line\nfeed', 'w?{0,1}', ''];
    const path = makeFile(fileBytes(names.map((name) => bytesOf(name))));
    expect(await shownNames(path, '-f', '*')).toEqual([
      'a/b/.c',
      '.hidden',
      'line\\u000afeed',
      'w?{0,1}',
      '""',
    ]);
    expect(await shownNames(path, '-f', 'a*c')).toEqual(['a/b/.c']);
    expect(await shownNames(path, '-f', '*den')).toEqual(['.hidden']);
    expect(await shownNames(path, '-f', 'line*feed')).toEqual(['line\\u000afeed']);
    expect(await shownNames(path, '-f', 'w?{0,1}')).toEqual(['w?{0,1}']);
    expect(await shownNames(path, '-f', '')).toEqual(['""']);
  });

  it.each([
    ['l.{1..10}.w', 1, 10, ['l.0.w', 'l.11.w', 'l.100.w', 'l.1.10.w']],
    ['l.{8..12}.w', 8, 12, ['l.7.w', 'l.13.w', 'l.1.w', 'l.2.w']],
    ['l.{12..8}.w', 8, 12, ['l.7.w', 'l.13.w']],
  ])('takes %s for all numbers of the range, and for no others', async (glob, from, to, others) => {
    const names = Array.from({ length: to - from + 1 }, (_, i) => `l.${from + i}.w`);
    const path = makeFile(fileBytes([...others, ...names].map((name) => bytesOf(name))));
    expect(await shownNames(path, '-f', glob)).toEqual(names);
    expect(await shownNames(path, '-f', `!${glob}`)).toEqual(others);
  });

  it('takes ranges as bash does: with zeros, steps, signs and letters, one in another', async () => {
    const names = ['01', '1', '4', '-2', '-10', '10', 'b', 'd', '{1..x}'];
    const path = makeFile(fileBytes(names.map((name) => bytesOf(name))));
    const shown = (glob: string) => shownNames(path, '-f', glob);
    expect(await shown('{01..10}')).toEqual(['01', '10']);
    expect(await shown('{1..10..3}')).toEqual(['1', '4', '10']);
    expect(await shown('{-10..2..4}')).toEqual(['-2', '-10']);
    expect(await shown('{a..c}')).toEqual(['b']);
    expect(await shown('{d,{1..3}}')).toEqual(['1', 'd']);
  });

  it.each([
    ['{1..x}', '{1..x} is no range from a number to a number, or from a letter to a letter'],
    ['{aa..bb}', '{aa..bb} is no range from a number to a number, or from a letter to a letter'],
    ['{1..100000}', '{1..100000} stands for 100000 names; at most 1000 are allowed'],
  ])('refuses a range that it has no answer for: %s', async (glob, message) => {
    const { code, stdout, stderr } = await runCli(['inspect', model, '--filter', glob]);
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: '',
      stderr: `error: --filter: ${message}
`,
    });
  });

  it('totals what the filter lets through, of how much', async () => {
    const stdout = await inspect(model, '--filter', '*.mlp.weight');
    expect(stdout.split('\n')[1]).toMatch(
      /^2 of 5 tensors · 10 parameters · 40 B of 1\.\d+ kB · all zero-copy$/,
    );
    expect(tableRows(stdout, 'dtype')).toEqual([['F32', '2', '10', '40 B']]);
  });

  it('ends with 1 when no tensor matches', async () => {
    const { code, stdout, stderr } = await runCli(['inspect', model, '--filter', `no${HOSTILE}`]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `error: none of the 5 tensors matches "no${HOSTILE_ESCAPED}"\n`,
    });
    expect(stdout).toContain('0 of 5 tensors · 0 parameters');
  });

  it('shows a file without tensors', async () => {
    const path = makeFile(fileBytes([]));
    expect(await inspect(path)).toBe(`${path}\n0 tensors · 0 parameters · 16 B\n`);
    expect(JSON.parse(await inspect(path, '--json')).tensors).toEqual([]);
  });

  it('prints all as JSON', async () => {
    const document = JSON.parse(await inspect(model, '--json'));
    let end = 0;
    const expected = MODEL.map(({ name, dtype, shape, byteLength }, index) => {
      end += byteLength;
      const dataOffsets = [end - byteLength, end];
      const size = shape.reduce((product, length) => product * length, 1);
      return { name, dtype, shape, size, byteLength, dataOffsets, zeroCopy: index < 4 };
    });
    expect(document).toEqual({
      path: model,
      byteLength: readFileSync(model).length,
      backend: 'mmap',
      size: 5,
      metadata: Object.fromEntries(METADATA),
      tensors: expected,
      totals: {
        tensors: 5,
        parameters: 513,
        byteLength: 1045,
        dtypes: {
          F16: { tensors: 2, parameters: 502, byteLength: 1004 },
          F32: { tensors: 2, parameters: 10, byteLength: 40 },
          U8: { tensors: 1, parameters: 1, byteLength: 1 },
        },
      },
    });
    expect(Object.keys(document.metadata)).toEqual(['format', '__proto__']);
  });

  it('says in one line what it cannot open', async () => {
    const missing = `${model}-${HOSTILE}`;
    expect(await runCli(['inspect', missing])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `error: ENOENT ${model}-${HOSTILE_ESCAPED}: no such file or directory\n`,
    });
    // A variable of a shell that is not set.
    const unset = await runCli(['inspect', '']);
    expect(unset.stderr).toBe('error: ENOENT "": no such file or directory\n');
    expect((await runCli(['verify', ''])).stdout).toMatch(/^FAIL {2}""\n/);
    const { code, stdout, stderr } = await runCli(['inspect', broken]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^error: ERR_SAFETENSORS_TRUNCATED [^\n]+\n$/);
    expect(stderr.split(broken)).toHaveLength(2);
  });
});

describe('inspect --tree', () => {
  it('sums by module, and sorts layers by number', async () => {
    const rows = tableRows(await inspect(model, '--tree'), 'module');
    expect(rows).toEqual([
      ['lm_head.weight', '500', '1 kB', 'F16', '250 × 2'],
      ['model.layers', '4', '13', '45 B', 'mixed'],
      ['├─·2', '3', '7', '21 B', 'mixed'],
      ['│··├─·mlp', '2', '6', '20 B', 'mixed'],
      ['│··│··├─·bias', '2', '4 B', 'F16', '2'],
      ['│··│··└─·weight', '4', '16 B', 'F32', '4'],
      ['│··└─·norm', '1', '1 B', 'U8', 'scalar'],
      ['└─·10.mlp.weight', '6', '24 B', 'F32', '3 × 2'],
    ]);
  });

  it('stops at a depth, and sorts by size or place', async () => {
    const labels = async (...args: string[]) =>
      tableRows(await inspect(model, ...args), 'module').map(([label]) => label);
    expect(await labels('--depth', '1')).toEqual(['lm_head.weight', 'model.layers']);
    expect(await labels('-d', '2', '--sort', 'offset')).toEqual([
      'model.layers',
      '├─·10.mlp.weight',
      '└─·2',
      'lm_head.weight',
    ]);
    expect(await labels('-d', '1', '--sort', 'size', '-r')).toEqual([
      'model.layers',
      'lm_head.weight',
    ]);
  });

  it('is in the JSON as a list of modules', async () => {
    const { modules } = JSON.parse(await inspect(model, '--tree', '--json'));
    expect(modules).toEqual([
      { path: 'model.layers', tensors: 4, parameters: 13, byteLength: 45 },
      { path: 'model.layers.2', tensors: 3, parameters: 7, byteLength: 21 },
      { path: 'model.layers.2.mlp', tensors: 2, parameters: 6, byteLength: 20 },
    ]);
  });

  it('takes names that are modules too, empty parts and __proto__', async () => {
    const names = ['m', 'm.k', 'm..k', 'm.', '', '__proto__', '__proto__.constructor'];
    const path = makeFile(fileBytes(names.map((name) => bytesOf(name))));
    const rows = tableRows(await inspect(path, '--tree'), 'module');
    expect(rows.map(([label]) => label)).toEqual([
      '""',
      '__proto__',
      '├─·(itself)',
      '└─·constructor',
      'm',
      '├─·""',
      '│··├─·(itself)',
      '│··└─·k',
      '├─·(itself)',
      '└─·k',
    ]);
  });

  it('takes names of 10,000 dots, and modules in modules a thousand deep, in little time', async () => {
    const deep = `x${'.y'.repeat(10_000)}`;
    const ladder = Array.from({ length: 1000 }, (_, depth) => `${'a.'.repeat(depth)}b`);
    const path = makeFile(fileBytes([deep, `${deep}.z`, ...ladder].map((name) => bytesOf(name))));
    const started = performance.now();
    const stdout = await inspect(path, '--tree');
    const { modules } = JSON.parse(await inspect(path, '--tree', '--json'));
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(stdout).toContain(`\n${deep}  `);
    expect(modules.find((module: { path: string }) => module.path === deep).tensors).toBe(2);
    expect(modules).toHaveLength(1000 - 1);
  });
});

describe('verify', () => {
  it('goes through all files, and ends with 1 when one is bad', async () => {
    const missing = `${model}-missing`;
    const { code, stdout, stderr } = await runCli(['verify', model, broken, missing, model]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^ok {4}.+ {2}\(5 tensors, 1\.\d+ kB\)$/);
    expect(lines[1]).toBe(`FAIL  ${broken}`);
    expect(lines[2]).toMatch(/^ {6}ERR_SAFETENSORS_TRUNCATED {2}.*1045.*$/);
    expect(lines[2]).not.toContain(broken);
    expect(lines[3]).toBe(`FAIL  ${missing}`);
    expect(lines[4]).toBe('      ENOENT  no such file or directory');
    expect(lines.slice(5)).toEqual([lines[0], '', '4 files, 2 failed', '']);
  });

  it('ends with 0 when all are good', async () => {
    const { code, stdout } = await runCli(['verify', model, model]);
    expect(code).toBe(0);
    expect(stdout.endsWith('\n\n2 files, all ok\n')).toBe(true);
  });

  it('prints bad files only with --quiet', async () => {
    expect(await runCli(['verify', '--quiet', model])).toMatchObject({ code: 0, stdout: '' });
    const { code, stdout } = await runCli(['verify', '-q', model, broken]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^FAIL {2}[^\n]+\n {6}ERR_[^\n]+\n$/);
  });

  it('prints JSON', async () => {
    const bad = makeFile(fileBytes([{ ...MODEL[0], name: HOSTILE, shape: [7] }]));
    const { code, stdout } = await runCli(['verify', '--json', model, bad]);
    expect(code).toBe(1);
    expect(stdout).not.toMatch(ACTIVE);
    expect(JSON.parse(stdout)).toEqual({
      files: [
        { path: model, ok: true, tensors: 5, byteLength: readFileSync(model).length },
        {
          path: bad,
          ok: false,
          error: {
            code: 'ERR_SAFETENSORS_SIZE_MISMATCH',
            reason: expect.stringContaining(HOSTILE_ESCAPED),
            tensor: HOSTILE,
          },
        },
      ],
      ok: false,
    });
  });
});

describe('names from files', () => {
  const specs: Spec[] = [
    bytesOf(`a${HOSTILE}`),
    bytesOf('__proto__'),
    bytesOf(`m.${HOSTILE}.x`),
    bytesOf(`m.${HOSTILE}.y`),
  ];
  const hostile = makeFile(fileBytes(specs, [[`k${HOSTILE}`, `v${HOSTILE}`]]));

  it('do nothing to a terminal', async () => {
    for (const flags of [[], ['--tree'], ['--sort', 'name']]) {
      const stdout = await inspect(hostile, ...flags);
      expect(stdout).not.toMatch(ACTIVE);
      expect(stdout).toContain(`\na${HOSTILE_ESCAPED}  `);
      expect(stdout).toContain(`\nk${HOSTILE_ESCAPED}  v${HOSTILE_ESCAPED}\n`);
    }
  });

  it('are the same in JSON, where they do nothing either', async () => {
    const stdout = await inspect(hostile, '--json', '--tree');
    expect(stdout).not.toMatch(ACTIVE);
    const { tensors, metadata, modules } = JSON.parse(stdout);
    expect(tensors.map(({ name }: Spec) => name)).toEqual(specs.map(({ name }) => name));
    expect(metadata).toEqual({ [`k${HOSTILE}`]: `v${HOSTILE}` });
    expect(modules[0].path).toBe(`m.${HOSTILE}`);
  });

  it('are escaped in errors', async () => {
    const bad = makeFile(fileBytes([{ ...MODEL[0], name: HOSTILE, shape: [7] }]));
    const { stderr } = await runCli(['inspect', bad]);
    expect(stderr).not.toMatch(ACTIVE);
    expect(stderr).toContain(`"${HOSTILE_ESCAPED}"`);
    expect(stderr.match(/\n/g)).toHaveLength(1);
  });

  it('do not make every line as long as the longest of them', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `t${index}`);
    const long = 'n'.repeat(1_000_000);
    const stdout = await inspect(
      makeFile(fileBytes([long, ...names].map((name) => bytesOf(name)))),
    );
    expect(stdout).toContain(`\n${long}  U8`);
    expect(stdout.length).toBeLessThan(1_200_000);
  });
});

describe('misuse', () => {
  it.each([
    [[], 'Usage: safetensors'],
    [['bogus'], "unknown command 'bogus'"],
    [['inspect'], "missing required argument 'path'"],
    [['inspect', 'a', 'b'], 'too many arguments'],
    [['inspect', 'a', '--wat'], "unknown option '--wat'"],
    [['inspect', 'a', '--sort', 'wat'], 'Allowed choices are offset, name, size, dtype'],
    [['inspect', 'a', '--depth', '0'], 'a whole number from 1 on'],
    [['inspect', 'a', '--filter'], 'argument missing'],
    [['verify'], "missing required argument 'path'"],
    [['verify', '--json', '--quiet', 'a'], 'cannot be used with'],
  ])('%j ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  it('leads to the help that has what is missing', async () => {
    const { code, stderr } = await runCli(['convert', 'model.bin']);
    expect(code).toBe(2);
    const hint = /\(safetensors (\w+) --help shows what there is\)/.exec(stderr);
    expect(hint?.[1]).toBe('convert');
    expect((await runCli(['convert', '--help'])).stdout).toContain('-o, --output <path>');
    expect((await runCli(['bogus'])).stderr).toContain('(safetensors --help shows what there is)');
  });

  it('is told without what an argument does to a terminal', async () => {
    const { code, stderr } = await runCli(['inspect', `--${HOSTILE.replace('\n', '')}`]);
    expect(code).toBe(2);
    expect(stderr).not.toMatch(ACTIVE);
  });
});

it('prints its version and help', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  expect(await runCli(['--version'])).toMatchObject({
    code: 0,
    stdout: `${version}\n`,
    stderr: '',
  });
  for (const args of [['--help'], ['help', 'inspect'], ['inspect', '--help'], ['verify', '-h']]) {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Examples:\n  $ safetensors ');
  }
});

describe('output', () => {
  const many = makeFile(
    fileBytes(Array.from({ length: 92_000 }, (_, index) => bytesOf(`layers.${index}.weight`))),
  );

  it.each(['inspect', 'verify'])(
    'of a name of 90 million escapes ends well: %s',
    async (command) => {
      const path = makeFile(fileBytes([bytesOf('\x7f'.repeat(90e6))]));
      const { code, stderr } = await runCli([command, path]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    },
  );

  it('of a filter takes little time, whatever the names are', async () => {
    const path = makeFile(fileBytes([bytesOf('.layers'.repeat(300_000))]));
    const { code, stderr } = await runCli(['inspect', path, '--filter', '*.layers.*.weight']);
    expect({ code, stderr: stderr.slice(0, 11) }).toEqual({ code: 1, stderr: 'error: none' });
  });

  it('of a long list is laid out like that of a short one', async () => {
    // On both sides of the number of rows from which on the lines are padded here.
    const [short, long] = await Promise.all(
      [2000, 2001].map(async (count) => {
        const tensors = Array.from({ length: count }, (_, i) => bytesOf(`layers.${i % 10}.${i}`));
        return (await inspect(makeFile(fileBytes(tensors)))).split('\n').slice(3, 2000);
      }),
    );
    expect(long).toEqual(short);
  });

  // Time that grew with the square of the rows would end in the time-out.
  it('of 92,000 tensors is whole', async () => {
    const stdout = await inspect(many, '--sort', 'name', '--reverse');
    const rows = tableRows(stdout, 'name');
    expect(rows).toHaveLength(92_000);
    expect(rows[0][0]).toBe('layers.91999.weight');
    expect(JSON.parse(await inspect(many, '--json')).tensors).toHaveLength(92_000);
  });

  it('ends quietly when nobody reads on', async () => {
    const script = '"$@" | head -1; echo "$PIPESTATUS"';
    expect(await runCliInShell(script, ['inspect', many])).toMatchObject({
      stdout: `${many}\n141\n`,
      stderr: '',
    });
  });

  it('has colours under FORCE_COLOR, and never under NO_COLOR', async () => {
    const colored = /\x1b\[\d+m/;
    const args = ['inspect', model];
    expect((await runCli(args)).stdout).not.toMatch(colored);
    expect((await runCli(args, { FORCE_COLOR: '1' })).stdout).toMatch(colored);
    expect((await runCli(args, { FORCE_COLOR: '0' })).stdout).not.toMatch(colored);
    expect((await runCli(args, { FORCE_COLOR: '1', NO_COLOR: '1' })).stdout).not.toMatch(colored);
    expect((await runCli(['verify', model], { FORCE_COLOR: '1' })).stdout).toMatch(colored);
  });
});

describe('on a terminal', () => {
  const reason = whyNoTerminal();
  if (reason) console.warn(`Tests on a terminal are skipped: ${reason}`);

  const wide = '日本語'.repeat(20);
  const dimensions = Array(40).fill(1);
  const path = makeFile(
    fileBytes(
      [
        ...MODEL,
        bytesOf(`model.layers.31.self_attention.${'projection.'.repeat(12)}weight`),
        bytesOf(`${wide}.weight`),
        { name: 'dimensions', dtype: 'U8', shape: dimensions, byteLength: 1 },
      ],
      [['notes', 'long '.repeat(100)]],
    ),
  );

  it.skipIf(reason)('nothing is wider than it, and all stays that matters most', async () => {
    const fixed = ['name', 'dtype', 'shape', 'bytes', 'begin', 'end', 'zero-copy'];
    const expected = new Map([
      [20, 1],
      [36, 3],
      [60, 4],
      [80, 4],
      [100, 5],
      [120, 7],
      [400, 7],
    ]);
    for (const [columns, titles] of expected) {
      for (const flags of [[], ['--tree']]) {
        const args = ['inspect', path, ...flags];
        const { code, stdout } = await runCliInTerminal(columns, args, { NO_COLOR: '1' });
        expect(code).toBe(0);
        const lines = stdout.replaceAll('\r', '').split('\n');
        const widest = Math.max(...lines.map((line) => stringWidth(line)));
        expect(widest, `${columns} columns`).toBeLessThanOrEqual(columns);
        if (flags.length > 0) continue;
        const head = lines.find((line) => line.startsWith('name'))?.split(/ {2,}/);
        expect(head?.length, `${columns} columns: ${head}`).toBeGreaterThanOrEqual(titles);
        expect(fixed).toEqual(expect.arrayContaining(head ?? []));
        if (columns >= 60 && columns <= 120)
          expect(stdout).toMatch(/\nmodel\.[^ ]*…[^ ]*\.weight /);
      }
    }
  });

  it.skipIf(reason)('there are colours, unless NO_COLOR or TERM=dumb forbid them', async () => {
    const args = ['inspect', model];
    expect((await runCliInTerminal(80, args)).stdout).toMatch(/\x1b\[36mF32\x1b\[39m/);
    expect((await runCliInTerminal(80, args, { NO_COLOR: '1' })).stdout).not.toContain('\x1b');
    expect((await runCliInTerminal(80, args, { TERM: 'dumb' })).stdout).not.toContain('\x1b');
    expect((await runCliInTerminal(80, ['--help'])).code).toBe(0);
  });

  it('a width of zero means that it is not known', () => {
    expect(terminalOf({ isTTY: true, columns: 0 }, {}).width).toBe(80);
    expect(terminalOf({ isTTY: true, columns: 132 }, {}).width).toBe(132);
    expect(terminalOf({ isTTY: false }, {}).width).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('fitMiddle', () => {
  it('keeps a third of the beginning and two of the end', () => {
    expect(fitMiddle('abcdefghij', 10)).toBe('abcdefghij');
    expect(fitMiddle('abcdefghij', 7)).toBe('ab…ghij');
    expect(fitMiddle('abcdefghij', 1)).toBe('…');
    expect(fitMiddle('abcdefghij', 0)).toBe('');
  });

  it.each([
    'plain.weight'.repeat(9),
    '日本語の重み'.repeat(9),
    '👩‍👩‍👧‍👦 family'.repeat(9),
    `e${'\u0301'.repeat(5000)}`.repeat(9),
    'n'.repeat(10_000_000),
  ])('never takes more than the width (%#)', (text) => {
    for (let width = 0; width < 40; width++) {
      expect(stringWidth(fitMiddle(text, width))).toBeLessThanOrEqual(width);
    }
  });
});

it('compares numbers in names by value', () => {
  const names = ['a.10', 'a.9', 'a.09', 'a', 'a.9.b', 'b', 'a.x', 'a.18446744073709551616', ''];
  expect(names.toSorted(compareNatural)).toEqual([
    '',
    'a',
    'a.09',
    'a.9',
    'a.9.b',
    'a.10',
    'a.18446744073709551616',
    'a.x',
    'b',
  ]);
});
