import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { cacheFolder, findModel, writeToCache } from '../examples/demo/cache.ts';
import { driverNames } from '../examples/demo/drivers.ts';
import { gpt2, type TensorSpec, uniform } from '../examples/demo/gpt2.ts';
import type { Measurement } from '../examples/demo/measure.ts';
import { planModel, writeModel } from '../examples/demo/write-model.ts';
import { safeOpen, safeOpenSync } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
let folders = 0;

function emptyFolder(): string {
  const path = join(folder, String(folders++));
  mkdirSync(path);
  return path;
}

function script(name: string): string {
  return fileURLToPath(new URL(`../out/examples/demo/${name}`, import.meta.url));
}

/** Two chunks and a bit, a scalar, an empty tensor, and names whose UTF-8 order is not UTF-16's. */
const smallModel: TensorSpec[] = [
  uniform('z.weight', [1100, 2000], 0, 0.04),
  uniform('a.scalar', [], 1, 0.05),
  uniform('b.empty', [0, 7], 0, 1),
  uniform('\u{1f600}', [3], 0, 1),
  uniform('\uffff', [5], 0, 1),
];

describe('the tensors of GPT-2', () => {
  const specs = [...gpt2()];
  const count = ({ shape }: TensorSpec) => shape.reduce((product, length) => product * length, 1);

  it('are 148 weights and 12 masks, 548 MB', () => {
    const masks = specs.filter(({ name }) => name.endsWith('.attn.bias'));
    expect(new Set(specs.map(({ name }) => name)).size).toBe(160);
    expect(masks.length).toBe(12);
    const elements = specs.reduce((sum, spec) => sum + count(spec), 0);
    // 124,439,808 parameters, as published, and 12 masks of 1024 × 1024.
    expect(elements).toBe(124_439_808 + 12 * 1024 * 1024);
    const { byteLength, header } = planModel(specs);
    expect(byteLength).toBe(header.length + 4 * elements);
    expect(header.length % 8).toBe(0);
    expect(Math.round(byteLength / 1e6)).toBe(548);
  });

  it('attend to nothing that comes later', () => {
    const mask = specs.find(({ name }) => name === 'h.3.attn.bias');
    const values = new Float32Array(1024 * 1024);
    const fill = mask?.values();
    // In parts that end in the middle of a row.
    for (let start = 0; start < values.length; start += 1000)
      fill?.(values.subarray(start, start + 1000));
    const wrong = values.findIndex((value, index) => {
      const [row, column] = [Math.floor(index / 1024), index % 1024];
      return value !== (column <= row ? 1 : 0);
    });
    expect(wrong).toBe(-1);
  });

  it('have seeded values within their range', () => {
    const [first, again, other] = ['x', 'x', 'y'].map((name) => {
      const values = new Float32Array(100_000);
      uniform(name, [values.length], 1, 0.05).values()(values);
      return values;
    });
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
    expect(Math.min(...first.subarray(0, 10_000))).toBeGreaterThanOrEqual(0.95);
    expect(Math.max(...first.subarray(0, 10_000))).toBeLessThanOrEqual(1.05);
    const mean = first.reduce((sum, value) => sum + value, 0) / first.length;
    expect(mean).toBeCloseTo(1, 3);
  });
});

