import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Layer {
  name: string;
  files: RegExp;
  /** The layers that it may import from; its own files too. */
  imports: readonly string[];
}

const BASE = ['escape', 'errors', 'dtypes', 'layout'];

/** Imports of src/ run one way: down this table. Only what a line lists may be imported. */
const LAYERS: readonly Layer[] = [
  // Beside what the package exports: what files of models are called.
  { name: 'cli', files: /^cli\//, imports: ['remote', 'convert', 'index', 'shards', 'escape'] },
  {
    // Beside the public API: a file of another kind is mapped as weight files are (native, opening,
    // identity, paging-error), tensors are rounded by the kernels, and an index is written as saveModel writes it.
    name: 'convert',
    files: /^convert\//,
    imports: [
      'index',
      'shards',
      'opening',
      'identity',
      'paging-error',
      'atomic-file',
      'decode',
      'native',
      'path',
      'arguments',
      ...BASE,
    ],
  },
  { name: 'adapters', files: /^adapters\//, imports: ['index', 'arguments'] },
  {
    // Beside the public API: an index is read, as strictly as by openModel, before its files are there; and what is
    // wrong with the network is told as for headers.
    name: 'hub',
    files: /^hub\//,
    imports: ['index', 'remote', 'model', 'shards', 'open-options', 'arguments', 'header'],
  },
  {
    name: 'remote',
    files: /^remote\//,
    imports: ['model', 'container', 'open-options', 'arguments', 'header', ...BASE],
  },
  {
    name: 'index',
    files: /^index\.ts$/,
    imports: [
      'model',
      'update-metadata',
      'save',
      'block-decode',
      'write',
      'file',
      'memory',
      'storage',
      'container',
      'open-options',
      'prefetch',
      'tensor',
      'decode',
      'slice',
      'dtypes',
      'errors',
    ],
  },
  {
    name: 'model',
    files: /^model\/(?!shards\.ts$)/,
    imports: [
      'shards',
      'save',
      'atomic-file',
      'write',
      'steps',
      'opening',
      'identity',
      'file-storage',
      'block-storage',
      'native',
      'path',
      'container',
      'open-options',
      'storage',
      'header',
      ...BASE,
    ],
  },
  { name: 'shards', files: /^model\/shards\.ts$/, imports: ['steps'] },
  {
    name: 'save',
    files: /^write\/(save-file|temporary|writer|ending)\.ts$/,
    imports: ['atomic-file', 'write', 'steps', 'source', 'path', 'storage', 'abort', ...BASE],
  },
  {
    name: 'update-metadata',
    files: /^write\/(update-metadata|copy|turns)\.ts$/,
    imports: [
      'atomic-file',
      'write',
      'steps',
      'native',
      'arguments',
      'path',
      'abort',
      'header',
      ...BASE,
    ],
  },
  {
    name: 'atomic-file',
    files: /^write\/(atomic-file|target)\.ts$/,
    imports: ['direct-file', 'native', 'path', ...BASE],
  },
  {
    name: 'block-decode',
    files: /^decode\/(block-scaled|mxfp4)\.ts$/,
    imports: ['write', 'steps', 'decode', 'arguments', 'native', ...BASE],
  },
  {
    name: 'write',
    files:
      /^write\/(inputs|options|plan|order|chunks|lanes|pieces|serialize|metadata-item|write-chunk)\.ts$/,
    imports: [
      'arguments',
      'steps',
      'direct-file',
      'tensor',
      'source',
      'paging-error',
      'storage',
      'header',
      ...BASE,
    ],
  },
  { name: 'steps', files: /^write\/steps\.ts$/, imports: [] },
  {
    name: 'direct-file',
    files: /^write\/direct-file\.ts$/,
    imports: ['paging-error', 'native'],
  },
  {
    name: 'file',
    files: /^file\.ts$/,
    imports: [
      'opening',
      'identity',
      'native',
      'container',
      'open-options',
      'tensor',
      'storage',
      ...BASE,
    ],
  },
  {
    name: 'opening',
    files: /^opening\.ts$/,
    imports: [
      'identity',
      'file-storage',
      'native',
      'path',
      'container',
      'open-options',
      'storage',
      'header',
      ...BASE,
    ],
  },
  { name: 'identity', files: /^identity\.ts$/, imports: ['native', 'errors'] },
  {
    name: 'file-storage',
    files: /^storage\/file-storage\.ts$/,
    imports: [
      'mapped-storage',
      'block-storage',
      'mapped-files',
      'paging-error',
      'native',
      'storage',
    ],
  },
  {
    name: 'block-storage',
    files: /^storage\/(block-storage|block-pages|block-filling|blocks|byte-reader)\.ts$/,
    imports: [
      'abort',
      'buffer-storage',
      'copies',
      'gathering',
      'mapped-gathering',
      'mapped-files',
      'paging-error',
      'pages',
      'native',
      'storage',
      'slice',
      'header',
      ...BASE,
    ],
  },
  {
    name: 'mapped-storage',
    files: /^storage\/mapped-storage\.ts$/,
    imports: [
      'buffer-storage',
      'copies',
      'emptied-buffers',
      'mapped-gathering',
      'mapped-files',
      'pages',
      'native',
      'storage',
      'slice',
      'header',
      ...BASE,
    ],
  },
  {
    name: 'mapped-gathering',
    files: /^storage\/mapped-gathering\.ts$/,
    imports: ['mapped-files', 'gathering', 'paging-error', 'native', 'slice'],
  },
  {
    name: 'mapped-files',
    files: /^storage\/mapped-files\.ts$/,
    imports: ['paging-error', 'native', 'storage', 'header', ...BASE],
  },
  { name: 'path', files: /^path\.ts$/, imports: [] },
  {
    name: 'memory',
    files: /^memory\.ts$/,
    imports: [
      'buffer-storage',
      'container',
      'open-options',
      'tensor',
      'storage',
      'header',
      ...BASE,
    ],
  },
  {
    name: 'container',
    files: /^container\.ts$/,
    imports: ['prefetch', 'arguments', 'tensor', 'storage', 'slice', 'header', ...BASE],
  },
  {
    name: 'open-options',
    files: /^open-options\.ts$/,
    imports: ['arguments', 'native', 'header', ...BASE],
  },
  {
    name: 'prefetch',
    files: /^paging\/prefetch\.ts$/,
    imports: [
      'paging-error',
      'arguments',
      'available-memory',
      'abort',
      'storage',
      'pages',
      ...BASE,
    ],
  },
  {
    name: 'tensor',
    files: /^tensor\.ts$/,
    imports: ['arguments', 'decode', 'source', 'storage', 'slice', 'header', ...BASE],
  },
  {
    name: 'decode',
    files: /^decode\/(from-float32|kernels|lanes|memory|to-float32)\.ts$/,
    imports: ['arguments', 'source', 'paging-error', 'emptied-buffers', 'native', ...BASE],
  },
  {
    name: 'source',
    files: /^write\/source\.ts$/,
    imports: ['paging-error', 'storage', 'native', ...BASE],
  },
  {
    name: 'buffer-storage',
    files: /^storage\/buffer-storage\.ts$/,
    imports: ['gathering', 'native', 'storage', 'slice', 'header', ...BASE],
  },
  { name: 'copies', files: /^storage\/copies\.ts$/, imports: ['emptied-buffers', 'native'] },
  { name: 'emptied-buffers', files: /^storage\/emptied-buffers\.ts$/, imports: [] },
  { name: 'gathering', files: /^storage\/gathering\.ts$/, imports: ['abort', 'slice'] },
  {
    name: 'paging-error',
    files: /^paging\/paging-error\.ts$/,
    imports: ['storage', 'native', 'header', ...BASE],
  },
  {
    name: 'storage',
    files: /^storage\/storage\.ts$/,
    imports: ['pages', 'slice', 'header', ...BASE],
  },
  { name: 'slice', files: /^slice\.ts$/, imports: BASE },
  { name: 'pages', files: /^paging\/pages\.ts$/, imports: ['native'] },
  { name: 'available-memory', files: /^paging\/available-memory\.ts$/, imports: [] },
  { name: 'abort', files: /^abort\.ts$/, imports: [] },
  { name: 'arguments', files: /^arguments\.ts$/, imports: [] },
  { name: 'header', files: /^header\//, imports: ['scanner', 'native', ...BASE] },
  // Compiled by itself: what others import is what came of it.
  { name: 'scanner', files: /^scanner\//, imports: [] },
  { name: 'native', files: /^native(-kernels|-output)?\.ts$/, imports: [] },
  { name: 'layout', files: /^layout\.ts$/, imports: [] },
  { name: 'dtypes', files: /^dtypes\.ts$/, imports: [] },
  { name: 'errors', files: /^errors\.ts$/, imports: ['escape'] },
  { name: 'escape', files: /^escape\.ts$/, imports: [] },
];

/** Modules of Node that the library's own files may use, by layer; the command line may use any. */
const NODE_MODULES: Readonly<Record<string, readonly string[]>> = {
  hub: ['node:crypto', 'node:fs/promises', 'node:path', 'node:util'],
  'update-metadata': ['node:fs/promises', 'node:os', 'node:util'],
  model: ['node:buffer', 'node:crypto', 'node:fs/promises', 'node:os', 'node:path', 'node:util'],
  convert: ['node:buffer', 'node:fs/promises', 'node:path', 'node:util', 'node:zlib'],
  shards: ['node:util'],
  steps: ['node:timers/promises'],
  source: ['node:util'],
  'direct-file': ['node:fs/promises'],
  'atomic-file': ['node:crypto', 'node:fs', 'node:fs/promises', 'node:os', 'node:path'],
  write: ['node:fs/promises', 'node:os', 'node:timers/promises', 'node:util'],
  path: ['node:path', 'node:url', 'node:util'],
  memory: ['node:util'],
  container: ['node:util'],
  'open-options': ['node:util'],
  prefetch: ['node:timers/promises', 'node:util'],
  'available-memory': ['node:fs', 'node:os'],
  decode: ['node:os', 'node:util'],
  'block-decode': ['node:util'],
  arguments: ['node:util'],
  slice: ['node:util'],
  'buffer-storage': ['node:timers/promises'],
  gathering: ['node:buffer'],
  'mapped-storage': ['node:buffer'],
  'block-storage': ['node:buffer', 'node:timers/promises'],
  native: ['node:module', 'node:path', 'node:url'],
  header: ['node:buffer', 'node:crypto'],
  dtypes: ['node:os'],
  errors: ['node:util'],
};

/** What users can import: the sources of package.json's `exports`. */
const EXPORTED = Object.values<{ default?: string }>(
  JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports,
).flatMap((entry) => entry.default?.replace(/^\.\/lib\/(.*)\.js$/, 'src/$1.ts') ?? []);

/** Tests that may look behind the public API, and at what. */
const INSIDERS: Readonly<Record<string, RegExp>> = {
  'test/errors.test.ts': /^src\/errors\.ts$/,
  'test/cli.test.ts': /^src\/cli\//,
  'test/decode-memory.test.ts': /^src\/decode\/memory\.ts$/,
  'test/shards.interop.test.ts': /^src\/model\/shards\.ts$/,
  'test/memory-limit.test.ts':
    /^src\/(paging\/(available-memory|pages|prefetch)|storage\/storage)\.ts$/,
  'test/thread-pool.test.ts': /^src\/(decode\/lanes|storage\/gathering)\.ts$/,
  'test/shards.test.ts': /^src\/model\/shards\.ts$/,
  'test/save-faults.test.ts': /^src\/native\.ts$/,
  'test/convert-reading.test.ts': /^src\/(native|convert\/(tar|pickle\/trace))\.ts$/,
  'test/text.test.ts': /^src\/native\.ts$/,
  'test/canonical.test.ts': /^src\/(errors|header\/(bytes|parse))\.ts$/,
};

/** A file is about one thing. */
const MOST_LINES = { 'src/': 300, 'src/adapters/': 100, 'native/': 250 };

/** Folders of what others wrote, or a compiler. */
const FOREIGN = /^(node_modules|out|third_party)$/;

function filesOf(folder: string, ending: RegExp): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return FOREIGN.test(entry.name) ? [] : filesOf(path, ending);
    return entry.isFile() && ending.test(entry.name) ? [path] : [];
  });
}

/** What a TypeScript file imports: packages as they are written, files from the repository's root. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const statements = text.matchAll(
    /(?:\b(?:from|import)\s+|\b(?:import|require|resolve)\s*\(\s*)'([^'\n]+)'/g,
  );
  return Array.from(statements, ([, target]) => {
    if (!target.startsWith('.')) return target;
    const path = posix.join(dirname(file), target);
    // AssemblyScript names modules without their extension.
    return posix.extname(path) === '' ? `${path}.ts` : path;
  });
}

/** What a C++ file includes, quoted or not. */
function includesOf(file: string): { target: string; quoted: boolean }[] {
  const text = readFileSync(join(root, file), 'utf8');
  return Array.from(
    text.matchAll(/^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]/gm),
    (match) => ({
      target: match[2],
      quoted: match[1] === '"',
    }),
  );
}

