import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createWriter,
  type Pieces,
  type SafetensorsWriter,
  safeOpen,
  safeOpenSync,
  serialize,
  type TensorLike,
  type WriteProgress,
} from '../src/index.ts';
import { anyModel } from './support/arbitraries.ts';
import { growthBound } from './support/bounds.ts';
import { patternBytes } from './support/build.ts';
import { childReport } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const MEGABYTE = 2 ** 20;
const GIGABYTE = 1e9;

/** Many times what the event loop stands still for, since other work of a busy machine counts as well. */
const LONGEST_DELAY_MS = 1000;

const root = temporaryFolder();
let folders = 0;

/** The path of a file in an empty folder of its own, which holds an old file. */
function newPath(): { folder: string; path: string } {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  const path = join(folder, 'model.safetensors');
  writeFileSync(path, 'old');
  return { folder, path };
}

/** Nothing but the file, and that is as it was. */
function expectOld({ folder, path }: { folder: string; path: string }): void {
  expect(readdirSync(folder)).toEqual(['model.safetensors']);
  expect(readFileSync(path, 'utf8')).toBe('old');
}

const LENGTH = 10;
const BYTES = patternBytes(LENGTH);
const specs = {
  a: { dtype: 'U8', shape: [LENGTH] },
  b: { dtype: 'F32', shape: [2] },
  none: { dtype: 'F64', shape: [0] },
} as const;
const floats = new Float32Array([1.5, -2.5]);
const whole = serialize({
  a: { ...specs.a, data: BYTES },
  b: { ...specs.b, data: floats },
  none: { ...specs.none, data: new Float64Array() },
});

async function* slowly<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await sleep(1);
    yield item;
  }
}

/** The same buffer over and over, refilled: the next piece spoils the one before. */
function* reusing(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  const buffer = new Uint8Array(length);
  for (let at = 0; at < bytes.length; at += length) {
    const piece = buffer.subarray(0, Math.min(length, bytes.length - at));
    piece.set(bytes.subarray(at, at + piece.length));
    yield piece;
    buffer.fill(0);
  }
}

