// Packs the package and uses it as its users do: installed from the tarball into an empty folder.
// `npm run test:tarball`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PROGRAMS, sampleFile, TYPED, WITHOUT_ADDON } from './consumers.ts';

const NAME = 'safetensors-mmap';
/** What the oldest supported Node asks of glibc itself: BUILDING.md of Node 20 and later. */
const NEWEST_GLIBC = [2, 28];
const LARGEST_TARBALL_BYTES = 650_000;
/** With index.js: each costs whoever imports the package about a millisecond. */
const MOST_FILES_LOADED = 6;
const COMPILERS = ['gcc', 'g++', 'cc', 'c++', 'clang', 'clang++', 'make', 'python', 'python3'];

const root = fileURLToPath(new URL('../../..', import.meta.url));
const work = realpathSync(mkdtempSync(join(tmpdir(), 'safetensors-mmap-tarball-')));
const fullPath = process.env.PATH ?? '';
const barePath = makeBarePath();

let passed = 0;
let failed = 0;

function check(title: string, body: () => string | undefined): void {
  try {
    const detail = body();
    console.log(`ok    ${title}${detail ? `: ${detail}` : ''}`);
    passed++;
  } catch (error) {
    console.log(`FAIL  ${title}\n${error instanceof Error ? error.message : error}`);
    failed++;
  }
}

/** The first program of that name on a PATH. */
function find(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((candidate) => existsSync(candidate));
}

/** A folder with Node, npm and a shell, and nothing that compiles. */
function makeBarePath(): string {
  const folder = join(work, 'bin');
  mkdirSync(folder);
  symlinkSync(process.execPath, join(folder, 'node'));
  for (const program of ['npm', 'npx', 'sh']) {
    const path = find(program, fullPath);
    if (path === undefined) throw new Error(`no ${program} on the PATH`);
    symlinkSync(realpathSync(path), join(folder, program));
  }
  return folder;
}

/**
 * The environment of a stranger: no configuration of npm's but the machine's, no home, and no place
 * to download Node's headers from.
 */
function environment(path: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_PATH$)/i.test(name),
  );
  const emptyConfig = join(work, 'empty-npmrc');
  writeFileSync(emptyConfig, '');
  return {
    ...Object.fromEntries(inherited),
    PATH: path,
    HOME: work,
    npm_config_userconfig: emptyConfig,
    npm_config_cache: join(work, 'npm-cache'),
    npm_config_disturl: 'http://127.0.0.1:9',
    npm_config_update_notifier: 'false',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
}

interface Run {
  status: number | null;
  output: string;
}

function run(program: string, args: readonly string[], cwd: string, path: string): Run {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    env: environment(path),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error) throw error;
  return { status, output: stdout + stderr };
}

function mustRun(program: string, args: readonly string[], cwd: string, path: string): string {
  const { status, output } = run(program, args, cwd, path);
  assert.equal(status, 0, `${program} ${args.join(' ')} in ${cwd}: status ${status}\n${output}`);
  return output;
}

