import { PyBytes, PyFloat, PyTuple, type Value } from './values.ts';

/** Items of a tuple that is compared as a key. */
const MOST_ITEMS = 64;

/**
 * A key that a dict has twice. Python keeps the last of its values and no pickler writes two, so that a file
 * with two has something to hide.
 */
export function repeatedKey(keys: readonly Value[]): Value | undefined {
  const seen = new Set<string | Value>();
  return keys.find((key) => {
    const identity = identityOf(key);
    if (seen.has(identity)) return true;
    seen.add(identity);
    return false;
  });
}

/** The same for keys that are equal in Python, as True, 1 and 1.0 are; else the object itself. */
function identityOf(key: Value): string | Value {
  if (!(key instanceof PyTuple) || key.items.length > MOST_ITEMS) return scalarIdentity(key);
  // Of what is not compared, as a tuple in a tuple, only the object itself is the same.
  const items = key.items.map(scalarIdentity);
  return items.every((item) => typeof item === 'string') ? `t${JSON.stringify(items)}` : key;
}

function scalarIdentity(key: Value): string | Value {
  if (typeof key === 'string') return `s${key}`;
  if (key === null) return 'None';
  if (typeof key === 'boolean') return key ? 'n1' : 'n0';
  if (typeof key === 'number') return `n${BigInt(key)}`;
  if (typeof key === 'bigint') return `n${key}`;
  if (key instanceof PyFloat) {
    const { value } = key;
    // Of NaN, no two are equal.
    if (Number.isNaN(value)) return key;
    return Number.isInteger(value) ? `n${BigInt(value)}` : `f${value}`;
  }
  if (key instanceof PyBytes) return `b${Buffer.from(key.bytes).toString('latin1')}`;
  return key;
}
