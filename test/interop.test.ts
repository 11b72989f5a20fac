import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  deserialize,
  type SafetensorsError,
  safeOpen,
  safeOpenSync,
} from '../src/index.ts';
import { anyModel, anyMutations, fileOf, looseHeader, mutated } from './support/arbitraries.ts';
import { ALL_DTYPES, rawFile } from './support/build.ts';
import { python, readByReference, runPython, runSeed, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';
import { byName, sha256, stricterRule, type Verdict, verdictOf } from './support/verdict.ts';

interface ManifestTensor {
  name: string;
  dtype: string;
  shape: number[];
  sha256: string;
  /** The first elements as Python prints them, where they are numbers. */
  numbers?: string[];
}

/** What Python says of the files that it wrote: see interop/write_all.py. */
interface Manifest {
  safetensors: string;
  seed: number;
  files: { file: string; metadata: Record<string, string>; tensors: ManifestTensor[] }[];
}

const ways: Record<string, (path: string) => Promise<Container>> = {
  safeOpen: (path) => safeOpen(path),
  safeOpenSync: async (path) => safeOpenSync(path),
  deserialize: async (path) => deserialize(readFileSync(path)),
};

/** The value of a number that Python printed. */
function number(text: string, like: number | bigint): number | bigint {
  if (typeof like === 'bigint') return BigInt(text);
  const special: Record<string, number> = { nan: NaN, inf: Infinity, '-inf': -Infinity };
  return special[text] ?? Number(text);
}

function expectAsPythonSays(container: Container, { metadata, tensors }: Manifest['files'][0]) {
  expect({ ...container.metadata }).toEqual(metadata);
  expect(container.keys().sort()).toEqual(tensors.map(({ name }) => name).sort());
  const filled = container.offsetKeys().filter((name) => container.getTensor(name).byteLength > 0);
  expect(filled).toEqual(tensors.map(({ name }) => name).filter((name) => filled.includes(name)));
  for (const { name, dtype, shape, sha256: hash, numbers } of tensors) {
    const tensor = container.getTensor(name);
    expect({ dtype: tensor.dtype, shape: tensor.shape }, name).toEqual({ dtype, shape });
    expect(sha256(tensor.bytes), name).toBe(hash);
    const { data } = tensor;
    expect(sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)), name).toBe(hash);
    const shown = [...data.slice(0, numbers?.length)];
    if (numbers) expect(shown, name).toEqual(numbers.map((text, i) => number(text, shown[i])));
  }
}

function readManifest(folder: string): Manifest {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  expect(manifest.safetensors).toBe('0.8.0');
  return manifest;
}

/** Checks every file of a folder that write_all.py wrote. */
async function expectFolder(folder: string): Promise<void> {
  const { files } = readManifest(folder);
  expect(files.length).toBeGreaterThanOrEqual(6);
  for (const file of files) {
    for (const open of Object.values(ways)) {
      using container = await open(join(folder, file.file));
      expectAsPythonSays(container, file);
    }
  }
  const tensors = files.flatMap((file) => file.tensors);
  expect(new Set(tensors.map(({ dtype }) => dtype))).toEqual(new Set(ALL_DTYPES));
  expect(tensors.some(({ shape }) => shape.length === 0)).toBe(true);
  expect(tensors.some(({ shape }) => shape.includes(0))).toBe(true);
}

const fixtures = fileURLToPath(new URL('./fixtures/interop/', import.meta.url));