describe('write', () => {
  const halves = [BYTES.subarray(0, 3), BYTES.subarray(3)];
  const ways: [string, () => Pieces][] = [
    ['an array', () => BYTES],
    ['a DataView', () => new DataView(BYTES.buffer)],
    ['an iterable', () => halves],
    ['a generator that uses its buffer again', () => reusing(BYTES, 3)],
    ['an async generator', () => slowly([...halves, new Uint8Array(0)])],
    ['a stream of Node', () => Readable.from(halves.map((half) => Buffer.from(half)))],
    ['a web stream', () => new Blob(halves).stream()],
  ];
  it.each(ways)('takes %s', async (_, data) => {
    const { path, folder } = newPath();
    await using writer = await createWriter(path, specs);
    await writer.write('b', floats);
    await writer.write('a', data());
    expect(readFileSync(path, 'utf8')).toBe('old');
    await writer.finish();
    expect(Buffer.compare(readFileSync(path), whole)).toBe(0);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  /** The pieces of all tensors, interleaved; those of one tensor stay in their order. */
  function* interleaved(
    tensors: readonly { name: string; data: Uint8Array }[],
    choices: readonly number[],
  ): Generator<[name: string, piece: Uint8Array]> {
    const left = tensors.map(({ name, data }) => ({ name, data, at: 0 }));
    for (let i = 0; left.length > 0; i++) {
      const choice = choices[i % choices.length] + i;
      const tensor = left[choice % left.length];
      const end = tensor.at + (choice % 40);
      yield [tensor.name, tensor.data.subarray(tensor.at, end)];
      tensor.at = end;
      if (end >= tensor.data.length) left.splice(choice % left.length, 1);
    }
  }

  it('makes the file that serialize makes, whatever the pieces and their order', async () => {
    const { path } = newPath();
    const choices = fc.array(fc.nat(1000), { minLength: 1, maxLength: 9 });
    const property = fc.asyncProperty(
      anyModel,
      choices,
      fc.boolean(),
      async ({ tensors, metadata }, chosen, atOnce) => {
        const named = tensors.map((tensor) => [tensor.name, tensor] as const);
        const options = {
          metadata: metadata && new Map(metadata),
          alignment: 64,
          headerPadding: 9,
        };
        const writer = await createWriter(path, named, { ...options, fsync: false });
        const writes: Promise<void>[] = [];
        for (const [name, piece] of interleaved(tensors, chosen)) {
          const write = writer.write(name, piece);
          if (atOnce) writes.push(write);
          else await write;
        }
        await Promise.all(writes);
        await writer.finish();
        expect(Buffer.compare(readFileSync(path), serialize(named, options))).toBe(0);
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });

  it('queues calls for one tensor, and lets those for others pass', async () => {
    const { path } = newPath();
    await using writer = await createWriter(path, specs);
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const slow = writer.write(
      'a',
      (async function* () {
        await gate;
        yield BYTES.subarray(0, 4);
      })(),
    );
    let second = false;
    const next = writer.write('a', BYTES.subarray(4)).then(() => {
      second = true;
    });
    await writer.write('b', floats);
    expect(second).toBe(false);
    go();
    await Promise.all([slow, next]);
    await writer.finish();
    expect(Buffer.compare(readFileSync(path), whole)).toBe(0);
  });

  it('asks a source for the next piece only when the one before is written', async () => {
    const { path } = newPath();
    const large = { dtype: 'U8', shape: [40 * MEGABYTE] } as const;
    const seen: number[] = [];
    let bytes = 0;
    const onProgress = (progress: WriteProgress) => {
      bytes = progress.bytes;
    };
    await using writer = await createWriter(path, { large }, { onProgress });
    const header = bytes;
    const piece = new Uint8Array(10 * MEGABYTE);
    await writer.write(
      'large',
      (function* () {
        for (let i = 0; i < 4; i++) {
          seen.push(bytes - header);
          yield piece;
        }
      })(),
    );
    expect(seen).toEqual([0, 1, 2, 3].map((i) => i * piece.length));
    await writer.finish();
    expect(bytes).toBe(writer.byteLength);
  });

  it('takes tensors of open files, whole or one after another', async () => {
    const { path } = newPath();
    const source = newPath().path;
    writeFileSync(source, whole);
    using file = safeOpenSync(source);
    await using writer = await createWriter(path, file);
    await Promise.all([...file].map(([name, tensor]) => writer.write(name, tensor)));
    await writer.finish();
    expect(Buffer.compare(readFileSync(path), whole)).toBe(0);
    const twice = { both: { dtype: 'U8', shape: [2 * LENGTH] } } as const;
    await using again = await createWriter(path, twice);
    await again.write('both', [file.getTensor('a'), BYTES]);
    await again.finish();
    using result = safeOpenSync(path);
    expect([...result.getTensor('both').data]).toEqual([...BYTES, ...BYTES]);
  });
});

describe('a call that is refused', () => {
  const refuse = (): never => {
    throw new TypeError('mine');
  };

  const refusals: [string, (writer: SafetensorsWriter) => unknown, typeof TypeError, RegExp][] = [
    ['an unknown name', (w) => w.write('c', BYTES), RangeError, /was declared, found "c"/],
    [
      'no name',
      (w) => w.write(null as never, BYTES),
      TypeError,
      /name: expected a string, found null/,
    ],
    ['a number', (w) => w.write(7 as never, BYTES), TypeError, /name: expected a string, found 7/],
    [
      'too many bytes',
      (w) => w.write('a', new Uint8Array(11)),
      RangeError,
      /10 bytes in all, found 11 more after 0/,
    ],
    [
      'too many in an iterable',
      (w) => w.write('a', [new Uint8Array(11)]),
      RangeError,
      /found 11 more/,
    ],
    ['no data', (w) => w.write('a', undefined as never), TypeError, /data: expected a typed array/],
    ['text', (w) => w.write('a', 'abc' as never), TypeError, /data: expected a typed array/],
    [
      'a stream of text',
      (w) => w.write('a', Readable.from(['abc'])),
      TypeError,
      /data: expected a typed array, found 'abc'/,
    ],
    [
      'another kind of array',
      (w) => w.write('b', new Int32Array(2)),
      TypeError,
      /found Int32Array/,
    ],
    [
      'an iterable that throws',
      (w) => w.write('a', { [Symbol.iterator]: refuse }),
      TypeError,
      /mine/,
    ],
    [
      'the end, while a tensor lacks bytes',
      (w) => w.finish(),
      RangeError,
      /tensor "b": expected 8 bytes, found 0; 1 more/,
    ],
  ];
  it.each(refusals)('%s: the writer goes on', async (_, call, Failure, message) => {
    const { path } = newPath();
    await using writer = await createWriter(path, specs);
    const error = await thrownBy(() => call(writer));
    expect(error).toBeInstanceOf(Failure);
    expect(error.message).toMatch(message);
    await writer.write('a', BYTES);
    await writer.write('b', floats);
    await writer.finish();
    expect(Buffer.compare(readFileSync(path), whole)).toBe(0);
  });

  it('a tensor of another dtype', async () => {
    const { path } = newPath();
    const source = newPath().path;
    writeFileSync(source, whole);
    using file = safeOpenSync(source);
    await using writer = await createWriter(path, specs);
    const error = await thrownBy(() => writer.write('b', file.getTensor('a')));
    expect(error.message).toMatch(/expected a tensor of F32, found U8/);
  });

  it('what saveFile refuses, createWriter does', async () => {
    const at = newPath();
    const calls: [() => unknown, RegExp][] = [
      [() => createWriter(at.path, { a: { dtype: 'X' as 'U8', shape: [] } }), /dtype: expected/],
      [() => createWriter(at.path, { a: { dtype: 'F4', shape: [1] } }), /whole bytes/],
      [
        () =>
          createWriter(at.path, [
            ['a', specs.a],
            ['a', specs.b],
          ]),
        /each name once/,
      ],
      [() => createWriter(at.path, null as never), /specs: expected/],
      [() => createWriter(at.path, specs, { metadata: { a: 1 as never } }), /expected a string/],
      [() => createWriter(at.path, specs, { signal: AbortSignal.abort() }), /aborted/],
      [() => createWriter(at.folder, specs), /EISDIR/],
    ];
    for (const [call, message] of calls) expect((await thrownBy(call)).message).toMatch(message);
    expectOld(at);
  });
});

describe('nothing stays of a file that is not finished', () => {
  it('when it is left', async () => {
    const at = newPath();
    {
      await using writer = await createWriter(at.path, specs);
      await writer.write('a', BYTES);
      expect(readdirSync(at.folder).length).toBe(2);
    }
    expectOld(at);
  });

  it('when it is discarded, with writes under way', async () => {
    const at = newPath();
    const writer = await createWriter(at.path, specs);
    const never = writer.write(
      'a',
      (async function* () {
        yield BYTES.subarray(0, 1);
        await new Promise(() => {});
      })(),
    );
    const waiting = thrownBy(() => writer.write('a', BYTES.subarray(1)));
    const stuck = thrownBy(() => never);
    const finishing = thrownBy(() => writer.finish());
    await sleep(5);
    await writer.discard();
    for (const failure of [stuck, waiting, finishing]) {
      expect((await failure).code).toBe('ERR_SAFETENSORS_CLOSED');
    }
    expectOld(at);
    for (const call of [() => writer.write('a', BYTES), () => writer.finish()]) {
      expect((await thrownBy(call)).code).toBe('ERR_SAFETENSORS_CLOSED');
    }
    await writer.discard();
  });

  it('when a source fails in the middle: everything else fails with the same error', async () => {
    const at = newPath();
    const writer = await createWriter(at.path, specs);
    const failure = await thrownBy(() =>
      writer.write(
        'a',
        (function* () {
          yield BYTES.subarray(0, 3);
          throw new Error('lost connection');
        })(),
      ),
    );
    expect(failure.message).toBe('lost connection');
    expectOld(at);
    expect(await thrownBy(() => writer.write('b', floats))).toBe(failure);
    expect(await thrownBy(() => writer.finish())).toBe(failure);
    await writer.discard();
  });

  it('when a source gives too much in the middle, and is told to stop', async () => {
    const at = newPath();
    const writer = await createWriter(at.path, specs);
    let stopped = false;
    const source = (function* () {
      try {
        yield BYTES;
        yield BYTES;
      } finally {
        stopped = true;
      }
    })();
    expect((await thrownBy(() => writer.write('a', source))).message).toMatch(/10 more after 10/);
    expect(stopped).toBe(true);
    expectOld(at);
  });

  it('when the signal is aborted, at any moment', async () => {
    const large = { dtype: 'U8', shape: [64 * MEGABYTE] } as const;
    const data = new Uint8Array(64 * MEGABYTE);
    const moments = ['created', 'writing', 'stalled', 'finishing'] as const;
    for (const moment of moments) {
      const at = newPath();
      const controller = new AbortController();
      const reason = new Error(moment);
      const writer = await createWriter(at.path, { large }, { signal: controller.signal });
      const calls: Promise<Error>[] = [];
      const call = (promise: Promise<void>) => calls.push(thrownBy(() => promise));
      if (moment === 'writing') call(writer.write('large', data));
      if (moment === 'stalled') call(writer.write('large', new ReadableStream()));
      if (moment === 'finishing') {
        await writer.write('large', data);
        call(writer.finish());
      }
      await new Promise(setImmediate);
      controller.abort(reason);
      for (const error of await Promise.all(calls)) expect(error, moment).toBe(reason);
      expect(await thrownBy(() => writer.finish())).toBe(reason);
      expectOld(at);
    }
  });

  it('when progress throws', async () => {
    const at = newPath();
    const onProgress = () => {
      throw new Error('no progress');
    };
    const creating = () => createWriter(at.path, specs, { onProgress });
    expect((await thrownBy(creating)).message).toBe('no progress');
    expectOld(at);
  });

  it('when a file that a tensor is mapped from was cut short', async () => {
    const at = newPath();
    const source = newPath().path;
    const data = new Uint8Array(MEGABYTE);
    writeFileSync(source, serialize({ data: { dtype: 'U8', shape: [data.length], data } }));
    using file = await safeOpen(source);
    const writer = await createWriter(at.path, file);
    truncateSync(source, 4096);
    expect(await thrownBy(() => writer.write('data', file.getTensor('data')))).toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path: source,
      tensor: 'data',
    });
    expectOld(at);
  });
});

it('a finished writer is finished', async () => {
  const { path } = newPath();
  const writer = await createWriter(path, { none: specs.none });
  await Promise.all([writer.finish(), writer.finish()]);
  await writer.finish();
  await writer.discard();
  expect((await thrownBy(() => writer.write('none', new Uint8Array()))).code).toBe(
    'ERR_SAFETENSORS_CLOSED',
  );
  using file = safeOpenSync(path);
  expect(file.keys()).toEqual(['none']);
});

it('hundreds of writes at once need no more than their turn', async () => {
  const { path } = newPath();
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on('warning', warned);
  onTestFinished(() => void process.off('warning', warned));
  const tensors = new Map<string, TensorLike>();
  for (let i = 0; i < 500; i++) {
    tensors.set(`t${i}`, { dtype: 'U8', shape: [1000 + i], data: patternBytes(1000 + i, i) });
  }
  const { signal } = new AbortController();
  await using writer = await createWriter(path, tensors, { signal });
  await Promise.all(Array.from(tensors, ([name, { data }]) => writer.write(name, data)));
  await writer.finish();
  expect(Buffer.compare(readFileSync(path), serialize(tensors))).toBe(0);
  await sleep(1);
  expect(warnings).toEqual([]);
});

describe('files that are larger than they may be in memory', () => {
  interface Report {
    most: number;
    longestMs: number;
    progress: number;
  }

  /** Copies a sparse file with a writer, and checks what came out at the end of each tensor. */
  async function writeLarge(lengths: readonly number[]): Promise<Report & { byteLength: number }> {
    const { path } = newPath();
    const source = newPath().path;
    // Which takes as long as it does with so many blocks.
    onTestFinished(() => rmSync(path), 120_000);
    const tensors = lengths.map((byteLength, i) => ({
      // In the order of their names, which is that of the data that is written.
      name: `t${String(i).padStart(2, '0')}`,
      byteLength,
      tail: patternBytes(1000, i),
    }));
    const byteLength = writeSparseFile(source, tensors);
    const report = await childReport<Report>('write-large', [source, path], { timeoutMs: 900_000 });
    using file = await safeOpen(path);
    expect(file.byteLength).toBe(byteLength);
    let end = byteLength - lengths.reduce((sum, length) => sum + length, 0);
    const handle = await import('node:fs/promises').then(({ open }) => open(path));
    for (const { tail, byteLength: length } of tensors) {
      end += length;
      const { buffer } = await handle.read(Buffer.alloc(2000), 0, 2000, end - 2000);
      expect(Buffer.compare(buffer, Buffer.concat([Buffer.alloc(1000), tail]))).toBe(0);
    }
    await handle.close();
    expect(report.progress).toBe(byteLength);
    expect(report.most).toBeLessThan(growthBound(64 * MEGABYTE));
    expect(report.longestMs).toBeLessThan(LONGEST_DELAY_MS);
    return { ...report, byteLength };
  }

  it('400 MB', async () => {
    await writeLarge([200 * MEGABYTE, 5000, 200 * MEGABYTE + 13]);
  }, 120_000);

  /** Really written, so that it costs as much of the disk and minutes of its time. */
  it('40 GB, one tensor of them longer than a buffer of Node 20', async ({ skip }) => {
    const needed = 45 * GIGABYTE;
    const { bavail, bsize } = statfsSync(root);
    const free = bavail * bsize;
    let reason: string | undefined;
    if (process.env.SAFETENSORS_MMAP_SLOW !== '1')
      reason = 'it is slow: set SAFETENSORS_MMAP_SLOW=1';
    else if (free < needed) reason = `it needs ${needed} bytes of the disk, ${free} are free`;
    if (reason) console.warn(`LEFT OUT: a file of 40 GB in test/writer.test.ts. ${reason}`);
    skip(reason !== undefined, reason);
    const lengths = [6 * GIGABYTE, ...Array<number>(34).fill(GIGABYTE)];
    console.log('40 GB:', await writeLarge(lengths));
  }, 1_200_000);
});
