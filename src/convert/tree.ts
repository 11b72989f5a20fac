import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { describe } from './describe.ts';
import { malformed } from './fault.ts';
import { Listed } from './listed.ts';
import { repeatedKey } from './pickle/keys.ts';
import { isOfNumbers } from './pickle/numpy.ts';
import { PyArray, PyDict, PyList, PyTensor, PyTuple, type Value } from './pickle/values.ts';

/** A tensor of a checkpoint, before anything of it is checked. */
export type Leaf = PyTensor | PyArray;

/** What a checkpoint has besides tensors. */
export interface OtherLeaf {
  /** Keys and indices that lead to it, joined by dots. */
  readonly path: string;
  /** In short, as Python would write it. */
  readonly value: string;
}

export interface Flattened {
  /** The key that they are under; empty for all that there is. */
  readonly key: string;
  readonly tensors: ReadonlyMap<string, Leaf>;
  /** In the same part of the checkpoint. */
  readonly others: Listed<OtherLeaf>;
  /** Keys of parts that are left out. */
  readonly leftOut: readonly string[];
}

/** Where training scripts keep the state dict of a model, among other things. */
const USUAL_KEYS = ['state_dict', 'model_state_dict', 'model', 'module'];

/**
 * Tensors of more than one number that may be beside a state dict without being one themselves: states of random
 * generators, running figures.
 */
const MOST_BESIDE = 4;

/** Bounds of a walk. Values may be in many places: what is short as a pickle may be endless as a tree. */
const MOST_VISITS = 4_000_000;
/** Under a gigabyte when they are planned; one tensor may have any number of names. */
const MOST_TENSORS = 1_000_000;
const MOST_DEPTH = 64;
const MOST_NAME_UNITS = 4096;
const MOST_UNITS = 100_000_000;

/**
 * The tensors of a part of a checkpoint by name: keys and indices, joined by dots.
 *
 * @param key Where the part is, as keys joined by dots; empty for all. Without, the state dict: what is under one of
 *   the usual keys, if that has tensors and there are no more than a few beside it, else all.
 * @throws {RangeError} for a key that is not there
 */
export function flatten(root: Value, key: string | undefined, path: string): Flattened {
  const part = key === undefined ? usualPart(root) : { key, value: find(root, key, path) };
  const tensors = new Map<string, Leaf>();
  const others = new Listed<OtherLeaf>();
  // The part itself has no name; an empty one is that of a key.
  const open: { name: string | undefined; value: Value; depth: number }[] = [
    { name: undefined, value: part.value, depth: 0 },
  ];
  // As they are found, not as they are looked at: what waits takes memory too.
  let visits = 0;
  let units = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { name, value, depth } = next;
    if (depth > MOST_DEPTH) throw tooMuch(path);
    if (isLeaf(value)) {
      const leaf = name ?? 'tensor';
      if (tensors.has(leaf)) throw malformed(path, `two tensors of the name ${quoteName(leaf)}`);
      tensors.set(leaf, value);
      if (tensors.size > MOST_TENSORS) throw tooMuch(path);
      continue;
    }
    const children = childrenOf(value, path);
    if (children === undefined) {
      others.add(() => ({ path: name ?? '', value: describe(value) }));
      continue;
    }
    visits += children.length;
    if (visits > MOST_VISITS) throw tooMuch(path);
    // Backwards, since the last is taken first: so that tensors keep their order.
    for (let i = children.length - 1; i >= 0; i--) {
      const [child, childValue] = children[i];
      const childName = name === undefined ? child : `${name}.${child}`;
      if (childName.length > MOST_NAME_UNITS) throw longName(path);
      units += childName.length;
      if (units > MOST_UNITS) throw tooMuch(path);
      open.push({ name: childName, value: childValue, depth: depth + 1 });
    }
  }
  return { key: part.key, tensors, others, leftOut: part.leftOut ?? [] };
}