describe('the writer', () => {
  it('writes what the library reads, in the order of the reference', async () => {
    const path = join(emptyFolder(), 'model.safetensors');
    const plan = planModel(smallModel);
    let progress = 0;
    await writeModel(path, plan, { onProgress: (bytes) => (progress = bytes) });
    expect(progress).toBe(plan.byteLength);
    expect(statSync(path).size).toBe(plan.byteLength);
    using file = await safeOpen(path);
    expect(file.keys()).toEqual(['a.scalar', 'b.empty', 'z.weight', '\uffff', '\u{1f600}']);
    expect(file.offsetKeys()).toEqual(file.keys());
    expect(file.metadata.format).toBe('pt');
    for (const spec of smallModel) {
      const tensor = file.getTensor(spec.name);
      const expected = new Float32Array(tensor.size);
      spec.values()(expected);
      expect(tensor.shape).toEqual(spec.shape);
      expect(tensor.zeroCopy).toBe(true);
      expect(Buffer.from(tensor.bytes).equals(Buffer.from(expected.buffer))).toBe(true);
    }
  });

  it('leaves nothing behind when it is stopped', async () => {
    const own = emptyFolder();
    const stop = new AbortController();
    let filesMeanwhile = 0;
    const error = await thrownBy(() =>
      writeModel(join(own, 'model.safetensors'), planModel(smallModel), {
        signal: stop.signal,
        onProgress() {
          filesMeanwhile = readdirSync(own).length;
          stop.abort();
        },
      }),
    );
    expect(error.name).toBe('AbortError');
    expect(filesMeanwhile).toBe(1);
    expect(readdirSync(own)).toEqual([]);
  });

  it('leaves the model that was there when it fails', async () => {
    const path = join(emptyFolder(), 'model.safetensors');
    await writeModel(path, planModel(smallModel));
    const before = readFileSync(path);
    const broken = {
      ...smallModel[0],
      values: () => () => {
        throw new Error('no value');
      },
    };
    const error = await thrownBy(() => writeModel(path, planModel([broken])));
    expect(error.message).toBe('no value');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(join(path, '..'))).toEqual(['model.safetensors']);
  });
});

