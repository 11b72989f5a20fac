import { linkSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint } from '../src/convert/index.ts';
import { SafetensorsError, safeOpenSync } from '../src/index.ts';
import type { Outcomes } from './children/convert-each.ts';
import { gguf } from './support/arrays.ts';
import { array, type Code, checkpoint, named, py, tensor } from './support/checkpoints.ts';
import { childReport } from './support/child.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();
let outputs = 0;
const output = () => join(folder, `${outputs++}.safetensors`);

/** A checkpoint whose storages all have four floats. */
function fileOf(value: Code): string {
  const keys = Array.from({ length: 10 }, (_, key) => [key, Buffer.alloc(16, key)]);
  return makeFile(checkpoint(value, Object.fromEntries(keys)), 'model.pt');
}

async function converted(value: Code, options = {}) {
  const target = output();
  const { files } = await convertCheckpoint(fileOf(value), target, options);
  return { ...files[0], names: [...safeOpenSync(target).keys()].sort() };
}

const many = (count: number): [Code, Code][] =>
  Array.from({ length: count }, (_, i) => [py.text(`t${i}`), tensor({ key: `${i + 1}` })]);
const one = tensor({ key: '9', shape: [1], elements: 4 });
const STATE = [py.text('state_dict'), named(['w', tensor()])] as const;

describe('the state dict of a checkpoint', () => {
  it('is taken where figures of its training are tensors beside it', async () => {
    const optimizer = [py.text('optimizer'), named(['m', tensor({ key: '1' })])] as const;
    const best = [py.text('best_acc1'), one] as const;
    const value = py.dict([py.text('epoch'), py.int(3)], STATE, best, optimizer);
    const { key, names, leftOut } = await converted(value);
    expect({ key, names }).toEqual({ key: 'state_dict', names: ['w'] });
    expect(leftOut).toEqual(['epoch', 'best_acc1', 'optimizer']);
  });

  it.each([
    [4, 'state_dict'],
    [5, ''],
  ])('with %i tensors of some size beside it is at %j', async (count, key) => {
    const found = await converted(py.dict(STATE, ...many(count)));
    expect(found.key).toBe(key);
    expect(found.names.includes('state_dict.w')).toBe(key === '');
  });

  it('is all that there is where the usual key has no tensors', async () => {
    const found = await converted(py.dict([py.text('model'), py.text('x')], ...many(1)));
    expect(found).toMatchObject({ key: '', names: ['t0'] });
  });
});

describe('names of tensors', () => {
  it('may be empty', async () => {
    const value = named(['', tensor()], ['a', py.dict([py.text(''), tensor({ key: '1' })])]);
    expect((await converted(value)).names).toEqual(['', 'a.']);
  });

  it('are none that safetensors has another meaning for, also in a dry run', async () => {
    const list = gguf({ tensors: [{ name: '__metadata__' }] });
    for (const path of [fileOf(named(['__metadata__', tensor()])), makeFile(list, 'x.gguf')]) {
      for (const dryRun of [false, true]) {
        const error = await thrownBy(() => convertCheckpoint(path, output(), { dryRun }));
        expect(error).toBeInstanceOf(SafetensorsError);
        expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR', path });
      }
    }
    const stripped = fileOf(named(['x.__metadata__', tensor()]));
    const options = { stripPrefix: 'x.', dryRun: true };
    const error = await thrownBy(() => convertCheckpoint(stripped, output(), options));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR' });
  });
});

