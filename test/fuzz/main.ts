// npm run fuzz [-- --minutes N] [--only header|native|properties|convert]... [--seed N] [--keep]
//
// The header's parser against the Python reference; libFuzzer over every function of core/ and kernels/
// that takes sizes from outside, at the same time; then the properties of
// test/header.properties.test.ts, and mutated checkpoints (convert).
// `--keep` adds what libFuzzer found to reach more code to the corpora in test/native/checks/corpus.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../tools/native-build.ts';
import { fuzzHeader } from './header.ts';
import { fuzzNative } from './native.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
    seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
    keep: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('--minutes and --seed are numbers');
const wants = (part: string) => values.only === undefined || values.only.includes(part);

const PROPERTIES = 'test/header.properties.test.ts';
const CONVERT = 'test/convert.fuzz.test.ts';

/** About as many runs of each property as there is time for. */
function fuzzByVitest(files: readonly string[]) {
  const runs = `${Math.ceil(3000 * minutes)}`;
  const { status } = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'vitest', 'vitest.mjs'), 'run', ...files],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, SAFETENSORS_MMAP_FUZZ_RUNS: runs },
    },
  );
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 };
}

const results = await Promise.all([
  wants('header') ? fuzzHeader(minutes, seed) : undefined,
  wants('native') ? fuzzNative(minutes, seed, values.keep) : undefined,
]);
const files = [
  ...(wants('properties') ? [PROPERTIES] : []),
  ...(wants('convert') ? [CONVERT] : []),
];
if (files.length > 0) results.push(fuzzByVitest(files));
let passed = 0;
let failed = 0;
for (const result of results) {
  passed += result?.passed ?? 0;
  failed += result?.failed ?? 0;
}
console.log(`fuzz: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
