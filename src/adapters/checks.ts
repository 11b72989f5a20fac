import {
  checkBoolean,
  checkContainer,
  checkHas,
  checkInteger,
  checkNames,
  checkObject,
  checkSignal,
} from '../arguments.ts';
import type { ConvertAllOptions, ConvertOptions } from './conversion.ts';

/** @throws {TypeError} unless it is a tensor of a container, and there are options */
export function checkConvert(tensor: unknown, options: ConvertOptions): void {
  checkHas(tensor, 'assertIntact', 'tensor: expected one of a container');
  checkOptions(options);
}

/** @throws {TypeError} unless it is a container, and there are options */
export function checkConvertAll(container: unknown, options: ConvertAllOptions): void {
  checkContainer(container);
  checkOptions(options);
  const { names, signal } = options;
  if (names !== undefined) checkNames(names);
  checkSignal(signal);
}

/** Of a buffer of WebGPU. @throws {TypeError} @throws {RangeError} */
export function checkUploadOptions(options: {
  usage?: unknown;
  raw?: unknown;
  signal?: unknown;
}): void {
  checkObject(options, 'options');
  const { usage = 0, raw = false, signal } = options;
  checkInteger(usage, 'usage', 0, 2 ** 32 - 1);
  checkBoolean(raw, 'raw');
  checkSignal(signal);
}

function checkOptions(options: ConvertOptions): void {
  checkObject(options, 'options');
  const { decode, integers }: ConvertOptions = options;
  if (decode !== undefined && decode !== 'float32') {
    throw new TypeError(`decode: expected 'float32', found ${String(decode)}`);
  }
  if (integers !== undefined && integers !== 'int32') {
    throw new TypeError(`integers: expected 'int32', found ${String(integers)}`);
  }
}
