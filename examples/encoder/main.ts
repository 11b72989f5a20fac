/**
 * Runs one encoder through ONNX Runtime and through TensorFlow.js, both on the tensors of the same mapped
 * file, once in F32 and once in BF16, and compares what they answer with numpy's answers in reference.json.
 * `--write FOLDER` only writes the models; `--json` prints the comparison as JSON.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { openModel } from 'safetensors-mmap';
import type { Batch, Encoded } from './batch.ts';
import { parseConfig, TINY } from './config.ts';
import { checkLayout } from './layout.ts';
import { encodeWithOnnxRuntime } from './onnxruntime.ts';
import { encodeWithTfjs } from './tfjs.ts';
import { writeModel } from './write-model.ts';

const DTYPES = ['F32', 'BF16'] as const;
const BACKENDS = { 'ONNX Runtime': encodeWithOnnxRuntime, 'TensorFlow.js': encodeWithTfjs };
const OUTPUTS = ['last_hidden_state', 'sentence_embedding'] as const;

/** Numbers of about 1 in F32, after three layers: none may be further off than this. */
const TOLERANCE = 1e-5;

type Answers = Record<keyof Encoded, number[]> & { sha256: string };
type Reference = Batch & Record<(typeof DTYPES)[number], Answers>;

/** How far a backend is from the reference. */
interface Comparison {
  readonly dtype: string;
  readonly backend: string;
  readonly output: string;
  /** Numbers that were compared. */
  readonly count: number;
  readonly largestDifference: number;
}

const { write, json } = parseArgs({
  options: { write: { type: 'string' }, json: { type: 'boolean' } },
}).values;
if (write !== undefined) {
  await writeModels(write);
} else {
  const folder = await mkdtemp(join(tmpdir(), 'encoder-'));
  try {
    await writeModels(folder);
    report(await compareAll(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeModels(folder: string): Promise<void> {
  for (const dtype of DTYPES) await writeModel(folderOf(folder, dtype), TINY, { dtype });
}

function folderOf(folder: string, dtype: string): string {
  return join(folder, dtype.toLowerCase());
}

async function compareAll(folder: string): Promise<Comparison[]> {
  const reference: Reference = JSON.parse(
    await readFile(new URL('../reference.json', import.meta.url), 'utf8'),
  );
  const comparisons: Comparison[] = [];
  for (const dtype of DTYPES) {
    using model = await openModel(folderOf(folder, dtype));
    const wanted = reference[dtype];
    if ((await sha256(model.path)) !== wanted.sha256) {
      throw new Error(`${model.path} is not the file that reference.json was made from`);
    }
    const config = parseConfig(await readFile(join(dirname(model.path), 'config.json'), 'utf8'));
    checkLayout(model, config);
    for (const [backend, encode] of Object.entries(BACKENDS)) {
      const encoded = await encode(model, config, reference);
      for (const output of OUTPUTS) {
        const largestDifference = differenceOf(encoded[output], wanted[output]);
        comparisons.push({
          dtype,
          backend,
          output,
          count: wanted[output].length,
          largestDifference,
        });
      }
    }
  }
  return comparisons;
}

/** The largest; infinite where the lengths differ or something is no number. */
function differenceOf(found: Float32Array, wanted: readonly number[]): number {
  if (found.length !== wanted.length) return Infinity;
  const differences = wanted.map((value, place) => Math.abs(value - found[place]));
  return differences.some(Number.isNaN) ? Infinity : Math.max(...differences);
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

function report(comparisons: readonly Comparison[]): void {
  if (json) console.log(JSON.stringify({ tolerance: TOLERANCE, comparisons }, null, 2));
  else {
    console.log(`largest differences from numpy, of ${TOLERANCE} allowed:`);
    console.table(comparisons);
  }
  if (comparisons.some(({ largestDifference }) => !(largestDifference <= TOLERANCE))) {
    console.error('encoder: a backend does not agree with numpy');
    process.exitCode = 1;
  }
}
