// Files that are changed a little: those that the reference wrote, the cases of the conformance suite,
// and headers with the names of published models.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deepSeekV3 } from '../../benchmarks/models/deepseek-v3.ts';
import { llama405b } from '../../benchmarks/models/llama-405b.ts';
import { FRAGMENTS } from '../support/arbitraries.ts';
import { buildFile, DTYPE_BITS, patternBytes } from '../support/build.ts';
import { root } from '../tools/native-build.ts';
import type { Random } from './random.ts';

const fixtures = join(root, 'test', 'fixtures');
const LONGEST_SEED = 50_000;
/** Tensors in a row of a published model. */
const TENSORS = 40;

function published(
  specs: readonly { name: string; dtype: keyof typeof DTYPE_BITS; shape: number[] }[],
): Buffer {
  const tensors = specs.map(({ name, dtype, shape: real }, i) => {
    const shape = real.map((dimension) => dimension % 5);
    const bytes = shape.reduce((product, dimension) => product * dimension, 1) * DTYPE_BITS[dtype];
    return { name, dtype, shape, data: patternBytes(bytes / 8, i) };
  });
  return buildFile(tensors, { metadata: { format: 'pt' } });
}

export function seedFiles(): Buffer[] {
  const written = readdirSync(join(fixtures, 'interop'))
    .filter((name) => name.endsWith('.safetensors'))
    .map((name) => readFileSync(join(fixtures, 'interop', name)));
  const cases: { base64: string }[] = JSON.parse(
    readFileSync(join(fixtures, 'cases.json'), 'utf8'),
  );
  const crafted = cases.map(({ base64 }) => Buffer.from(base64, 'base64'));
  const models = [[...deepSeekV3()].slice(100, 100 + TENSORS), [...llama405b()].slice(0, TENSORS)];
  const seeds = [...written, ...crafted, ...models.map(published)];
  return seeds.filter(({ length }) => length <= LONGEST_SEED);
}

function changedOnce(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  const length = 1 + random.below(random.once(4) ? 40 : 4);
  const other = random.below(bytes.length + 1);
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([head, Buffer.from([random.below(256)]), tail.subarray(1)]);
    case 1:
      return Buffer.concat([head, tail.subarray(length)]);
    case 2:
      return Buffer.concat([head, Buffer.from(random.pick(FRAGMENTS)), tail]);
    case 3:
      return Buffer.concat([head, Buffer.from(random.pick(FRAGMENTS)), tail.subarray(1)]);
    case 4:
      return Buffer.concat([head, tail.subarray(0, length), tail]);
    default:
      return Buffer.concat([head, bytes.subarray(other, other + 8 * length), tail]);
  }
}

/** A file with its header changed, and mostly the length of the header with it. */
export function changed(random: Random, file: Buffer): Buffer {
  const declared = file.length >= 8 ? file.readBigUInt64LE() : 0n;
  if (random.once(10) || declared > BigInt(file.length - 8)) return changedOnce(random, file);
  const end = 8 + Number(declared);
  let header = file.subarray(8, end);
  for (let left = 1 + random.below(3); left > 0; left--) header = changedOnce(random, header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, file.subarray(end)]);
}
