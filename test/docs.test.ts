import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { dtypesWithFloat16Array as jax } from '../src/adapters/jax.ts';
import { dtypes as ndarray } from '../src/adapters/ndarray.ts';
import { dtypes as onnxruntime } from '../src/adapters/onnxruntime.ts';
import { dtypes as stdlib } from '../src/adapters/stdlib.ts';
import { dtypes as tfjs } from '../src/adapters/tfjs.ts';
import { dtypes as transformers } from '../src/adapters/transformers.ts';
import { dtypes as webgpu } from '../src/adapters/webgpu.ts';
import { backendsTable, withTable } from './support/backends-table.ts';
import { ALL_DTYPES } from './support/build.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const docs = `${root}docs/`;
const tables = { onnxruntime, tfjs, transformers, ndarray, stdlib, webgpu, jax };

it('the table of docs/backends.md is that of the adapters; else: npm run docs', () => {
  const page = readFileSync(`${docs}backends.md`, 'utf8');
  expect(page).toBe(withTable(page, backendsTable(tables)));
  const [names] = page.match(/(?<=<!-- table[\s\S]*\n)\| [A-Z][\s\S]*(?=\n<!-- end)/) ?? [''];
  const listed = names.split('\n').flatMap((row) => row.split(' | ')[0].slice(2).split(', '));
  expect(listed.sort()).toEqual([...ALL_DTYPES].sort());
});

it('every adapter has a page with a program', () => {
  for (const name of Object.keys(tables)) {
    expect(readFileSync(`${docs}${name}.md`, 'utf8'), name).toMatch(/^```js$[\s\S]*^```$/m);
  }
});

it('every link of every page leads to a file, and to a heading of it', () => {
  const pages = ['', 'docs/', 'examples/'].flatMap(pagesOf);
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/guide.md', 'SECURITY.md']));
  let followed = 0;
  for (const page of pages) {
    const path = `${root}${page}`;
    for (const [, file, heading] of readFileSync(path, 'utf8').matchAll(
      /\]\((?!https?:)([^)#]*)#?([^)]*)\)/g,
    )) {
      const target = fileURLToPath(new URL(file, pathToFileURL(path)));
      expect(existsSync(target), `${page}: ${file}`).toBe(true);
      if (heading !== '') {
        expect(anchorsOf(file === '' ? path : target), `${page}: ${file}`).toContain(heading);
      }
      followed++;
    }
  }
  expect(followed).toBeGreaterThan(50);
});

/** Of a folder, and of those in it, but for packages and what git and npm keep. */
function pagesOf(folder: string): string[] {
  return readdirSync(`${root}${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isFile() && entry.name.endsWith('.md')) return [path];
    const isInside = folder !== '' && entry.isDirectory() && entry.name !== 'node_modules';
    return isInside ? pagesOf(`${path}/`) : [];
  });
}

/** What GitHub makes of headings. */
function anchorsOf(page: string): string[] {
  return [...readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

it('every adapter is exported by its name', () => {
  const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  for (const name of Object.keys(tables)) {
    expect(exports[`./${name}`]).toEqual({
      types: `./lib/adapters/${name}.d.ts`,
      default: `./lib/adapters/${name}.js`,
    });
  }
});

it('the README names every export of the package, but options that each function says of itself', () => {
  const index = readFileSync(`${root}src/index.ts`, 'utf8');
  const exported = [...index.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list]) =>
    list.split(',').flatMap((item) => item.trim().split(' ').at(-1) || []),
  );
  expect(exported).toEqual(expect.arrayContaining(['safeOpen', 'Backend', 'AnyTensor']));
  const readme = readFileSync(`${root}README.md`, 'utf8');
  const named = new Set(
    [...readme.matchAll(/`[^`\n]+`/g)].flatMap(([code]) => code.match(/\w+/g) ?? []),
  );
  const isNamed = (name: string) =>
    named.has(name) || (name.endsWith('Async') && named.has(name.slice(0, -'Async'.length)));
  expect(exported.filter((name) => !name.endsWith('Options') && !isNamed(name))).toEqual([]);
});
