import { OP } from './opcodes.ts';
import { PyDict, PyList, PySet, type Value } from './values.ts';

/** Adds to a list; false for what is none. */
export function append(target: Value, items: readonly Value[]): boolean {
  if (!(target instanceof PyList)) return false;
  for (const item of items) target.items.push(item);
  return true;
}

/** Adds to a set; false for what is none. */
function addItems(target: Value, items: readonly Value[]): boolean {
  if (!(target instanceof PySet)) return false;
  for (const item of items) target.items.push(item);
  return true;
}

/** Sets keys and values, in turns, of a dict; false for what is none, and for a key without a value. */
export function setItems(target: Value, items: readonly Value[]): boolean {
  if (!(target instanceof PyDict) || items.length % 2 !== 0) return false;
  for (let i = 0; i < items.length; i += 2) {
    target.keys.push(items[i]);
    target.values.push(items[i + 1]);
  }
  return true;
}

/** Adds items to what may have them; false for what may not. */
export type Fill = (target: Value, items: readonly Value[]) => boolean;

/** Opcodes that take everything above a mark as items: of what is below it, or of something that they make. */
export const FILLINGS: ReadonlyMap<number, { readonly make?: () => Value; readonly fill: Fill }> =
  new Map([
    [OP.LIST, { make: () => new PyList(), fill: append }],
    [OP.APPENDS, { fill: append }],
    [OP.DICT, { make: () => new PyDict(), fill: setItems }],
    [OP.SETITEMS, { fill: setItems }],
    [OP.FROZENSET, { make: () => new PySet(), fill: addItems }],
    [OP.ADDITEMS, { fill: addItems }],
  ]);
