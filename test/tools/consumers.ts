// The programs that test/tools/tarball.ts runs and type-checks in a folder of their own, where the
// package is installed from its tarball.

/** A file of one F32 tensor and one BF16 tensor. */
export function sampleFile(): Uint8Array {
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    weight: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
    bias: { dtype: 'BF16', shape: [2], data_offsets: [16, 20] },
  });
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8, ' ');
  const bytes = Buffer.alloc(8 + padded.length + 20);
  bytes.writeBigUInt64LE(BigInt(padded.length));
  bytes.write(padded, 8, 'latin1');
  [1, -2, 0.5, 4].forEach((value, index) => {
    bytes.writeFloatLE(value, 8 + padded.length + 4 * index);
  });
  bytes.writeUInt16LE(0x3f80, 8 + padded.length + 16);
  bytes.writeUInt16LE(0xc000, 8 + padded.length + 18);
  return bytes;
}

const program = `
const file = await safeOpen('model.safetensors');
const weight = file.getTensor('weight');
assert.deepEqual([...weight.data], [1, -2, 0.5, 4]);
assert.deepEqual([...file.getTensor('bias').data], [0x3f80, 0xc000]);
assert.equal(file.metadata.format, 'pt');
assert.equal(weight.zeroCopy, true);
const view = weight.data;
file[Symbol.dispose]();
assert.equal(file.closed, true);
assert.equal(view.length, 0);
assert.throws(() => file.getTensor('weight'), { code: 'ERR_SAFETENSORS_CLOSED' });
await assert.rejects(safeOpen('broken.safetensors'), (error) =>
  error instanceof SafetensorsError && error.code === 'ERR_SAFETENSORS_TRUNCATED');
await assert.rejects(safeOpen('absent.safetensors'), { code: 'ENOENT' });
console.log('used');
`;

/** Programs that use the package and print "used", by file name. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  'use.mjs': `import assert from 'node:assert/strict';
import { SafetensorsError, safeOpen } from 'safetensors-mmap';
${program}`,
  'use.cjs': `const assert = require('node:assert/strict');
const { SafetensorsError, safeOpen } = require('safetensors-mmap');
(async () => {${program}})();`,
  'subpaths.mjs': `import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { safeOpen } from 'safetensors-mmap';
import { fromHub } from 'safetensors-mmap/hub';
import { dtypes, toNdarray } from 'safetensors-mmap/ndarray';

const { exports } = JSON.parse(readFileSync('node_modules/safetensors-mmap/package.json'));
const names = Object.keys(exports).filter((name) => name !== './package.json');
assert.ok(names.length > 5);
for (const name of names) {
  const subpath = name.replace('.', 'safetensors-mmap');
  assert.ok(Object.keys(await import(subpath)).length > 0, subpath);
}
await assert.rejects(fromHub('owner/name'), { message: /npm install @huggingface\\/hub/ });
const file = await safeOpen('model.safetensors');
const found = toNdarray((data, shape) => ({ data, shape }), file.getTensor('weight'));
assert.deepEqual([...found.data, ...found.shape], [1, -2, 0.5, 4, 2, 2]);
assert.equal(dtypes.F32.copy, false);
console.log('used');
`,
};

/** Prints the error of a package whose addon is missing; what needs no addon works all the same. */
export const WITHOUT_ADDON = `import { readFileSync } from 'node:fs';
import { deserialize, safeOpen } from 'safetensors-mmap';
console.log(deserialize(readFileSync('model.safetensors')).getTensor('weight').data.join());
await safeOpen('model.safetensors').catch((error) => console.log(error.message));
`;

const typedUse = `
export async function sum(path: string): Promise<number> {
  const file: SafetensorsFile = await safeOpen(path, { duplicates: 'reject' });
  try {
    const tensor: Tensor = file.getTensor('weight');
    const shape: readonly number[] = tensor.shape;
    const data: TensorData = tensor.data;
    return Number(data[0]) + shape.length;
  } catch (error) {
    if (error instanceof SafetensorsError) {
      const code: SafetensorsErrorCode = error.code;
      throw new Error(code);
    }
    throw error;
  } finally {
    file.close();
  }
}
// @ts-expect-error: a path is a string; this line fails if the types have become \`any\`.
safeOpen(42);
`;
const typedNames =
  'SafetensorsError, safeOpen, type SafetensorsErrorCode, type SafetensorsFile, type Tensor, type TensorData';

/** Sources that must type-check, by file name. */
export const TYPED: Readonly<Record<string, string>> = {
  'typed.mts': `import { ${typedNames} } from 'safetensors-mmap';\n${typedUse}`,
  'subpaths.mts': `import type { SafetensorsModel } from 'safetensors-mmap';
import { fromHub } from 'safetensors-mmap/hub';
import { toTensor } from 'safetensors-mmap/onnxruntime';
import { type RemoteHeader, readRemoteHeader } from 'safetensors-mmap/remote';
declare const ort: { Tensor: new (data: Float32Array, dims: readonly number[]) => { cpu: true } };
const model: SafetensorsModel = await fromHub('owner/name', { revision: 'main' });
const { cpu } = toTensor(ort, model.getTensor('weight'), { decode: 'float32' });
const header: RemoteHeader = await readRemoteHeader(new URL('https://host/m'), { timeoutMs: 1 });
export const found: [true, string] = [cpu, header.url];
// @ts-expect-error: this line fails if the types have become \`any\`.
toTensor(ort, 42);
`,
  'typed.cts': `import { ${typedNames} } from 'safetensors-mmap';\n${typedUse}`,
};