describe('the cache', () => {
  const plan = planModel(smallModel);

  it('is where the environment says', () => {
    expect(cacheFolder({ SAFETENSORS_MMAP_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/safetensors-mmap');
    expect(cacheFolder({ XDG_CACHE_HOME: 'relative' })).toMatch(/\/\.cache\/safetensors-mmap$/);
    expect(cacheFolder({})).toMatch(/\/\.cache\/safetensors-mmap$/);
  });

  it('finds only a model that is whole', async () => {
    const own = join(emptyFolder(), 'made', 'when needed');
    const { path, found } = await findModel(own, plan);
    expect(found).toBe(false);
    await writeToCache(path, plan, {});
    expect(await findModel(own, plan)).toEqual({ path, found: true });

    const good = readFileSync(path);
    writeFileSync(path, good.subarray(0, -4));
    expect((await findModel(own, plan)).found).toBe(false);
    // Of the right size, but no model.
    writeFileSync(path, Buffer.alloc(plan.byteLength));
    expect((await findModel(own, plan)).found).toBe(false);
    // A model of the right size, but another one.
    const other = smallModel.map((spec) => ({ ...spec, name: spec.name.replace('z', 'y') }));
    await writeModel(path, planModel(other));
    expect(statSync(path).size).toBe(plan.byteLength);
    expect((await findModel(own, plan)).found).toBe(false);
  });

  it('removes what killed runs have left, and nothing else', async () => {
    const own = emptyFolder();
    const { path } = await findModel(own, plan);
    const dead = spawn(process.execPath, ['-e', '']);
    await once(dead, 'close');
    const kept = [`${path}.${process.ppid}.tmp`, join(own, 'mine.txt'), join(own, 'x.1.tmp')];
    for (const name of [...kept, `${path}.${dead.pid}.tmp`, `${path}.${process.pid}.tmp`])
      writeFileSync(name, '');
    await findModel(own, plan);
    expect(
      readdirSync(own)
        .map((name) => join(own, name))
        .sort(),
    ).toEqual(kept.sort());
  });

  it('says so when there is no room', async () => {
    const path = join(emptyFolder(), 'model.safetensors');
    const error = await thrownBy(() => writeToCache(path, { ...plan, byteLength: 1e18 }, {}));
    expect(error.message).toMatch(/^the model needs 1000000000000 MB in .*, which has \d+ MB free/);
    expect(readdirSync(join(path, '..'))).toEqual([]);
  });
});

describe('measure.js', () => {
  let path: string;
  beforeAll(async () => {
    path = join(emptyFolder(), 'model.safetensors');
    await writeModel(path, planModel(smallModel));
  });

  it('does the same work with each driver', async () => {
    const measurements = await Promise.all(driverNames.map((driver) => measure(driver, path)));
    const work = measurements.map(({ tensors, bytes, checksum }) => ({ tensors, bytes, checksum }));
    expect(work).toEqual([work[0], work[0]]);
    expect(work[0].tensors).toBe(smallModel.length);
    expect(work[0].bytes).toBe(4 * (1100 * 2000 + 1 + 3 + 5));
    expect(work[0].checksum).toBe(checksumOf(path));
    for (const {
      openMs,
      firstTensorMs,
      allViewsMs,
      everyByteMs,
      peakRss,
      memory,
    } of measurements) {
      const times = [0, openMs, firstTensorMs, allViewsMs, everyByteMs];
      expect(times.toSorted((a, b) => a - b)).toEqual(times);
      expect(openMs).toBeGreaterThan(0);
      expect(peakRss).toBeGreaterThan(1e6);
      if (process.platform !== 'linux') continue;
      expect(memory?.pss).toBeGreaterThan(1e6);
      expect(memory?.anonymous).toBeGreaterThan(1e6);
    }
    expect(measurements.map(({ driver }) => driver)).toEqual([...driverNames]);
  });

  it('fails with the reason', async () => {
    for (const driver of driverNames) {
      const error = await thrownBy(() => measure(driver, join(folder, 'missing')));
      expect(error.message).toContain('ENOENT');
    }
    const error = await thrownBy(() => measure('another', path));
    expect(error.message).toContain('usage: measure.js');
  });
});

describe('main.js', () => {
  it('leaves nothing behind after Ctrl-C', async () => {
    const own = emptyFolder();
    const child = spawn(process.execPath, [script('main.js')], {
      env: { ...process.env, SAFETENSORS_MMAP_CACHE: own },
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => (output.stdout += text));
    child.stderr.on('data', (text) => (output.stderr += text));
    const closed = once(child, 'close');
    while (readdirSync(own).length === 0) await sleep(1);
    expect(readdirSync(own)[0]).toMatch(/\.tmp$/);
    child.kill('SIGINT');
    expect(await closed).toEqual([130, null]);
    expect(readdirSync(own)).toEqual([]);
    expect(output).toEqual({
      stdout: '',
      stderr: expect.stringMatching(/^writing 548 MB, once …\ndemo: interrupted\n$/),
    });
  });

  it('says in one line what is wrong', async () => {
    const file = join(emptyFolder(), 'file');
    writeFileSync(file, '');
    const env = { ...process.env, SAFETENSORS_MMAP_CACHE: join(file, 'cache') };
    const child = spawn(process.execPath, [script('main.js')], { env });
    let stderr = '';
    child.stderr.on('data', (text) => (stderr += text));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(stderr).toMatch(/^demo: ENOTDIR: [^\n]*\n$/);
  });
});

/** Its standard input is closed at once, so that it does not wait. */
function measure(driver: string, path: string): Promise<Measurement> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [script('measure.js'), driver, path],
      (error, stdout) => (error ? reject(error) : resolve(JSON.parse(stdout))),
    );
    child.stdin?.end();
  });
}

/** The rolling hash of measure.ts, in other words: modulo 2^32, over the words after the header. */
function checksumOf(path: string): string {
  using file = safeOpenSync(path);
  let hash = 0n;
  for (const name of file.keys()) {
    const { bytes } = file.getTensor(name);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; at += 4)
      hash = BigInt.asUintN(32, hash * 31n + BigInt(view.getUint32(at, true)));
  }
  return hash.toString(16).padStart(8, '0');
}