describe('files that the reference wrote, from the repository', () => {
  describe.each(readManifest(fixtures).files)('$file', (file) => {
    it.each(Object.entries(ways))('%s', async (_, open) => {
      using container = await open(join(fixtures, file.file));
      expectAsPythonSays(container, file);
    });
  });

  it('have every dtype, scalars and dimensions of 0', () => expectFolder(fixtures));

  it('have tensors at odd places, which are copied', () => {
    using file = safeOpenSync(join(fixtures, 'misaligned.safetensors'));
    const copied = [...file].filter(([, { zeroCopy }]) => !zeroCopy).map(([name]) => name);
    expect(copied.length).toBeGreaterThan(5);
  });

  it('have names whose order in UTF-8 is not that of UTF-16', () => {
    using file = safeOpenSync(join(fixtures, 'names.safetensors'));
    expect(file.keys().sort()).not.toEqual(
      file.keys().sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
  });
});

/** Numbers that readers of JSON disagree on. */
const EDGE_NUMBERS = [
  ...[
    '0e999',
    '-0e999',
    '0.0e99999999999',
    '1e-999',
    '1e999',
    '-1e999',
    '1e308',
    '1.8e308',
    '1e309',
  ],
  ...['1.7976931348623157e308', '1.7976931348623159e308', '5e-324', '1e-99999999999999999999'],
  ...[
    '1e99999999999999999999',
    '9'.repeat(308),
    '9'.repeat(309),
    '9'.repeat(310),
    '9'.repeat(1000),
  ],
  ...[`0.${'0'.repeat(400)}1e400`, `${'1'.repeat(400)}e-400`, `1${'0'.repeat(400)}e-400`],
  ...[`1.${'9'.repeat(1000)}`, '18446744073709551616', '-9223372036854775809', '-0', '0.1', '1E+2'],
  ...[
    '01',
    '-',
    '1.',
    '.1',
    '1e',
    '1e+',
    '+1',
    '0x1',
    '1_0',
    'Infinity',
    '-Infinity',
    'NaN',
    '--1',
  ],
];

describe('a live Python', () => {
  it('is there', withoutPython('the live part of test/interop.test.ts'));

  describe.skipIf(python.problem !== undefined)('with the reference', () => {
    const folder = temporaryFolder();

    it('writes the fixtures byte for byte', () => {
      const again = join(folder, 'fixtures');
      runPython('write_all.py', again);
      for (const { file } of readManifest(fixtures).files) {
        const [then, now] = [fixtures, again].map((place) =>
          sha256(readFileSync(join(place, file))),
        );
        expect(now, file).toBe(then);
      }
    });

    it('writes files of every dtype that are read here byte for byte', async () => {
      const seed = runSeed();
      const written = join(folder, 'written');
      runPython('write_all.py', written, '--full', '--seed', String(seed));
      expect(readManifest(written).seed).toBe(seed);
      await expectFolder(written);
    });

    it('agrees on every file that is made here', () => {
      const seed = runSeed();
      const made = join(folder, 'made');
      mkdirSync(made);
      const bytes = new Map<string, Buffer>();
      const models = fc.sample(fc.tuple(anyModel, fc.integer(), anyMutations), {
        seed,
        numRuns: 500,
      });
      for (const [i, [model, choices, mutations]] of models.entries()) {
        const header = Buffer.from(looseHeader(model, choices));
        bytes.set(`${i}-valid`, fileOf(model, header));
        bytes.set(`${i}-changed-header`, fileOf(model, mutated(header, mutations)));
        bytes.set(`${i}-changed-file`, mutated(fileOf(model, header), mutations));
      }
      for (const [i, number] of EDGE_NUMBERS.entries()) {
        const header = `{"a":{"x":${number},"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`;
        bytes.set(`number-${i}`, rawFile(header));
      }
      for (const [name, file] of bytes) writeFileSync(join(made, name), file);

      const counts = { valid: 0, 'both read': 0, 'both refuse': 0, stricter: 0 };
      for (const { file, ...theirs } of readByReference<Verdict & { file: string }>(made)) {
        const ours = verdictOf(bytes.get(file) as Buffer);
        if (file.endsWith('-valid')) {
          counts.valid++;
          expect(theirs.ok, file).toBe(true);
          expect(ours, file).not.toBeInstanceOf(Error);
        }
        if (theirs.ok && !(ours instanceof Error)) {
          counts['both read']++;
          expect(ours, file).toEqual({ ...theirs, tensors: byName(theirs.tensors) });
        } else if (theirs.ok) {
          counts.stricter++;
          expect(stricterRule(ours as SafetensorsError), `${file}: ${ours}`).toBeDefined();
        } else {
          counts['both refuse']++;
          expect(ours, `${file}: ${theirs.message}`).toBeInstanceOf(Error);
          expect((ours as SafetensorsError).code, file).toMatch(/^ERR_SAFETENSORS_/);
        }
      }
      expect(counts.valid).toBe(500);
      expect(counts['both read']).toBeGreaterThan(counts.valid);
      expect(counts['both refuse']).toBeGreaterThan(0);
    });
  });
});
