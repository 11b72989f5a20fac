// Runs the test suite with each version of Node that the package supports but the one that runs this,
// all with the one prebuilt binary that the package ships: `npm run test:matrix`.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNode, versionOf } from './nodes.ts';

/** The oldest of `engines` in package.json, and the newest of every even major version since. */
const NODE_VERSIONS = ['20.19.0', '20', '22', '24', '26'];

/**
 * What is the same on every Node: the repository itself, machine code held against machine code, and
 * what Python writes and reads.
 */
const NOT_OF_NODE = [
  'architecture',
  'benchmarks',
  'docs',
  'kernels',
  'text',
  '*.interop',
  '*.fuzz',
];

/** The command line, which is left to the oldest and the newest Node: it takes a process a test. */
const COMMAND_LINE = 'cli*';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const prebuilds = join(root, 'prebuilds', `${process.platform}-${process.arch}`);
const [addon] = readdirSync(prebuilds).map((file) => join(prebuilds, file));
const reports = mkdtempSync(join(tmpdir(), 'safetensors-mmap-matrix-'));

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function runSuite(node: string, version: string, leftOut: readonly string[]): Counts {
  const report = join(reports, `${version}.json`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  args.push(...leftOut.map((name) => `--exclude=test/${name}.test.ts`));
  const { status } = spawnSync(node, [vitest, ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
      PREBUILDS_ONLY: '1', // node-gyp-build: not what build/Release has
      SAFETENSORS_MMAP_FEWER_ROUNDS: '1', // `npm test` does all of them
    },
  });
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  // A test file that does not load, or an error outside any test, fails the run without a test.
  const failed = numFailedTests === 0 && status !== 0 ? 1 : numFailedTests;
  return {
    passed: numPassedTests,
    failed: numPassedTests + failed === 0 ? 1 : failed,
    skipped: numPendingTests,
  };
}

const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const lines: string[] = [];
const binary = sha256(addon);
for (const wanted of NODE_VERSIONS) {
  let version = `v${wanted}`;
  let counts: Counts;
  try {
    const node = installNode(wanted);
    version = versionOf(node, wanted);
    if (version === process.version) {
      lines.push(`Node ${version.padEnd(9)} left out: it runs this, and \`npm test\``);
      continue;
    }
    console.log(`\n== Node ${version}`);
    const atAnEnd = wanted === NODE_VERSIONS[0] || wanted === NODE_VERSIONS.at(-1);
    counts = runSuite(node, version, atAnEnd ? NOT_OF_NODE : [...NOT_OF_NODE, COMMAND_LINE]);
  } catch (error) {
    console.error(error);
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  if (sha256(addon) !== binary) throw new Error(`${addon} changed while Node ${version} ran`);
  total.passed += counts.passed;
  total.failed += counts.failed;
  lines.push(
    `Node ${version.padEnd(9)} ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`,
  );
}
rmSync(reports, { recursive: true });

console.log(`\nOne binary for all: SHA-256 ${binary}`);
console.log(
  `left out: test/{${NOT_OF_NODE}}.test.ts, and between the ends test/${COMMAND_LINE}.test.ts`,
);
for (const line of lines) console.log(line);
console.log(`matrix: ${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
