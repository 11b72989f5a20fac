import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERROR_MEANINGS, type ErrorName } from '../src/errors.ts';
import {
  type Container,
  deserialize,
  loadFile,
  openModel,
  SafetensorsError,
  safeOpen,
  safeOpenSync,
} from '../src/index.ts';
import type { Refusal } from './children/open-each.ts';
import { buildFile, rawFile } from './support/build.ts';
import { childReport } from './support/child.ts';
import { CONVERSION_CODES } from './support/conversion-codes.ts';
import { thrownBy } from './support/errors.ts';
import { writeSparseFile } from './support/sparse.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

/** Thrown where servers are asked: test/remote.test.ts. */
const REMOTE_CODES: readonly ErrorName[] = ['REMOTE_RESPONSE'];

const C64 = { name: 'c', dtype: 'C64', shape: [1], data: new Uint8Array(8) };

interface HeaderCase {
  code: ErrorName;
  what: string;
  bytes: Buffer;
  tensor?: string;
  /** The byte of the file that the message names. */
  byte?: number;
  /** What else the message says: what was expected, and what was found. */
  says: (string | RegExp)[];
}

/** A header with a `«` where the error is, which is taken out. */
function marked(text: string, dataLength = 0): { bytes: Buffer; byte: number } {
  const [before, after, ...more] = text.split('«');
  expect(more, 'one mark').toEqual([]);
  return {
    bytes: rawFile(before + after, new Uint8Array(dataLength)),
    byte: 8 + Buffer.byteLength(before),
  };
}

function entry(dtype: string, shape: string, offsets: string): string {
  return `{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offsets}]}`;
}

