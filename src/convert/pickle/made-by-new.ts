import { PyDict, PyGlobal, PyTuple, type Value } from './values.ts';

/** Classes whose `__new__` alone makes the value, as nothing can be put into it later. */
const IMMUTABLE: ReadonlySet<string> = new Set([
  'torch.Size',
  ...['frozenset', 'complex'].flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]),
]);

/** Whether a class makes by `__new__` what it does when it is called: without `__init__`, most stay empty. */
export function isMadeByNew(callable: Value, args: Value, named: Value = new PyDict()): boolean {
  if (!(callable instanceof PyGlobal && args instanceof PyTuple)) return false;
  if (!(named instanceof PyDict) || named.keys.length > 0) return false;
  return args.items.length === 0 || IMMUTABLE.has(callable.path);
}
