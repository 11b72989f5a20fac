import { describe, expect, it } from 'vitest';
import * as ndarray from '../src/adapters/ndarray.ts';
import * as ort from '../src/adapters/onnxruntime.ts';
import * as tfjs from '../src/adapters/tfjs.ts';
import * as webgpu from '../src/adapters/webgpu.ts';
import { deserialize, serialize } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';

const container = deserialize(
  serialize({ abc: { dtype: 'F32', shape: [2], data: new Float32Array(2) } }),
);

/** What is misused is told before the library of the adapter is: none of it is there. */
const none = {} as never;
type All = (options: object) => Promise<unknown>;
const ADAPTERS: Record<string, All> = {
  ndarray: (options) => ndarray.toNdarrays(none, container, options),
  onnxruntime: (options) => ort.toTensors(none, container, options),
  tfjs: (options) => tfjs.toTensors(none, container, options),
  webgpu: (options) => webgpu.toBuffers(none, container, options),
};

describe.each(Object.entries(ADAPTERS))('misuse of %s is a TypeError that says what:', (_, all) => {
  it.each<[unknown, RegExp]>([
    [null, /^options: expected an object, found null/],
    [7, /^options: expected an object, found 7/],
    [[], /^options: expected an object, found/],
    [{ names: 'abc' }, /^names: expected an iterable of strings, found 'abc'/],
    [{ names: 5 }, /^names: expected an iterable of strings, found 5/],
    [{ names: null }, /^names: expected an iterable of strings, found null/],
    [{ signal: 5 }, /^signal: expected an AbortSignal, found 5/],
    [{ signal: {} }, /^signal: expected an AbortSignal, found/],
  ])('%j', async (options, says) => {
    const error = await thrownBy(() => all(options as object));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(says);
  });
});

it.each<[string, () => unknown, RegExp]>([
  ['a name of a tensor', () => ort.toTensor(none, 'abc' as never), /^tensor: expected one of a/],
  ['bytes', () => tfjs.toTensor(none, new Uint8Array(1) as never), /^tensor: expected one of a/],
  ['no tensor', () => ndarray.toNdarray(none, undefined as never), /^tensor: .* found undefined/],
  ['a path', () => ort.toTensors(none, 'x.safetensors' as never), /^container: expected a file/],
  ['no container', () => ort.toExternalData(undefined as never), /^container: expected a file/],
  ['one name', () => ort.toExternalData(container, 'abc'), /^names: expected an iterable/],
  ['a number', () => ort.toExternalData(container, 5 as never), /^names: expected an iterable/],
  ['no session', () => ort.toFeeds(none, {} as never, container), /^session: expected one of ONNX/],
  ['a usage', () => upload({ usage: 'x' }), /^usage: expected a number, found 'x'/],
  ['a word', () => upload({ raw: 'no' }), /^raw: expected a boolean, found 'no'/],
  ['a number', () => upload({ signal: 5 }), /^signal: expected an AbortSignal, found 5/],
])('%s in the place of what is wanted is a TypeError', async (_, call, says) => {
  const error = await thrownBy(call);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toMatch(says);
});

function upload(options: object): Promise<unknown> {
  return webgpu.toBuffer(none, container.getTensor('abc'), options);
}
