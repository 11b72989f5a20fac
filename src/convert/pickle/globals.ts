import { STORAGE_TYPES, TORCH_DTYPES } from './element-types.ts';
import { OBJECT_WORK } from './limits.ts';
import { arrayState, callNumpy, NUMPY_NAMES } from './numpy.ts';
import { REBUILDS, rebuild, UNSUPPORTED_REBUILDS } from './rebuild.ts';
import type { CallSite } from './stack.ts';
import {
  type Persistents,
  PyArray,
  PyArrayType,
  PyBytes,
  PyDict,
  PyFloat,
  PyGlobal,
  PyList,
  PyNamed,
  PySet,
  PyStorage,
  PyTensor,
  PyTuple,
  type Value,
} from './values.ts';

/** What a call of a name on the list comes to; `undefined` for arguments that it is not on the list with. */
type Call = (args: readonly Value[], site: CallSite) => Value | undefined;

/** How the numbers of quantised tensors are meant. */
const QSCHEMES = [
  ...['per_tensor_affine', 'per_tensor_symmetric'],
  ...['per_channel_affine', 'per_channel_symmetric', 'per_channel_affine_float_qparams'],
];

/** Names that pass as values and stand for nothing when they are called. */
const NAMES = [
  'torch.Tensor',
  'torch.nn.Parameter',
  'torch.nn.parameter.Parameter',
  'torch.nn.parameter.Buffer',
  'torch.UntypedStorage',
  'torch.storage.UntypedStorage',
  'torch.storage.TypedStorage',
  'torch.nested._internal.nested_tensor.NestedTensor',
  'numpy.ndarray',
  ...['int', 'float', 'bool', 'str'].flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]),
  ...Array.from(STORAGE_TYPES.keys(), (name) => `torch.${name}`),
  ...Array.from(STORAGE_TYPES.keys(), (name) => `torch.cuda.${name}`),
  ...Array.from(TORCH_DTYPES.keys(), (name) => `torch.${name}`),
  ...QSCHEMES.map((name) => `torch.${name}`),
];

/** Protocol 4 names memory formats by where Python finds them first, which is a module of PyTorch's that imports it. */
const MEMORY_FORMATS: ReadonlySet<string> = new Set(
  ['contiguous_format', 'preserve_format', 'channels_last', 'channels_last_3d'].map(
    (name) => `torch._utils\ntorch.${name}`,
  ),
);

/** Classes of Python itself, under the names of both of its versions. */
const BUILTINS: Readonly<Record<string, Call>> = {
  dict: (args) => (args.length === 0 ? new PyDict() : undefined),
  list: listOf,
  set: setOf,
  frozenset: setOf,
  bytes: (args) => (args.length === 0 ? new PyBytes(new Uint8Array(0)) : undefined),
  bytearray: bytearrayOf,
  complex: (args) =>
    args.length === 2 && args.every((arg) => arg instanceof PyFloat)
      ? new PyNamed('complex', args.map(({ value }) => value).join(' + j·'))
      : undefined,
};

const CALLS: ReadonlyMap<string, Call> = new Map<string, Call>([
  ...Object.entries(BUILTINS).flatMap(([name, call]): [string, Call][] => [
    [`builtins.${name}`, call],
    [`__builtin__.${name}`, call],
  ]),
  ['collections.OrderedDict', (args, site) => dictOf(args, site)],
  ['collections.Counter', counterOf],
  // Its argument is only ever called for a key that is not there.
  ['collections.defaultdict', (args) => (isFactory(args) ? new PyDict() : undefined)],
  ['_codecs.encode', encode],
  ['torch.Size', ([sizes]) => (sizes instanceof PyTuple ? sizes : undefined)],
  ['torch.device', (args) => named('device', args)],
  ['torch.serialization._get_layout', (args) => named('layout', args)],
  // Of nested tensors: attributes of its own, and nothing else.
  ['torch._dynamo.decorators._DimRange', (args) => (args.length === 0 ? new PyDict() : undefined)],
  ...REBUILDS.map((name): [string, Call] => [name, (args, site) => rebuild(name, args, site)]),
  ...Array.from(UNSUPPORTED_REBUILDS, ([name, kind]): [string, Call] => [
    name,
    () => new PyTensor(kind),
  ]),
  ...NUMPY_NAMES.map((name): [string, Call] => [name, (args, site) => callNumpy(name, args, site)]),
]);

const LISTED: ReadonlySet<string> = new Set([...NAMES, ...CALLS.keys()]);

/** Whether a name is one of those that checkpoints are made of. */
export function isListed({ module, name, path }: PyGlobal): boolean {
  // "a.b" of "c" is not "b.c" of "a": only the last dot parts module and name.
  if (name.includes('.')) return MEMORY_FORMATS.has(`${module}\n${name}`);
  return LISTED.has(path) && module !== '';
}

/** What a call of a listed name comes to, as a value; `undefined` for every other call. */
export function callGlobal(
  callable: PyGlobal,
  args: readonly Value[],
  site: CallSite,
): Value | undefined {
  return isListed(callable) ? CALLS.get(callable.path)?.(args, site) : undefined;
}

/** A name as a value: dtypes mean something. */
export function namedValue(global: PyGlobal): Value {
  const type = global.module === 'torch' ? TORCH_DTYPES.get(global.name) : undefined;
  return type === undefined ? global : new PyNamed('dtype', global.path, type);
}