const HEADER_CASES: readonly HeaderCase[] = [
  {
    code: 'HEADER_TOO_SMALL',
    what: 'an empty file',
    bytes: Buffer.alloc(0),
    says: ['at least the 8 bytes', 'found 0'],
  },
  {
    code: 'HEADER_TOO_SMALL',
    what: '7 bytes',
    bytes: Buffer.alloc(7),
    says: ['at least the 8 bytes', 'found 7'],
  },
  {
    code: 'HEADER_TOO_LARGE',
    what: 'the largest header length',
    bytes: rawFile('{}', new Uint8Array(0), 2n ** 64n - 1n),
    byte: 0,
    says: ['18446744073709551615', 'at most 100000000'],
  },
  {
    code: 'HEADER_LENGTH',
    what: 'a length one past the file',
    bytes: rawFile('{}', new Uint8Array(0), 3n),
    byte: 0,
    says: ['is 3', '2 bytes follow'],
  },
  {
    code: 'HEADER_UTF8',
    what: 'a byte that UTF-8 has not',
    bytes: rawFile(Buffer.from('{"né":1}', 'latin1')),
    byte: 8 + 3,
    says: ['UTF-8', '0xe9'],
  },
  {
    code: 'HEADER_JSON',
    what: 'no object',
    ...marked('«[]'),
    says: ['expected "{" that opens the header', 'found "["'],
  },
  {
    code: 'HEADER_JSON',
    what: 'an end too early',
    ...marked(`{"a":${entry('U8', '', '0,1')}«`, 1),
    says: ['expected "," or "}"', 'found the end of the header'],
  },
  {
    code: 'HEADER_JSON',
    what: 'a wrong type',
    ...marked('{"b\\u0061d":«1}'),
    tensor: 'bad',
    says: ['tensor "bad"', 'expected "{" that opens an entry', 'found "1"'],
  },
  {
    code: 'HEADER_JSON',
    what: 'a missing field',
    ...marked('{"a":{"dtype":"F32","shape":[]«}}'),
    tensor: 'a',
    says: ['a field "data_offsets"'],
  },
  {
    code: 'HEADER_JSON',
    what: 'a dimension below zero',
    ...marked('{"a":{"dtype":"F32","shape":[2,«-1],"data_offsets":[0,4]}}', 4),
    tensor: 'a',
    says: ['non-negative integer', 'found "-"'],
  },
  {
    code: 'HEADER_JSON',
    what: 'metadata that is no text',
    ...marked('{"__metadata__":{"k":«1}}'),
    says: ['a string as a value of "__metadata__"', 'found "1"'],
  },
  {
    code: 'HEADER_JSON',
    what: 'something behind the header',
    ...marked('{} «x'),
    says: ['nothing but white space', 'found "x"'],
  },
  {
    code: 'UNKNOWN_DTYPE',
    what: 'a dtype of the future',
    ...marked(`{"a":{"dtype":"«F128","shape":[],"data_offsets":[0,16]}}`, 16),
    tensor: 'a',
    says: ['unknown dtype "F128"'],
  },
  {
    code: 'UNKNOWN_DTYPE',
    what: 'a dtype in small letters',
    ...marked(`{"a":{"dtype":"«f32","shape":[],"data_offsets":[0,4]}}`, 4),
    tensor: 'a',
    says: ['unknown dtype "f32"'],
  },
  {
    code: 'DUPLICATE_KEY',
    what: 'a name twice',
    ...marked(`{"n":${entry('U8', '', '0,1')},"«\\u006e":${entry('U8', '', '0,1')}}`, 1),
    tensor: 'n',
    says: ['tensor "n"', 'second'],
  },
  {
    code: 'DUPLICATE_KEY',
    what: 'a metadata key twice',
    ...marked('{"__metadata__":{"key":"1","«key":"2"}}'),
    says: ['second', '"key"', '__metadata__'],
  },
  {
    code: 'DUPLICATE_KEY',
    what: 'a field twice',
    ...marked('{"a":{"dtype":"U8","«dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
    tensor: 'a',
    says: ['second dtype'],
  },
  {
    code: 'OVERFLOW',
    what: 'a dimension of 2^53',
    ...marked('{"a":{"dtype":"U8","shape":[«9007199254740992],"data_offsets":[0,1]}}', 1),
    tensor: 'a',
    says: ['2^53 − 1', '9007199254740992'],
  },
  {
    code: 'OVERFLOW',
    what: 'an offset of 2^64',
    ...marked('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,«18446744073709551616]}}', 1),
    tensor: 'a',
    says: ['2^53 − 1', '18446744073709551616'],
  },
  {
    code: 'OVERFLOW',
    what: 'a product that wraps to 0',
    ...marked('{"a":{"dtype":"U8","shape":[«4294967296,4294967296],"data_offsets":[0,0]}}'),
    tensor: 'a',
    says: ['U8 [4294967296, 4294967296]', '2^53 − 1'],
  },
  {
    code: 'INVALID_OFFSET',
    what: 'a first tensor not at 0',
    ...marked('{"a":{"dtype":"U8","shape":[«1],"data_offsets":[1,2]}}', 2),
    tensor: 'a',
    says: ['data_offsets [1, 2]', 'ends at 0'],
  },
  {
    code: 'INVALID_OFFSET',
    what: 'a hole',
    ...marked(
      `{"a":${entry('U8', '1', '0,1')},"b":{"dtype":"U8","shape":[«1],"data_offsets":[2,3]}}`,
      3,
    ),
    tensor: 'b',
    says: ['data_offsets [2, 3]', 'ends at 1'],
  },
  {
    code: 'INVALID_OFFSET',
    what: 'an overlap',
    ...marked(
      `{"a":{"dtype":"U8","shape":[«2],"data_offsets":[1,3]},"b":${entry('U8', '2', '0,2')}}`,
      3,
    ),
    tensor: 'a',
    says: ['data_offsets [1, 3]', 'ends at 2'],
  },
  {
    code: 'INVALID_OFFSET',
    what: 'a reversed range',
    ...marked(
      `{"a":${entry('U8', '1', '0,1')},"b":{"dtype":"U8","shape":[«0],"data_offsets":[1,0]}}`,
      1,
    ),
    tensor: 'b',
    says: ['data_offsets [1, 0]'],
  },
  {
    code: 'SIZE_MISMATCH',
    what: 'too few bytes',
    ...marked('{"a":{"dtype":"F32","shape":[«2,3],"data_offsets":[0,20]}}', 20),
    tensor: 'a',
    says: ['F32 [2, 3]', 'expected 24 bytes', 'found 20'],
  },
  {
    code: 'SIZE_MISMATCH',
    what: 'bytes for none',
    ...marked('{"a":{"dtype":"F32","shape":[«0],"data_offsets":[0,4]}}', 4),
    tensor: 'a',
    says: ['expected 0 bytes', 'found 4'],
  },
  {
    code: 'SUBBYTE_SIZE',
    what: 'half a byte',
    ...marked('{"a":{"dtype":"F4","shape":[«3],"data_offsets":[0,2]}}', 2),
    tensor: 'a',
    says: ['F4 [3]', 'whole bytes'],
  },
  {
    code: 'TRUNCATED',
    what: 'a byte too few',
    ...marked(`{"a":${entry('U8', '3', '0,3')}}«`, 2),
    says: ['3 bytes of data', '2 follow'],
  },
  {
    code: 'TRAILING_BYTES',
    what: 'a byte too many',
    ...marked(`{"a":${entry('U8', '3', '0,3')}}«`, 4),
    says: ['3 bytes of data', '4 follow'],
  },
  {
    code: 'NOT_SAFETENSORS',
    what: 'a zip',
    bytes: Buffer.from('PK\x03\x04 and more of it'),
    says: ['zip archive', 'convert'],
  },
];

const HEADER_WAYS: Record<string, (path: string) => unknown> = {
  safeOpen: (path) => safeOpen(path),
  safeOpenSync: (path) => safeOpenSync(path),
  loadFile: (path) => loadFile(path),
};

/** Codes that a test of this file has provoked. */
const provoked = new Set<string>();

function expectError(error: Error, code: ErrorName): asserts error is SafetensorsError {
  expect(error).toBeInstanceOf(SafetensorsError);
  const { name, code: found } = error as SafetensorsError;
  expect(found).toBe(`ERR_SAFETENSORS_${code}`);
  expect(name).toBe('SafetensorsError');
  provoked.add(code);
}

function expectMessage({ message }: Error, { byte, says }: HeaderCase): void {
  for (const part of says) expect(message).toMatch(part);
  if (byte !== undefined) expect(message).toMatch(new RegExp(`at byte ${byte}\\b`));
}

describe('files that the format refuses', () => {
  describe.each(HEADER_CASES)('$code: $what', (refused) => {
    const { code, bytes, tensor } = refused;

    it('deserialize', async () => {
      const error = await thrownBy(() => deserialize(bytes));
      expectError(error, code);
      expect(error.path).toBeUndefined();
      expect(error.tensor).toBe(tensor);
      expectMessage(error, refused);
    });

    it.each(Object.entries(HEADER_WAYS))('%s', async (_, open) => {
      // As the caller gave it, not as it is resolved.
      const path = relative(process.cwd(), makeFile(bytes));
      const error = await thrownBy(() => open(path));
      expectError(error, code);
      expect(error.path).toBe(path);
      expect(error.tensor).toBe(tensor);
      expect(error.message.startsWith(`${path}: `)).toBe(true);
      expectMessage(error, refused);
    });
  });

  it('show long names shortened, and what a terminal acts on escaped', async () => {
    const name = `\u001b[31m\u202e${'x'.repeat(10_000)}end`;
    const header = `{${JSON.stringify(name)}:1}`;
    const path = makeFile(rawFile(header), 'b\u001bd.safetensors');
    const error = await thrownBy(() => safeOpen(path));
    expectError(error, 'HEADER_JSON');
    expect(error.tensor).toBe(name);
    expect(error.path).toBe(path);
    expect(error.message.length).toBeLessThan(path.length + 400);
    expect(error.message).toContain('\\u001b[31m\\u202exxx');
    expect(error.message).toContain('xxxend"');
    expect(error.message).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  it('take no time that grows faster than the header', async () => {
    const header = `{"a":{"dtype":"U8","shape":[${'1,'.repeat(5_000_000)}1],"data_offsets":[0,2]}}`;
    const start = process.cpuUsage();
    const error = await thrownBy(() => deserialize(rawFile(header, new Uint8Array(2))));
    const { user } = process.cpuUsage(start);
    expectError(error, 'SIZE_MISMATCH');
    expect(error.message.length).toBeLessThan(500);
    expect(user / 1000).toBeLessThan(5000);
  });
});

const TENSORS = ['model.layers.0.attn.weight', 'model.layers.0.mlp.weight', 'lm_head'].map(
  (name) => ({
    name,
    dtype: 'F32',
    shape: [1],
    data: new Uint8Array(4),
  }),
);

const OPEN_WAYS: Record<string, (path: string) => Promise<Container>> = {
  safeOpen: (path) => safeOpen(path),
  safeOpenSync: async (path) => safeOpenSync(path),
  deserialize: async (path) => deserialize(readFileSync(path)),
};

describe.each(Object.entries(OPEN_WAYS))('a container of %s', (way, open) => {
  const path = makeFile(buildFile(TENSORS));
  const shownPath = way === 'deserialize' ? undefined : path;

  it.each(['getTensor', 'info'] as const)('TENSOR_NOT_FOUND: %s suggests names', async (method) => {
    using container = await open(path);
    const error = await thrownBy(() => container[method]('model.layers.0.attn.weigth'));
    expectError(error, 'TENSOR_NOT_FOUND');
    expect(error.path).toBe(shownPath);
    expect(error.tensor).toBe('model.layers.0.attn.weigth');
    expect(error.message).toContain('"model.layers.0.attn.weigth" among 3');
    expect(error.message).toContain('nearest are "model.layers.0.attn.weight"');
    expect(error.message).not.toContain('lm_head');
  });

  it('TENSOR_NOT_FOUND: suggests nothing where nothing is near', async () => {
    using container = await open(path);
    const error = await thrownBy(() => container.getTensor('?'));
    expectError(error, 'TENSOR_NOT_FOUND');
    expect(error.message).not.toContain('nearest');
  });

  it.each(['getTensor', 'info', 'has'] as const)('%s wants a string', async (method) => {
    using container = await open(path);
    for (const name of [undefined, null, 0, Symbol('name'), ['lm_head'], {}]) {
      const error = await thrownBy(() => container[method](name as unknown as string));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(
        /name: expected a string, found (undefined|null|0|Symbol|\[|\{)/,
      );
    }
  });

  const USES: Record<string, (container: Container) => unknown> = {
    keys: (container) => container.keys(),
    offsetKeys: (container) => container.offsetKeys(),
    has: (container) => container.has('lm_head'),
    info: (container) => container.info('lm_head'),
    getTensor: (container) => container.getTensor('lm_head'),
    iteration: (container) => [...container],
    check: (container) => container.check(),
  };

  it.each(Object.entries(USES))('CLOSED: %s', async (_, use) => {
    const container = await open(path);
    expect(container.closed).toBe(false);
    expect(() => use(container)).not.toThrow();
    container.close();
    expect(container.closed).toBe(true);
    const error = await thrownBy(() => use(container));
    expectError(error, 'CLOSED');
    expect(error.path).toBe(shownPath);
    expect(error.message).toContain('closed');
  });

  it('CLOSED: a tensor’s data and bytes, whether they were asked for before or not', async () => {
    const container = await open(path);
    const [used, fresh] = [container.getTensor('lm_head'), container.getTensor('lm_head')];
    expect(used.data.length).toBe(1);
    container.close();
    for (const tensor of [used, fresh]) {
      for (const use of [() => tensor.data, () => tensor.bytes]) {
        expectError(await thrownBy(use), 'CLOSED');
      }
    }
  });

  it('SLICE_RANGE', async () => {
    using container = await open(path);
    const [name] = container.keys();
    const error = await thrownBy(() => container.getSlice(name, 1000));
    expectError(error, 'SLICE_RANGE');
    expect(error.tensor).toBe(name);
    expect(error.message).toMatch(/axis 0: expected an index from .* found 1000$/);
  });

  it('UNSUPPORTED_DTYPE', async () => {
    using container = await open(makeFile(buildFile([C64])));
    const error = await thrownBy(() => container.getTensor(C64.name).toFloat32());
    expectError(error, 'UNSUPPORTED_DTYPE');
    expect(error.tensor).toBe(C64.name);
    expect(error.message).toMatch(/C64 has no meaning as F32$/);
  });

  it('CLOSED: in the middle of an iteration', async () => {
    const container = await open(path);
    const error = await thrownBy(() => {
      for (const _ of container) container.close();
    });
    expectError(error, 'CLOSED');
  });
});

describe('memory', () => {
  it('MEMORY_LIMIT', async () => {
    const path = join(folder, 'larger-than-memory.safetensors');
    writeSparseFile(path, [{ name: 't', byteLength: 2 ** 40, tail: Uint8Array.of(1) }]);
    using file = safeOpenSync(path);
    const error = await thrownBy(() => file.prefetch());
    expectError(error, 'MEMORY_LIMIT');
    expect(error.message).toMatch(/\d+ are available/);
    expect(error.path).toBe(path);
  });
});

describe('models', () => {
  const TENSOR = { name: 'a', dtype: 'U8', shape: [1], data: Uint8Array.of(1) };
  const CASES: [ErrorName, string, string?][] = [
    ['SHARD_PATH', '{"weight_map":{"a":"../model.safetensors"}}'],
    ['SHARD_MISSING', '{"weight_map":{"a":"nowhere.safetensors"}}'],
    ['INDEX_MISMATCH', '{"weight_map":{"a":"a.safetensors","b":"a.safetensors"}}', 'b'],
  ];
  it.each(CASES)('%s', async (code, index, tensor) => {
    const model = join(folder, code);
    mkdirSync(model);
    writeFileSync(join(model, 'a.safetensors'), buildFile([TENSOR]));
    writeFileSync(join(model, 'model.safetensors.index.json'), index);
    const error = await thrownBy(() => openModel(model));
    expectError(error, code);
    expect(error.tensor).toBe(tensor);
  });
});

describe('FILE_CHANGED', () => {
  const CHANGES: Record<string, { change: (path: string) => void; says: RegExp }> = {
    removed: { change: (path) => rmSync(path), says: /was removed/ },
    replaced: {
      change: (path) => {
        copyFileSync(path, `${path}.new`);
        renameSync(`${path}.new`, path);
      },
      says: /was replaced/,
    },
    'made longer': { change: (path) => appendFileSync(path, 'x'), says: /from \d+ to \d+ bytes/ },
    'cut short': { change: (path) => truncateSync(path, 20), says: /from \d+ to 20 bytes/ },
    'rewritten in place': {
      change: (path) => {
        writeFileSync(path, readFileSync(path));
        utimesSync(path, new Date(), new Date(Date.now() + 5000));
      },
      says: /was rewritten/,
    },
  };

  const ways: Record<string, typeof safeOpenSync | typeof safeOpen> = { safeOpen, safeOpenSync };
  describe.each(Object.entries(ways))('%s', (_, open) => {
    it.each(Object.entries(CHANGES))('%s', async (_, { change, says }) => {
      const path = makeFile(buildFile(TENSORS));
      using file = await open(path);
      expect(() => file.check()).not.toThrow();
      change(path);
      const error = await thrownBy(() => file.check());
      expectError(error, 'FILE_CHANGED');
      expect(error.path).toBe(path);
      expect(error.message).toMatch(says);
    });
  });

  it('is not said of a file that was only read, or of one in memory', async () => {
    const path = makeFile(buildFile(TENSORS));
    using file = await safeOpen(path);
    readFileSync(path);
    chmodSync(path, 0o600);
    expect(() => file.check()).not.toThrow();
    const memory = deserialize(readFileSync(path));
    rmSync(path);
    expect(() => memory.check()).not.toThrow();
  });
});

/** What Node itself throws for a path. */
function nodeError(path: string): NodeJS.ErrnoException {
  try {
    closeSync(openSync(path, 'r'));
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error(`Node opens ${path}`);
}

function failingPath(code: string): string {
  const path = join(folder, code);
  switch (code) {
    case 'ENOENT':
      return path;
    case 'ENOTDIR':
      writeFileSync(path, '');
      return join(path, 'below');
    case 'ELOOP':
      symlinkSync(path, path);
      return path;
    case 'ENAMETOOLONG':
      return join(folder, 'x'.repeat(256));
    case 'EACCES':
      writeFileSync(path, '');
      chmodSync(path, 0);
      return path;
    default:
      throw new Error(`no path for ${code}`);
  }
}

const FILE_WAYS: Record<string, (path: string | URL) => unknown> = {
  safeOpen: (path) => safeOpen(path),
  safeOpenSync: (path) => safeOpenSync(path),
  loadFile: (path) => loadFile(path),
};

describe('failures of the file system are as Node has them', () => {
  const isRoot = process.getuid?.() === 0;

  it.for(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EACCES'])('%s', async (code, { skip }) => {
    if (code === 'EACCES' && isRoot) {
      console.warn('LEFT OUT: EACCES in test/errors.test.ts: root may read every file');
      skip('root may read every file');
    }
    const path = failingPath(code);
    const expected = nodeError(path);
    expect(expected.code).toBe(code);
    for (const open of Object.values(FILE_WAYS)) {
      const error = await thrownBy(() => open(path));
      expect(error).not.toBeInstanceOf(SafetensorsError);
      expect(Object.getPrototypeOf(error)).toBe(Error.prototype);
      expect(error.message).toBe(expected.message);
      expect({ ...error }).toEqual({ ...expected });
      expect(error.stack).toContain(expected.message);
    }
  });

  it('ENOENT of an empty path', async () => {
    for (const open of Object.values(FILE_WAYS)) {
      const error = await thrownBy(() => open(''));
      expect({ ...error }).toEqual({ ...nodeError('') });
    }
  });

  it('EISDIR of a folder', async () => {
    expect(() => readFileSync(folder)).toThrow('EISDIR');
    for (const open of Object.values(FILE_WAYS)) {
      const error = await thrownBy(() => open(folder));
      expect(error.code).toBe('EISDIR');
      expect(error.errno).toBe(-21);
      expect(error.syscall).toBe('open');
      expect(error.path).toBe(folder);
    }
  });
});

describe('what is no regular file is refused at once', () => {
  it('FIFO, socket, devices', async () => {
    const place = join(folder, 'special');
    mkdirSync(place);
    const [fifo, link, socket] = ['fifo', 'link', 'socket'].map((name) => join(place, name));
    execFileSync('mkfifo', [fifo]);
    symlinkSync(fifo, link);
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      const kinds: Record<string, RegExp> = {
        [fifo]: /a FIFO, not a regular file/,
        [link]: /a FIFO, not a regular file/,
        [socket]: /a socket, not a regular file/,
        '/dev/null': /a character device, not a regular file/,
        '/dev/zero': /a character device, not a regular file/,
      };
      // In a process of its own, which may hang.
      const refusals = await childReport<Refusal[]>('open-each', Object.keys(kinds), {
        timeoutMs: 20_000,
      });
      expect(refusals.length).toBe(2 * Object.keys(kinds).length);
      for (const { way, path, code, message, milliseconds } of refusals) {
        expect(code, `${way} ${path}: ${message}`).toBe('ERR_SAFETENSORS_NOT_SAFETENSORS');
        expect(message).toMatch(kinds[path]);
        expect(message.startsWith(path)).toBe(true);
        expect(milliseconds).toBeLessThan(1000);
      }
    } finally {
      server.close();
    }
  });
});

describe('paths', () => {
  const name = 'ö #%41 \u{1f600}.safetensors';

  it.each(Object.entries(FILE_WAYS))(
    '%s takes a string, relative or not, and a URL',
    async (_, open) => {
      const path = makeFile(buildFile(TENSORS), name);
      for (const way of [path, relative(process.cwd(), path), pathToFileURL(path)]) {
        const opened = (await open(way)) as Container | Map<string, unknown>;
        expect(opened.size).toBe(3);
        if (opened instanceof Map) continue;
        expect(opened.path).toBe(way instanceof URL ? path : way);
        expect(() => opened.check()).not.toThrow();
        opened.close();
      }
    },
  );

  it.each(Object.entries(FILE_WAYS))('%s refuses all others', async (_, open) => {
    for (const path of [undefined, null, 1, Buffer.from('/tmp/x'), {}, ['/tmp/x'], Symbol('x')]) {
      const error = await thrownBy(() => open(path as unknown as string));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/path: expected a string or a file: URL, found .*\S/);
    }
  });

  it.each(Object.entries(FILE_WAYS))('%s refuses a NUL', async (_, open) => {
    const path = makeFile(buildFile(TENSORS));
    const error = await thrownBy(() => open(`${path}\0.txt`));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/NUL/);
    const ofUrl = await thrownBy(() => open(new URL(`${pathToFileURL(path)}%00.txt`)));
    expect(ofUrl).toBeInstanceOf(TypeError);
  });

  it.each(Object.entries(FILE_WAYS))('%s refuses URLs that are no files', async (_, open) => {
    const http = await thrownBy(() => open(new URL('http://localhost/model.safetensors')));
    expect(http).toBeInstanceOf(TypeError);
    expect(http.code).toBe('ERR_INVALID_URL_SCHEME');
    const host = await thrownBy(() => open(new URL('file://elsewhere/model.safetensors')));
    expect(host).toBeInstanceOf(TypeError);
    expect(host.code).toBe('ERR_INVALID_FILE_URL_HOST');
  });

  it.each([
    ['safeOpen', safeOpen],
    ['loadFile', loadFile],
  ])('%s rejects, and never throws', async (_, open) => {
    const misuses: Parameters<typeof safeOpen>[] = [
      [1 as unknown as string],
      ['a\0b'],
      [new URL('http://localhost/')],
      ['', { maxHeaderBytes: -1 }],
      ['', { duplicates: 'first' as 'reject' }],
      [join(folder, 'nothing')],
    ];
    for (const misuse of misuses) {
      const promise = open(...misuse);
      expect(promise).toBeInstanceOf(Promise);
      await expect(promise).rejects.toBeInstanceOf(Error);
    }
  });

  it('deserialize wants a Uint8Array', async () => {
    const file = buildFile(TENSORS);
    for (const bytes of [
      undefined,
      null,
      'text',
      file.buffer,
      [...file],
      new DataView(file.buffer),
      new Int8Array(file),
    ]) {
      const error = await thrownBy(() => deserialize(bytes as unknown as Uint8Array));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/expected a Uint8Array/);
    }
  });
});

// Last: looks at what the tests above have provoked.
describe('the lists of codes', () => {
  const known = Object.keys(ERROR_MEANINGS).sort();

  it('agree: every code is provoked here, by a conversion, or by a server', () => {
    expect(known.length).toBeGreaterThan(20);
    expect([...provoked, ...CONVERSION_CODES, ...REMOTE_CODES].sort()).toEqual(known);
  });

  it('agree with the README', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const section = readme.split(/^## /m).find((text) => /^Errors$/m.test(text.split('\n')[0]));
    expect(section, 'a heading "## Errors"').toBeDefined();
    const rows = [...(section ?? '').matchAll(/^\| `([A-Z0-9_]+)` \| (.*) \|$/gm)];
    expect(rows.map(([, name]) => name).sort()).toEqual(known);
    for (const [, name, meaning] of rows) {
      const expected = ERROR_MEANINGS[name as ErrorName];
      expect(meaning.startsWith(expected), `${name}: ${expected}`).toBe(true);
    }
  });
});
