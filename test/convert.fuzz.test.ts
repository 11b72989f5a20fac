import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint, scanCheckpoint } from '../src/convert/index.ts';
import { openModel, SafetensorsError } from '../src/index.ts';
import { checkpoint, entriesOf, named, pickle, py, tensor, zip } from './support/checkpoints.ts';
import { runPython, runSeed } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';
import { withoutTorch } from './support/torch.ts';

const RUNS = Number(process.env.SAFETENSORS_MMAP_FUZZ_RUNS ?? 400);
/** Larger files are mutated where nobody looks. */
const MOST_BYTES = 100_000;

const folder = temporaryFolder();
const input = join(folder, 'mutant.pt');
const output = join(folder, 'mutant.safetensors');

/** A change of a file: of bytes somewhere, to others, with others in their place, or with none. */
const mutation = fc.record({
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  /** Structures are at both ends of most files. */
  near: fc.constantFrom('start', 'end', 'anywhere'),
  removed: fc.nat(8),
  inserted: fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom(
      ...[
        'ff',
        '00',
        '80',
        '2e',
        '5d',
        '7d',
        '28',
        '75',
        '52',
        '62',
        '93',
        'ffffffff',
        'ffffff7f',
      ].map((hex) => new Uint8Array(Buffer.from(hex, 'hex'))),
    ),
  ),
  /** Whether as many bytes are taken out as are put in, so that what follows keeps its place. */
  keepsLength: fc.boolean(),
});

type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

function mutate(bytes: Buffer, changes: readonly Mutation[]): Buffer {
  return changes.reduce<Buffer>((now, { place, near, removed, inserted, keepsLength }) => {
    const span = near === 'anywhere' ? now.length : Math.min(now.length, 700);
    const at = Math.floor(place * span) + (near === 'end' ? now.length - span : 0);
    const end = at + (keepsLength ? inserted.length : removed);
    return Buffer.concat([now.subarray(0, at), inserted, now.subarray(end)]);
  }, bytes);
}

/** Whatever a file is, it is converted to one that is right, or refused. */
async function isHandled(bytes: Buffer): Promise<void> {
  writeFileSync(input, bytes);
  rmSync(output, { force: true });
  const [report] = await scanCheckpoint(input);
  expect(['safe', 'unknown', 'dangerous']).toContain(report.verdict);
  try {
    await convertCheckpoint(input, output, { fsync: false, skipUnknown: true, key: '' });
  } catch (error) {
    if (error instanceof SafetensorsError) return;
    throw error;
  }
  using model = await openModel(output);
  expect(model.size).toBeGreaterThan(0);
}

async function fuzz(files: readonly Buffer[], seed: number): Promise<void> {
  for (const file of files) await isHandled(file);
  const property = fc.asyncProperty(
    fc.constantFrom(...files),
    fc.array(mutation, { minLength: 1, maxLength: 4 }),
    (file, changes) => isHandled(mutate(file, changes)),
  );
  await fc.assert(property, { numRuns: RUNS, seed });
}

describe('mutated checkpoints are converted or refused', () => {
  it('of a few values', { timeout: 600_000 }, async () => {
    const args = py.call(py.global('argparse', 'Namespace'), py.text('x'));
    const value = named(
      ['a', tensor()],
      ['b', tensor({ shape: [2, 2], strides: [1, 2] })],
      ['nested', py.dict([py.int(3), py.list(tensor({ key: '1' }), py.none, py.true)])],
      ['args', py.build(args, py.dict([py.text('lr'), py.int(3)]))],
    );
    const storages = { 0: Buffer.alloc(16, 1), 1: Buffer.alloc(16, 2) };
    const seed = runSeed();
    await fuzz([checkpoint(value, storages)], seed);
    // The zip file is right, and only its pickle is not.
    const property = fc.asyncProperty(
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      (changes) => isHandled(zip(entriesOf(mutate(pickle(value), changes), storages))),
    );
    await fc.assert(property, { numRuns: RUNS, seed });
  });

  describe('that PyTorch wrote', () => {
    beforeEach(withoutTorch('mutated checkpoints of PyTorch'));

    it('of all kinds', { timeout: 600_000 }, async () => {
      const seed = runSeed();
      const cases: { file: string }[] = JSON.parse(
        runPython('make_checkpoints.py', folder, `${seed}`),
      );
      const small = cases
        .map(({ file }) => file)
        .filter((file) => statSync(file).size < MOST_BYTES);
      expect(small.length).toBeGreaterThan(20);
      await fuzz(
        small.map((file) => readFileSync(file)),
        seed,
      );
    });
  });
});
