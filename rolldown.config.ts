// What `npm run build:ts` makes of the modules that tsc compiled: one file for each that others import or
// run, and one for what those have in common. Node takes about a millisecond for each file of a package; with
// the more than a hundred of src/, importing took several times as long as opening a model.
import { readFileSync } from 'node:fs';
import { defineConfig } from 'rolldown';

const MODULES = 'out/modules/';
const { exports, bin }: Published = JSON.parse(readFileSync('package.json', 'utf8'));

/** What package.json says that others import and run. */
interface Published {
  exports: Record<string, string | { default: string }>;
  bin: Record<string, string>;
}

const published = [...Object.values(exports), ...Object.values(bin)].flatMap((entry) => {
  const path = typeof entry === 'string' ? entry : entry.default;
  return /^(?:\.\/)?lib\/(.*)\.js$/.exec(path)?.[1] ?? [];
});

/** A worker's script, which is looked for beside what starts it. */
const WORKER = { 'cli/hash-worker': 'cli/hash/hash-worker' };
/** For tests that call the addon. */
const TESTED = { native: 'native' };

const entries: Record<string, string> = {
  ...Object.fromEntries(published.map((name) => [name, name])),
  ...WORKER,
  ...TESTED,
};

export default defineConfig({
  input: Object.fromEntries(
    Object.entries(entries).map(([name, module]) => [name, `${MODULES}${module}.js`]),
  ),
  platform: 'node',
  // Packages and Node's own modules.
  external: /^[^./]/,
  output: {
    dir: 'lib',
    format: 'esm',
    entryFileNames: '[name].js',
    // Beside index.js: src/native.ts finds the package one folder above its own file.
    chunkFileNames: 'shared-[name].js',
  },
});