/** But for what compiles src/scanner, and is no part of the package. */
const sources = filesOf('src', /\.[cm]?[jt]sx?$/).filter((file) => !file.endsWith('/build.mjs'));
const natives = filesOf('native', /\.(cc|h|cpp|hpp|c)$/);

function layerOf(file: string): Layer {
  const inSrc = file.replace(/^src\//, '');
  const matching = LAYERS.filter(({ files }) => files.test(inSrc));
  expect(matching.length, `${file} is in one layer of the table`).toBe(1);
  return matching[0];
}

describe('imports of TypeScript', () => {
  it('are found', () => {
    expect(sources).toContain('src/index.ts');
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(50);
    expect(importsOf('src/native.ts')).toContain('node-gyp-build');
    expect(importsOf('src/index.ts')).toContain('src/container.ts');
  });

  it('have no layer of the table without a file', () => {
    const used = new Set(sources.map((file) => layerOf(file).name));
    expect([...used].sort()).toEqual(LAYERS.map(({ name }) => name).sort());
  });

  it('run down the table: no layer imports one above it', () => {
    for (const [place, { imports }] of LAYERS.entries()) {
      const below = LAYERS.slice(place + 1).map(({ name }) => name);
      expect(below).toEqual(expect.arrayContaining([...imports]));
    }
  });

  it.each(sources)('%s', (file) => {
    const layer = layerOf(file);
    for (const target of importsOf(file)) {
      if (target.startsWith('src/')) {
        expect(sources, `${file} imports a file that is there`).toContain(target);
        expect([layer.name, ...layer.imports], `${file} imports ${target}`).toContain(
          layerOf(target).name,
        );
      } else if (target.startsWith('node:')) {
        expect(builtinModules).toContain(target.replace('node:', ''));
        if (layer.name !== 'cli') expect(NODE_MODULES[layer.name] ?? [], file).toContain(target);
      } else {
        expect(['cli', 'native'], `${file} imports the package ${target}`).toContain(layer.name);
      }
    }
  });

  it('from beside src/ are of what the package exports', () => {
    const outside = ['test', 'benchmarks', 'examples'].flatMap((folder) =>
      filesOf(folder, /\.[cm]?[jt]sx?$/),
    );
    let seen = 0;
    for (const file of outside) {
      for (const target of importsOf(file)) {
        if (!/^(src|lib)\//.test(target)) continue;
        seen++;
        if (INSIDERS[file]?.test(target)) continue;
        expect(EXPORTED, `${file} imports ${target}`).toContain(target);
      }
    }
    expect(seen).toBeGreaterThan(5);
  });
});

describe('what reads pickles', () => {
  const readers = sources.filter((file) => file.startsWith('src/convert/'));

  it.each(readers)('%s has no way to run what it reads', (file) => {
    const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    expect(text).not.toMatch(
      /\b(eval|Function|import|require|setTimeout|Reflect)\s*\(|\bnew\s+Function|\.constructor\b/,
    );
    // No module of Node's that runs or loads code: see NODE_MODULES.
    for (const target of importsOf(file)) {
      expect(target).not.toMatch(/child_process|worker|vm|module|cluster|repl|inspector/);
    }
  });
});

describe('includes of C++', () => {
  it('are found', () => {
    expect(natives.filter((file) => file.startsWith('native/core/')).length).toBeGreaterThan(3);
    expect(natives.flatMap(includesOf).length).toBeGreaterThan(20);
  });

  it.each(natives)('%s', (file) => {
    for (const { target, quoted } of includesOf(file)) {
      if (/napi|node_api|node\.h|v8|uv\.h/.test(target) && target !== 'napi_setup.h') {
        expect(file, `${file} includes ${target}`).toBe('native/napi_setup.h');
      }
      if (!quoted) continue;
      expect(natives, `${file} includes a file that is there`).toContain(`native/${target}`);
      for (const folder of ['core', 'kernels']) {
        if (!file.startsWith(`native/${folder}/`)) continue;
        expect(target, file).toMatch(new RegExp(`^${folder}/`));
      }
    }
  });

  const nativeTests = filesOf('test/native', /\.(cc|h)$/);

  it('of test/native need no Node: of core/, of kernels/ and beside them', () => {
    expect(nativeTests.length).toBeGreaterThan(5);
    for (const file of nativeTests) {
      for (const { target, quoted } of includesOf(file)) {
        expect(target, file).not.toMatch(/napi|node_api|node\.h|v8|uv\.h/);
        if (!quoted || nativeTests.includes(posix.join(dirname(file), target))) continue;
        expect(target, file).toMatch(/^(core|kernels)\//);
        expect(natives, `${file} includes a file that is there`).toContain(`native/${target}`);
      }
    }
  });

  it('of napi.h are one', () => {
    const including = natives.filter((file) =>
      includesOf(file).some(({ target }) => target === 'napi.h'),
    );
    expect(including).toEqual(['native/napi_setup.h']);
  });
});

it.each(Object.entries(MOST_LINES))('no file of %s is over %i lines', (folder, most) => {
  const files = [...sources, ...natives].filter((file) => file.startsWith(folder));
  expect(files.length).toBeGreaterThan(3);
  const long = files
    .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > most);
  expect(long).toEqual([]);
});