function usualPart(root: Value): { key: string; value: Value; leftOut?: string[] } {
  const whole = { key: '', value: root };
  if (!(root instanceof PyDict) || root.values.filter(isWeight).length > MOST_BESIDE) return whole;
  for (const key of USUAL_KEYS) {
    const places = root.keys.flatMap((found, i) => (found === key ? [i] : []));
    if (places.length !== 1) continue;
    const value = root.values[places[0]];
    if (!(value instanceof PyDict) || !value.values.some(isLeaf)) continue;
    const leftOut = root.keys
      .filter((other) => other !== key)
      .map((other) => keyText(other) ?? '…');
    return { key, value, leftOut };
  }
  return whole;
}

/** Whether it is a tensor that may be part of a model: a single number is a figure of its training. */
function isWeight(value: Value): boolean {
  if (!isLeaf(value)) return false;
  const { shape } = value instanceof PyArray ? (value.contents ?? {}) : fieldsOf(value);
  return shape === undefined || shape.some((size) => size !== 1);
}

function fieldsOf({ fields }: PyTensor): { readonly shape?: readonly number[] } {
  return typeof fields === 'string' ? {} : fields;
}

/** What a path leads to; where keys have dots themselves, the longest that fits. */
function find(root: Value, key: string, path: string): Value {
  let value = root;
  let rest = key;
  while (rest !== '') {
    const children = childrenOf(value, path) ?? [];
    const fitting = children.filter(([name]) => rest === name || rest.startsWith(`${name}.`));
    const longest = fitting.reduce((most, [name]) => Math.max(most, name.length), 0);
    const found = fitting.filter(([name]) => name.length === longest);
    if (found.length > 1) throw malformed(path, `two entries of the key ${quoteName(rest)}`);
    if (found.length === 0) {
      const there = children.slice(0, 8).map(([name]) => quoteName(name));
      throw new RangeError(
        `key: expected one that the checkpoint has (${there.join(', ')}${children.length > 8 ? ', …' : ''}), ` +
          `found ${quoteName(key)}`,
      );
    }
    value = found[0][1];
    rest = rest.slice(longest + 1);
  }
  return value;
}

function isLeaf(value: Value): value is Leaf {
  return value instanceof PyTensor || (value instanceof PyArray && isOfNumbers(value));
}

/** What a container holds, by name; `undefined` for what is shown as a whole. */
function childrenOf(value: Value, path: string): [string, Value][] | undefined {
  if (value instanceof PyDict) {
    if (value.keys.length === 0) return undefined;
    const repeated = repeatedKey(value.keys);
    if (repeated !== undefined) {
      throw malformed(path, `a dict with the key ${describe(repeated)} twice`);
    }
    // Descriptions are longer than what they are of: as names they have to fit too, before there are more of them.
    let units = 0;
    return value.keys.map((key, i) => {
      const name = keyText(key) ?? describe(key);
      units += name.length;
      if (name.length > MOST_NAME_UNITS) throw longName(path);
      if (units > MOST_UNITS) throw tooMuch(path);
      return [name, value.values[i]];
    });
  }
  if (!(value instanceof PyList || value instanceof PyTuple)) return undefined;
  // A list of numbers is one thing.
  const { items } = value;
  if (!items.some((item) => isLeaf(item) || isContainer(item))) return undefined;
  return items.map((item, i) => [`${i}`, item]);
}

function isContainer(value: Value): boolean {
  return value instanceof PyDict || value instanceof PyList || value instanceof PyTuple;
}

function keyText(key: Value): string | undefined {
  return typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint'
    ? `${key}`
    : undefined;
}

function tooMuch(path: string): SafetensorsError {
  return limit(path, 'more, or more deeply nested, than any checkpoint is');
}

function longName(path: string): SafetensorsError {
  return limit(path, 'a name that is too long');
}

function limit(path: string, message: string): SafetensorsError {
  return new SafetensorsError('CHECKPOINT_LIMIT', message, { path });
}
