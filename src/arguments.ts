import { inspect } from 'node:util';

/** @throws {TypeError} unless it is an object and no array */
export function checkObject(value: unknown, what: string): asserts value is object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  throw new TypeError(`${what}: expected an object, found ${inspect(value, { depth: 0 })}`);
}

/**
 * Not instanceof: what another copy of a library has made is as good.
 * @throws {TypeError} unless it is an object with that property
 */
export function checkHas(value: unknown, key: string, expected: string): void {
  if (typeof value === 'object' && value !== null && key in value) return;
  throw new TypeError(`${expected}, found ${inspect(value, { depth: 0 })}`);
}

/** @throws {TypeError} unless it is a container */
export function checkContainer(container: unknown): void {
  checkHas(container, 'getTensor', 'container: expected a file, a model, or bytes in memory');
}

/** @throws {TypeError} unless it is an iterable; a string, which is one of characters, is not meant */
export function checkNames(names: unknown): asserts names is Iterable<string> {
  if (typeof names === 'object' && names !== null && Symbol.iterator in names) return;
  throw new TypeError(`names: expected an iterable of strings, found ${inspect(names)}`);
}

/** @throws {TypeError} unless it is `undefined` or an AbortSignal */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined || isSignal(signal)) return;
  throw new TypeError(`signal: expected an AbortSignal, found ${inspect(signal)}`);
}

/** @throws {TypeError} unless it is `undefined` or a function */
export function checkCallback(callback: unknown, what: string): void {
  if (callback === undefined || typeof callback === 'function') return;
  throw new TypeError(`${what}: expected a function, found ${inspect(callback)}`);
}

/** @throws {TypeError} unless it is an array */
export function checkArray(value: unknown, what: string): void {
  if (Array.isArray(value)) return;
  throw new TypeError(`${what}: expected an array, found ${inspect(value, { depth: 0 })}`);
}

/** @throws {TypeError} unless it is a string */
export function checkString(value: unknown, what: string): asserts value is string {
  if (typeof value === 'string') return;
  throw new TypeError(`${what}: expected a string, found ${inspect(value, { depth: 0 })}`);
}

/** @throws {TypeError} unless it is a boolean */
export function checkBoolean(value: unknown, what: string): asserts value is boolean {
  if (typeof value === 'boolean') return;
  throw new TypeError(`${what}: expected a boolean, found ${inspect(value, { depth: 0 })}`);
}

/**
 * @throws {TypeError} unless it is a number
 * @throws {RangeError} unless it is an integer from `least` to `most`
 */
export function checkInteger(
  value: unknown,
  what: string,
  least: number,
  most: number,
): asserts value is number {
  if (typeof value !== 'number') {
    throw new TypeError(`${what}: expected a number, found ${inspect(value, { depth: 0 })}`);
  }
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`${what}: expected an integer from ${least} to ${most}, found ${value}`);
}

/**
 * An http: or https: URL, as text or a URL. One with a password in it would be in every message.
 * @throws {TypeError}
 */
export function checkedUrl(value: unknown, what: string): URL {
  const text = value instanceof URL ? value.href : value;
  if (typeof text !== 'string') {
    throw new TypeError(`${what}: expected a URL, found ${inspect(value, { depth: 0 })}`);
  }
  if (!URL.canParse(text)) throw new TypeError(`${what}: expected an absolute URL`);
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol)) {
    throw new TypeError(`${what}: expected http: or https:, found ${url.protocol}`);
  }
  if (!url.username && !url.password) return url;
  throw new TypeError(`${what}: expected one without a name or a password`);
}

/** Not instanceof: those of other realms, and of other implementations, are as good. */
function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value
  );
}
