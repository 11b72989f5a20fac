import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { dtypes as jax } from '../src/adapters/jax.ts';
import { dtypes as ndarray } from '../src/adapters/ndarray.ts';
import { dtypes as onnxruntime } from '../src/adapters/onnxruntime.ts';
import { dtypes as stdlib } from '../src/adapters/stdlib.ts';
import { dtypes as tfjs } from '../src/adapters/tfjs.ts';
import { dtypes as transformers } from '../src/adapters/transformers.ts';
import { dtypes as webgpu } from '../src/adapters/webgpu.ts';
import { backendsTable, withTable } from './support/backends-table.ts';
import { ALL_DTYPES } from './support/build.ts';

const docs = fileURLToPath(new URL('../docs/', import.meta.url));
const tables = { onnxruntime, tfjs, transformers, ndarray, stdlib, webgpu, jax };

it('the table of docs/backends.md is that of the adapters; else: npm run docs', () => {
  const page = readFileSync(`${docs}backends.md`, 'utf8');
  expect(page).toBe(withTable(page, backendsTable(tables)));
  const [names] = page.match(/(?<=<!-- table[\s\S]*\n)\| [A-Z][\s\S]*(?=\n<!-- end)/) ?? [''];
  const listed = names.split('\n').flatMap((row) => row.split(' | ')[0].slice(2).split(', '));
  expect(listed.sort()).toEqual([...ALL_DTYPES].sort());
});

it('every adapter has a page with a program, and every link of the pages leads somewhere', () => {
  for (const name of Object.keys(tables)) {
    expect(readFileSync(`${docs}${name}.md`, 'utf8'), name).toMatch(/^```js$[\s\S]*^```$/m);
  }
  const pages = readdirSync(docs).filter((name) => name.endsWith('.md'));
  expect(pages.length).toBeGreaterThan(Object.keys(tables).length);
  for (const page of pages) {
    for (const [, target] of readFileSync(`${docs}${page}`, 'utf8').matchAll(/\]\(([^):#]+)/g)) {
      expect(
        existsSync(new URL(target, new URL(page, `file://${docs}`))),
        `${page}: ${target}`,
      ).toBe(true);
    }
  }
});

it('every adapter is exported by its name', () => {
  const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  for (const name of Object.keys(tables)) {
    expect(exports[`./${name}`]).toEqual({
      types: `./lib/adapters/${name}.d.ts`,
      default: `./lib/adapters/${name}.js`,
    });
  }
});
