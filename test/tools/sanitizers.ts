// Looks for what no test asserts: `npm run test:sanitizers`; `-- --long` for all rounds of the tests
// that repeat themselves, for 10,000 workers that are terminated, and 10,000 times work that is ended.
//
// core/ and kernels/ without Node under AddressSanitizer with UndefinedBehaviorSanitizer, and under
// ThreadSanitizer; the addon under the former two inside Node, with the tests that drive it hardest.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serialize } from 'safetensors-mmap';
import { buildAddon, preloaded } from './native-addon.ts';
import { buildProgram, findCommand, root } from './native-build.ts';

const isLong = process.argv.includes('--long');

/** Rounds of each check; those that share one file are slower. */
const CHECK_ROUNDS = isLong ? 100_000 : 3_000;
const SHARED_ROUNDS = isLong ? 3_000 : 100;
const TERMINATIONS = isLong ? 10_000 : 100;
/** In all; otherwise there are those of the test of teardown. */
const ENDINGS = isLong ? 10_000 : 0;
const TIMEOUT_MS = isLong ? 3_600_000 : 300_000;

/**
 * Those whose children open, close, abandon and end at any moment, those that decode, and one that calls every
 * function of the addon, with arguments of all kinds.
 */
const ADDON_TESTS = [
  'block-scaled',
  'decode',
  'fault-guard',
  'lifetime',
  'native-calls',
  'prefetch',
  'slice-async',
  'teardown',
  'update-metadata',
];
const MORE_ADDON_TESTS = ['decode-memory', 'kernels', 'model-limits', 'save-faults', 'writer'];

/** But for those that measure how long the event loop waits, and page faults. */
const OTHERWISE_UNDER_SANITIZERS = 'event loop|faults no more';

let passed = 0;
let failed = 0;

function count(title: string, ok: boolean, output = ''): void {
  console.log(`${ok ? 'ok   ' : 'FAIL '} ${title}${ok ? '' : `\n${output}`}`);
  if (ok) passed++;
  else failed++;
}

/** ThreadSanitizer of some compilers refuses addresses that newer kernels hand out at random. */
function withoutRandomAddresses(command: string, args: readonly string[]): [string, string[]] {
  const works = spawnSync('setarch', ['-R', 'true'], { stdio: 'ignore' }).status === 0;
  return works ? ['setarch', ['-R', command, ...args]] : [command, [...args]];
}

async function runChecks(
  name: string,
  sanitizers: string,
  wanted: (check: string) => boolean,
): Promise<void> {
  const compiler = findCommand(process.env.CXX ?? 'g++', 'clang++');
  if (compiler === undefined) throw new Error('a C++ compiler is needed: g++ or clang++');
  const program = await buildProgram({ name, compiler, sanitizers, without: ['fuzz_main.cc'] });
  const listed = spawnSync(...withoutRandomAddresses(program, []), { encoding: 'utf8' });
  const checks = listed.stdout.split('\n').filter((check) => check !== '' && wanted(check));
  if (listed.status !== 0 || checks.length === 0) throw new Error(`${name}: ${listed.stderr}`);
  const seed = `${Date.now() % 2 ** 32}`;
  for (const check of checks) {
    const rounds = check.startsWith('shared') ? SHARED_ROUNDS : CHECK_ROUNDS;
    const args = [check, `${rounds}`, seed];
    const { status, signal, stderr, stdout } = spawnSync(...withoutRandomAddresses(program, args), {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    });
    const ended = status === 0 ? '' : `${stderr}${stdout}ended with ${signal ?? status}`;
    count(`${name}: ${args.join(' ')}`, status === 0, ended);
  }
}

/** Workers with work in flight, each terminated at a moment of chance. */
function terminateWorkers(env: NodeJS.ProcessEnv): void {
  const child = join(root, 'out', 'test', 'children', 'terminated-workers.js');
  const path = join(scratch, 'model.safetensors');
  writeFileSync(path, serialize({ a: { dtype: 'F32', shape: [2], data: new Float32Array(2) } }));
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', child, path, 'a', `${TERMINATIONS}`],
    { encoding: 'utf8', timeout: TIMEOUT_MS, env },
  );
  const title = `address: ${TERMINATIONS} workers terminated inside Node`;
  count(title, status === 0, `${stderr}ended with ${signal ?? status}`);
}

/** Work on a file that is ended in the middle of it: see test/teardown.test.ts. */
function endWork(env: NodeJS.ProcessEnv): void {
  const child = join(root, 'out', 'test', 'children', 'ended-at-work.js');
  const path = join(scratch, 'worked-on.safetensors');
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['--expose-gc', child, path, ...args], {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
      env,
    });
  run('', 'make');
  const works = ['prefetch', 'decode', 'slice', 'save', 'write', 'iterate'];
  const ways = ['terminate', 'close', 'drop', 'abandon'];
  const times = `${Math.ceil(ENDINGS / (works.length * ways.length))}`;
  for (const work of works) {
    for (const way of ways) {
      const { status, signal, stderr } = run(work, way, times);
      const title = `address: ${way} in the middle of ${work}, ${times} times, inside Node`;
      count(title, status === 0, `${stderr}ended with ${signal ?? status}`);
    }
  }
}

function runAddonTests(env: NodeJS.ProcessEnv): void {
  const report = join(scratch, 'vitest.json');
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const chosen = ['--testNamePattern', `^(?!.*(${OTHERWISE_UNDER_SANITIZERS}))`];
  const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${report}`];
  const names = isLong ? [...ADDON_TESTS, ...MORE_ADDON_TESTS] : ADDON_TESTS;
  const files = names.map((name) => `test/${name}.test.ts`);
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', ...reporters, ...chosen, ...files],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...env, ...(isLong ? {} : { SAFETENSORS_MMAP_FEWER_ROUNDS: '1' }) },
    },
  );
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
  passed += numPassedTests;
  // A file that does not load fails the run without a failed test.
  failed += numFailedTests === 0 && (status !== 0 || numPassedTests === 0) ? 1 : numFailedTests;
  console.log(`address: tests inside Node: ${numPassedTests} passed, ${numFailedTests} failed`);
}

function runInsideNode(): void {
  const env = {
    ...process.env,
    ...preloaded(),
    SAFETENSORS_MMAP_PREBUILD: buildAddon(),
    SAFETENSORS_MMAP_SANITIZED: '1',
  };
  terminateWorkers(env);
  if (ENDINGS > 0) endWork(env);
  runAddonTests(env);
}

const scratch = mkdtempSync(join(tmpdir(), 'safetensors-mmap-sanitizers-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
await runChecks('address', 'address,undefined', () => true);
await runChecks('thread', 'thread', (check) => /^(page-in|shared|targets)/.test(check));
if (process.platform === 'linux') runInsideNode();
else console.log('LEFT OUT: the addon inside Node, whose preloading is written for Linux');
console.log(`sanitizers: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