/** Gives an object its state, where that can be data; false where Python might run something. */
export function buildState(target: Value, state: Value, site: CallSite): boolean {
  if (target instanceof PyArray || target instanceof PyArrayType) {
    return arrayState(target, state, site);
  }
  if (target instanceof PyTensor) {
    // `Tensor.__setstate__` makes it a view of another storage. PyTorch has not written that since 0.4.
    target.fields = 'a tensor that is given another state';
    return true;
  }
  // Attributes, as the `_metadata` of a state dict: nothing reads them.
  return target instanceof PyDict && state !== null;
}

/** What a persistent id stands for: a storage, as `torch.save` writes them, or what is known by a key. */
export function persistent(id: Value, persistents: Persistents | undefined, site: CallSite): Value {
  if (persistents !== undefined) {
    const value = persistents.get(describeKey(id));
    if (value === undefined) throw site.fault('a persistent id that is not in the file');
    return value;
  }
  const [kind, type, key, location, elements, view, ...rest] =
    id instanceof PyTuple ? id.items : [];
  // Of old files: a class with its source. It is what it is without that, and has been noticed when it was named.
  if (kind === 'module' && type instanceof PyGlobal && !isListed(type)) return type;
  const isStorage =
    kind === 'storage' &&
    type instanceof PyGlobal &&
    isListed(type) &&
    typeof key === 'string' &&
    typeof location === 'string' &&
    (view === undefined || view === null) &&
    rest.length === 0;
  if (!isStorage) throw site.fault('a persistent id that is no storage of tensors');
  if (typeof elements !== 'number' || elements < 0) {
    throw site.fault('a storage without a number of elements');
  }
  const storage = storageOf(key, type, elements, site);
  const known = site.storages.get(key);
  if (known === undefined) site.storages.set(key, storage);
  // PyTorch takes what it has by the key, whatever type it is asked for.
  else if (known.type !== storage.type || known.elements !== elements) {
    throw site.fault('a storage of two types or sizes');
  }
  return known ?? storage;
}

/** A storage of a class that is on the list. */
export function storageOf(
  key: string,
  type: PyGlobal,
  elements: number,
  site: { fault(message: string): Error },
): PyStorage {
  if (type.name === 'UntypedStorage') return new PyStorage(key, undefined, elements);
  const elementType = type.module.startsWith('torch') ? STORAGE_TYPES.get(type.name) : undefined;
  if (elementType === undefined) throw site.fault(`a storage of the type ${type.name}`);
  return new PyStorage(key, elementType, elements);
}

/** Keys are numbers, or their digits. */
export function describeKey(id: Value): string {
  return typeof id === 'string' || typeof id === 'number' || typeof id === 'bigint' ? `${id}` : '';
}

function dictOf(args: readonly Value[], site: CallSite): PyDict | undefined {
  const dict = new PyDict();
  if (args.length === 0) return dict;
  const [pairs] = args;
  if (args.length > 1 || !(pairs instanceof PyList)) return undefined;
  site.spend(OBJECT_WORK * pairs.items.length);
  for (const pair of pairs.items) {
    const [key, value] = pair instanceof PyTuple || pair instanceof PyList ? pair.items : [];
    if (value === undefined) return undefined;
    dict.keys.push(key);
    dict.values.push(value);
  }
  return dict;
}

/** Of a dict, whose entries are copied; anything else would be counted. */
function counterOf(args: readonly Value[], site: CallSite): PyDict | undefined {
  const counter = new PyDict();
  if (args.length === 0) return counter;
  const [counts] = args;
  if (args.length > 1 || !(counts instanceof PyDict)) return undefined;
  site.spend(OBJECT_WORK * counts.keys.length);
  for (const key of counts.keys) counter.keys.push(key);
  for (const value of counts.values) counter.values.push(value);
  return counter;
}

function isFactory(args: readonly Value[]): boolean {
  return (
    args.length === 0 || (args.length === 1 && (args[0] === null || args[0] instanceof PyGlobal))
  );
}

function listOf(args: readonly Value[]): PyList | undefined {
  return args.length === 0 ? new PyList() : undefined;
}

function setOf(args: readonly Value[], site: CallSite): PySet | undefined {
  const set = new PySet();
  if (args.length === 0) return set;
  if (args.length > 1 || !(args[0] instanceof PyList)) return undefined;
  site.spend(args[0].items.length);
  for (const item of args[0].items) set.items.push(item);
  return set;
}

function bytearrayOf(args: readonly Value[], site: CallSite): PyBytes | undefined {
  if (args.length === 0) return new PyBytes(new Uint8Array(0));
  if (args.length === 1 && args[0] instanceof PyBytes) return args[0];
  return encode(args, site);
}

/** How protocols 0 to 2 write bytes: as text of the first 256 characters. */
function encode(args: readonly Value[], site: CallSite): PyBytes | undefined {
  const [text, encoding] = args;
  if (args.length !== 2 || typeof text !== 'string') return undefined;
  if (encoding !== 'latin1' && encoding !== 'latin-1') return undefined;
  site.spend(Math.ceil(text.length / 16));
  const bytes = Buffer.from(text, 'latin1');
  return bytes.toString('latin1') === text ? new PyBytes(bytes) : undefined;
}

function named(kind: string, args: readonly Value[]): PyNamed | undefined {
  const isPlain = args.every((arg) => typeof arg === 'string' || typeof arg === 'number');
  return isPlain ? new PyNamed(kind, args.join(':')) : undefined;
}