describe('what a checkpoint has besides tensors', () => {
  /** A value that takes some 20,000 characters to describe, under the number 1 of the memo. */
  const long = (() => {
    const set = (item: Code) =>
      py.call(py.global('builtins', 'set'), py.list(item, item, item, item));
    return py.put(1, set(set(set(py.text('\x01'.repeat(120))))));
  })();
  const MANY = 15_000;
  const twice = py.list(long, ...Array<Code>(MANY - 1).fill(py.get(1)), tensor());

  it('is listed up to a thousand things, and counted', async () => {
    const { others, omitted } = await converted(named(['x', twice], ['w', tensor({ key: '1' })]));
    expect(others.length).toBe(1000);
    expect(omitted).toEqual({ others: MANY - 1000, skipped: 0 });
    const path = fileOf(twice);
    const { stdout } = await runCli(['convert', path, '-o', output(), '-n']);
    expect(stdout).toMatch(new RegExp(`^  left out: … and ${MANY - 20} more$`, 'm'));
  });

  it('is counted where it was skipped', async () => {
    const calls = Array.from({ length: 1200 }, (_, i) => py.call(py.global('foo', `f${i}`)));
    const value = named(['x', py.list(...calls)], ['w', tensor()]);
    const { skipped, omitted } = await converted(value, { skipUnknown: true });
    expect(skipped.length).toBe(1000);
    // A name and a call each.
    expect(omitted).toEqual({ others: 0, skipped: 2 * calls.length - 1000 });
    const list = gguf({
      tensors: [
        { name: 'w' },
        ...Array.from({ length: 1200 }, (_, i) => ({
          name: `${i}`,
          type: 2,
          dimensions: [32],
          offset: 32 + 32 * i,
        })),
      ],
      data: Buffer.alloc(32 * 1201),
    });
    const path = makeFile(list, 'x.gguf');
    const { files } = await convertCheckpoint(path, output(), { skipUnknown: true });
    expect(files[0].skipped.length).toBe(1000);
    expect(files[0].omitted).toEqual({ others: 0, skipped: 200 });
  });

  it('takes no memory for each place that it is in, nor for each key', {
    timeout: 120_000,
  }, async () => {
    const keys = Array.from(
      { length: MANY },
      (_, i) => [py.tuple(py.int(i), i === 0 ? long : py.get(1)), py.none] as const,
    );
    const list = join(folder, 'list.json');
    writeFileSync(list, JSON.stringify([fileOf(twice), fileOf(py.dict(...keys))]));
    const outputs = mkdtempSync(join(folder, 'outputs-'));
    const { outcomes } = await childReport<Outcomes>('convert-each', [list, outputs], {
      nodeFlags: ['--max-old-space-size=150'],
    });
    expect(outcomes.map(({ code }) => code)).toEqual([null, 'CHECKPOINT_LIMIT']);
  });
});

describe('a tensor in many places', () => {
  it('has at most a million names', { timeout: 60_000 }, async () => {
    const places = Buffer.from('h\x01'.repeat(1_000_000), 'latin1');
    const path = fileOf(py.list(py.put(1, tensor()), places));
    const error = await thrownBy(() => convertCheckpoint(path, output(), { dryRun: true }));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_CHECKPOINT_LIMIT', path });
  });
});

describe('arrays of numpy that are no tensors', () => {
  const data = py.bytes(Buffer.alloc(16));
  const w = ['w', tensor()] as const;

  it('are listed where they are no numbers', async () => {
    const text = array(data, 4, 'U1');
    const { names, others } = await converted(named(w, ['labels', text]));
    expect(names).toEqual(['w']);
    expect(others).toEqual([{ path: 'labels', value: '<numpy array of dtype "U1">' }]);
  });

  it.each([
    ['c16', 1],
    ['f16', 1],
    ['V4', 4],
  ])('are refused where they may be numbers, or skipped: %s', async (code, length) => {
    const value = named(w, ['x', array(data, length, code)]);
    const error = await thrownBy(() => converted(value));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR', tensor: 'x' });
    const { names, skipped } = await converted(value, { skipUnknown: true });
    expect(names).toEqual(['w']);
    expect(skipped.some((what) => what.startsWith('"x" ('))).toBe(true);
  });
});

describe('the output', () => {
  it('is not the checkpoint, by whatever name', async () => {
    const path = fileOf(named(['w', tensor()]));
    const before = readFileSync(path);
    const [link, hard] = [output(), output()];
    symlinkSync(path, link);
    linkSync(path, hard);
    for (const same of [path, link, hard]) {
      for (const dryRun of [true, false]) {
        const error = await thrownBy(() => convertCheckpoint(path, same, { dryRun }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toMatch(/^output: expected another file/);
      }
    }
    expect(readFileSync(path)).toEqual(before);
  });

  it('of a folder is not its checkpoint either', async () => {
    const within = temporaryFolder();
    const path = join(within, 'pytorch_model.bin');
    writeFileSync(path, checkpoint(named(['w', tensor()])));
    symlinkSync(path, join(within, 'model.safetensors'));
    const error = await thrownBy(() => convertCheckpoint(within, within));
    expect(error).toBeInstanceOf(RangeError);
  });
});
