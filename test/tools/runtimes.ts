// Runs the contract of containers in other runtimes than Node, with the addon that the package ships:
// `npm run test:runtimes`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Runtime {
  readonly title: string;
  /** The package of its binary for this platform, and where in it that is. */
  readonly packages: readonly string[];
  readonly binary: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Exact: their Node-API is young, and changes. */
const BUN_VERSION = '1.4.5';
const DENO_VERSION = '2.9.6';

const { platform, arch } = process;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = join(root, 'out', 'test', 'contract', 'main.js');
const cache = join(root, 'node_modules', '.cache', 'safetensors-mmap', 'runtimes');

const bun = `@oven/bun-${platform}-${arch === 'arm64' ? 'aarch64' : arch}`;
const deno = `@deno/${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`;
const copies = { SAFETENSORS_MMAP_NO_EXTERNAL_BUFFERS: '1' };

const RUNTIMES: readonly Runtime[] = [
  { title: 'Bun', packages: [`${bun}@${BUN_VERSION}`], binary: join(bun, 'bin', 'bun'), args: [] },
  {
    title: 'Deno',
    packages: [`${deno}@${DENO_VERSION}`],
    binary: join(deno, 'deno'),
    args: ['run', '--allow-all', '--no-lock'],
  },
];

/**
 * Installs the binaries from the registry, as the packages `bun` and `deno` do in an install script or as
 * what they depend on, without making every `npm ci` fetch 200 MB.
 */
function install(): void {
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, 'package.json'), '{ "private": true }\n');
  const packages = RUNTIMES.flatMap((runtime) => runtime.packages);
  const { status } = spawnSync('npm', ['install', '--ignore-scripts', '--no-save', ...packages], {
    cwd: cache,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`npm install ${packages.join(' ')} failed`);
}

/** The counts that the contract prints last; a run that does not come to that has failed. */
function check({ title, binary, args }: Runtime, env: Readonly<Record<string, string>>) {
  const path = join(cache, 'node_modules', binary);
  if (!existsSync(path)) throw new Error(`${title}: no ${path}`);
  const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0];
  const { status, signal, stdout } = spawnSync(path, [...args, main], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 300_000,
    env: { ...process.env, PREBUILDS_ONLY: '1', ...env },
  });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  const counts = /^\{"passed":(\d+),"failed":(\d+)\}$/.exec(line);
  const passed = Number(counts?.[1] ?? 0);
  let failed = Number(counts?.[2] ?? 0);
  if (failed === 0 && (status !== 0 || passed === 0)) failed = 1;
  if (signal !== null || counts === null) console.error(`${title} ended with ${signal ?? status}`);
  return { version: `${title} ${/\d+(\.\d+)+/.exec(version)?.[0]}`, passed, failed };
}

install();
let passed = 0;
let failed = 0;
const lines: string[] = [];
for (const runtime of RUNTIMES) {
  for (const env of [{}, copies]) {
    const counts = check(runtime, env);
    passed += counts.passed;
    failed += counts.failed;
    const how = env === copies ? ', without external buffers' : '';
    lines.push(`${counts.version}${how}: ${counts.passed} kept, ${counts.failed} not`);
  }
}
for (const line of lines) console.log(line);
console.log(`runtimes: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