/** An empty folder with the package installed from a tarball; what npm printed, with it. */
function install(
  name: string,
  { tarball, path, flags }: { tarball: string; path: string; flags: string[] },
): { folder: string; output: string } {
  const folder = join(work, name);
  mkdirSync(folder);
  // npm is about to run only those install scripts that the installing project allows.
  const manifest = { private: true, allowScripts: { [NAME]: true } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  const bytes = sampleFile();
  writeFileSync(join(folder, 'model.safetensors'), bytes);
  writeFileSync(join(folder, 'broken.safetensors'), bytes.subarray(0, -4));
  for (const [file, source] of Object.entries({ ...PROGRAMS, ...TYPED })) {
    writeFileSync(join(folder, file), source);
  }
  const output = mustRun('npm', ['install', ...flags, tarball], folder, path);
  return { folder, output };
}

function usePrograms(folder: string, path: string): undefined {
  for (const program of Object.keys(PROGRAMS)) {
    assert.match(mustRun('node', [program], folder, path), /^used$/m, program);
  }
}

function packaged(folder: string): string {
  return join(folder, 'node_modules', NAME);
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
}

function pack(): string {
  const folder = join(work, 'packed');
  mkdirSync(folder);
  mustRun('npm', ['pack', '--pack-destination', folder], root, fullPath);
  const [tarball, ...others] = readdirSync(folder);
  assert.deepEqual(others, []);
  return join(folder, tarball);
}

/** The same tarball without its prebuilt binary: what a platform without one gets. */
function withoutPrebuilt(tarball: string): string {
  const folder = join(work, 'unpacked');
  mkdirSync(folder);
  mustRun('tar', ['-xzf', tarball, '-C', folder], work, fullPath);
  rmSync(join(folder, 'package', 'prebuilds'), { recursive: true });
  const stripped = join(work, 'without-prebuilt.tgz');
  mustRun('tar', ['-czf', stripped, '-C', folder, 'package'], work, fullPath);
  return stripped;
}

function checkContents(installed: string): string {
  const files = filesOf(installed);
  const required = [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'binding.gyp',
    'lib/cli/main.js',
    'lib/index.d.ts',
    'lib/index.js',
    'native/addon.cc',
    'native/gyp.cjs',
    'native/third_party/node-addon-api/LICENSE.md',
    'native/third_party/node-addon-api/napi.h',
    'native/with-headers.cjs',
    'package.json',
  ];
  assert.deepEqual(
    required.filter((file) => !files.includes(file)),
    [],
    'missing',
  );
  const expected =
    /^(lib\/.*\.(js|d\.ts)|native\/.*\.(cc|h|cjs)|native\/third_party\/.*|prebuilds\/.*\.node|binding\.gyp|package\.json|(README|CHANGELOG)\.md|LICENSE)$/;
  assert.deepEqual(
    files.filter((file) => !expected.test(file)),
    [],
    'not expected',
  );
  const { exports } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const published = Object.values<string | object>(exports).flatMap((entry) =>
    Object.values(typeof entry === 'string' ? [entry] : entry),
  );
  for (const file of published) {
    assert.ok(files.includes(file.replace(/^\.\//, '')), `${file} is exported, and not there`);
  }
  const loaded = loadedWith(installed, 'lib/index.js');
  assert.ok(loaded.size <= MOST_FILES_LOADED, `importing it loads ${[...loaded].join(', ')}`);
  const bytes = files.reduce((sum, file) => sum + statSync(join(installed, file)).size, 0);
  return `${files.length} files, ${bytes} bytes`;
}

/** Files of the package that importing one of them loads. */
function loadedWith(installed: string, file: string, loaded = new Set<string>()): Set<string> {
  if (loaded.has(file)) return loaded;
  loaded.add(file);
  const text = readFileSync(join(installed, file), 'utf8');
  for (const [, path] of text.matchAll(/^(?:import|export)\b[^'";]*["'](\.[^'"]*)["']/gm)) {
    loadedWith(installed, join(dirname(file), path), loaded);
  }
  return loaded;
}

function checkBinary(installed: string): string {
  const prebuilds = join(installed, 'prebuilds', `${process.platform}-${process.arch}`);
  const names = readdirSync(prebuilds);
  assert.equal(names.length, 1, names.join());
  const text = readFileSync(join(prebuilds, names[0]), 'latin1');
  assert.ok(!text.includes(root.replace(/\/$/, '')), 'holds the path of the build folder');
  assert.ok(!text.includes('.debug_info') && !text.includes('.symtab'), 'is not stripped');
  const detail = `${names[0]}, ${text.length} bytes`;
  if (process.platform !== 'linux') return detail;

  const versions = [...text.matchAll(/GLIBC_(\d+)\.(\d+)/g)]
    .map(([, major, minor]) => [Number(major), Number(minor)])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const newest = versions.at(-1) ?? [0, 0];
  assert.ok(
    newest[0] === NEWEST_GLIBC[0] && newest[1] <= NEWEST_GLIBC[1],
    `asks for glibc ${newest.join('.')}, Node itself for ${NEWEST_GLIBC.join('.')}; ` +
      'see native/older_glibc.cc',
  );
  return `${detail}, glibc ${newest.join('.')}`;
}

/** Type-checks the consumers with the repository's own TypeScript, strictly. */
function checkTypes(folder: string): undefined {
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2022',
    module: 'nodenext',
    moduleResolution: 'nodenext',
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    typeRoots: [join(root, 'node_modules', '@types')],
    types: ['node'],
  };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: Object.keys(TYPED) }),
  );
  mustRun(join(root, 'node_modules', '.bin', 'tsc'), ['-p', folder], folder, fullPath);
}

function checkCommandLine(folder: string): undefined {
  const npx = ['--no-install', 'safetensors'];
  const inspected = mustRun('npx', [...npx, 'inspect', 'model.safetensors'], folder, barePath);
  assert.match(inspected, /weight/);
  assert.match(inspected, /BF16/);
  mustRun('npx', [...npx, 'verify', 'model.safetensors'], folder, barePath);
  const verified = run('npx', [...npx, 'verify', 'broken.safetensors'], folder, barePath);
  assert.notEqual(verified.status, 0, verified.output);
  assert.match(verified.output, /ERR_SAFETENSORS_TRUNCATED|shorter|truncated/i);
}

try {
  const tarball = pack();
  const bytes = statSync(tarball).size;

  check('the tarball is small', () => {
    assert.ok(bytes <= LARGEST_TARBALL_BYTES, `${bytes} bytes`);
    return `${bytes} bytes`;
  });
  check('packing leaves no headers behind that a checkout could compile with', () => {
    assert.ok(!existsSync(join(root, 'native', 'third_party')));
    return undefined;
  });
  check('the PATH of the next checks has no compiler', () => {
    assert.deepEqual(
      COMPILERS.filter((program) => find(program, barePath)),
      [],
    );
    return readdirSync(barePath).join(' ');
  });

  const scriptless = { tarball, path: barePath, flags: ['--ignore-scripts'] };
  const { folder } = install('scriptless', scriptless);
  check('it holds what it should and nothing else', () => checkContents(packaged(folder)));
  check('the prebuilt binary is portable', () => checkBinary(packaged(folder)));
  check('installed without scripts, it works from ES modules and through require', () =>
    usePrograms(folder, barePath),
  );
  check('its types hold for ES modules and CommonJS', () => checkTypes(folder));
  check('its command works', () => checkCommandLine(folder));

  check('installed with scripts and no compiler, nothing is compiled and it works', () => {
    const flags = ['--foreground-scripts'];
    const scripted = install('scripted', { tarball, path: barePath, flags });
    assert.match(scripted.output, /with-headers\.cjs node-gyp-build/, 'the install script ran');
    assert.ok(!existsSync(join(packaged(scripted.folder), 'build')), 'something was compiled');
    return usePrograms(scripted.folder, barePath);
  });

  const bare = withoutPrebuilt(tarball);
  check('where no prebuilt binary fits, installing compiles one, with Node’s own headers', () => {
    const flags = ['--foreground-scripts'];
    const compiled = install('compiled', { tarball: bare, path: fullPath, flags });
    assert.ok(
      existsSync(join(packaged(compiled.folder), 'build', 'Release', 'safetensors_mmap.node')),
    );
    return usePrograms(compiled.folder, barePath);
  });
  check('with neither, the error says what to do, and reading bytes in memory works', () => {
    const flags = ['--ignore-scripts'];
    const neither = install('neither', { tarball: bare, path: barePath, flags });
    writeFileSync(join(neither.folder, 'without-addon.mjs'), WITHOUT_ADDON);
    const output = mustRun('node', ['without-addon.mjs'], neither.folder, barePath);
    assert.match(output, /^1,-2,0\.5,4$/m);
    assert.match(output, /^safetensors-mmap has no native addon that loads on .*npm rebuild/m);
    return undefined;
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}

console.log(`tarball: ${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
