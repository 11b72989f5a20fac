/** Writes the table of docs/backends.md anew: npm run docs */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dtypesWithFloat16Array as jax } from 'safetensors-mmap/jax';
import { dtypes as ndarray } from 'safetensors-mmap/ndarray';
import { dtypes as onnxruntime } from 'safetensors-mmap/onnxruntime';
import { dtypes as stdlib } from 'safetensors-mmap/stdlib';
import { dtypes as tfjs } from 'safetensors-mmap/tfjs';
import { dtypes as transformers } from 'safetensors-mmap/transformers';
import { dtypes as webgpu } from 'safetensors-mmap/webgpu';
import { backendsTable, withTable } from '../support/backends-table.ts';

const page = fileURLToPath(new URL('../../../docs/backends.md', import.meta.url));
const table = backendsTable({ onnxruntime, tfjs, transformers, ndarray, stdlib, webgpu, jax });
writeFileSync(page, withTable(readFileSync(page, 'utf8'), table));
