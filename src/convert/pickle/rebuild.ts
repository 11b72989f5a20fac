import { quoteName } from '../../escape.ts';
import { attributesOf, isOfTensor } from './attributes.ts';
import { MOST_DIMENSIONS } from './limits.ts';
import type { CallSite } from './stack.ts';
import {
  type ElementType,
  PyDict,
  PyGlobal,
  PyNamed,
  PyStorage,
  PyTensor,
  PyTuple,
  type Value,
} from './values.ts';

const TENSOR = 'torch._utils._rebuild_tensor';
const TENSOR_V2 = 'torch._utils._rebuild_tensor_v2';
const TENSOR_V3 = 'torch._utils._rebuild_tensor_v3';
const PARAMETER = 'torch._utils._rebuild_parameter';
const PARAMETER_STATE = 'torch._utils._rebuild_parameter_with_state';
const FROM_TYPE = 'torch._tensor._rebuild_from_type_v2';

/** Functions that make tensors of storages. */
export const REBUILDS = [
  TENSOR,
  TENSOR_V2,
  TENSOR_V3,
  PARAMETER,
  PARAMETER_STATE,
  FROM_TYPE,
] as const;

/** Functions that make tensors which safetensors cannot hold, and of what kind those are. */
export const UNSUPPORTED_REBUILDS: ReadonlyMap<string, string> = new Map([
  ['torch._utils._rebuild_sparse_tensor', 'a sparse tensor'],
  ['torch._utils._rebuild_sparse_csr_tensor', 'a sparse tensor'],
  ['torch._utils._rebuild_qtensor', 'a quantised tensor'],
  ['torch._utils._rebuild_nested_tensor', 'a nested tensor'],
  ['torch.nested._internal.nested_tensor._rebuild_njt', 'a nested tensor'],
  ['torch._utils._rebuild_meta_tensor_no_storage', 'a meta tensor, which has no data'],
  ['torch._utils._rebuild_wrapper_subclass', 'a tensor of a class of its own'],
  ['torch._utils._rebuild_device_tensor_from_numpy', 'a tensor of another device'],
  ['torch._utils._rebuild_device_tensor_from_cpu_tensor', 'a tensor of another device'],
  ['torch._utils._rebuild_xla_tensor', 'a tensor of another device'],
]);

/** Types that a tensor may be rebuilt as, which change nothing of its elements. */
const PLAIN_TYPES: ReadonlySet<string> = new Set([
  'torch.Tensor',
  'torch.nn.Parameter',
  'torch.nn.parameter.Parameter',
  'torch.nn.parameter.Buffer',
]);

/** What one of {@link REBUILDS} makes; `undefined` where its arguments are of a form that PyTorch does not write. */
export function rebuild(name: string, args: readonly Value[], site: CallSite): Value | undefined {
  switch (name) {
    case TENSOR:
      return args.length === 4 ? tensorOf(args, undefined, null, site) : undefined;
    case TENSOR_V2:
      return args.length >= 6 && args.length <= 7
        ? tensorOf(args, undefined, args[6], site)
        : undefined;
    case TENSOR_V3: {
      const type = args[6];
      return args.length >= 7 && args.length <= 8 && type instanceof PyNamed && type.type
        ? tensorOf(args, type.type, args[7], site)
        : undefined;
    }
    case PARAMETER:
      return args.length === 3 && args[0] instanceof PyTensor ? args[0] : undefined;
    case PARAMETER_STATE:
      return args.length === 4 && args[0] instanceof PyTensor
        ? withState(args[0], args[3], site)
        : undefined;
    default:
      return rebuildFromType(args, site);
  }
}

/** A tensor with attributes of its own, or of a type of its own: (function, type, arguments, state). */
function rebuildFromType(args: readonly Value[], site: CallSite): Value | undefined {
  const [make, type, makeArgs] = args;
  const isCall =
    args.length === 4 &&
    make instanceof PyGlobal &&
    type instanceof PyGlobal &&
    makeArgs instanceof PyTuple;
  if (!isCall || make.path === FROM_TYPE) return undefined;
  const unsupported = UNSUPPORTED_REBUILDS.get(make.path);
  if (unsupported !== undefined) return new PyTensor(unsupported);
  if (!PLAIN_TYPES.has(type.path)) return undefined;
  const isKnown = (REBUILDS as readonly string[]).includes(make.path);
  const made = isKnown ? rebuild(make.path, makeArgs.items, site) : undefined;
  return made instanceof PyTensor ? withState(made, args[3], site) : undefined;
}

/** A tensor with the attributes that its state sets; `undefined` for a state of another form. */
function withState(tensor: PyTensor, state: Value, site: CallSite): Value | undefined {
  const names = attributesOf(state, site);
  const changing = names?.find(isOfTensor);
  if (changing === undefined) return names === undefined ? undefined : tensor;
  return new PyTensor(`a tensor whose attribute ${quoteName(changing)} is set`);
}

function tensorOf(
  [storage, offset, shape, strides]: readonly Value[],
  type: ElementType | undefined,
  metadata: Value | undefined,
  site: CallSite,
): Value {
  if (!(storage instanceof PyStorage)) throw site.fault('a tensor without a storage');
  const elementType = type ?? storage.type;
  if (elementType === undefined) throw site.fault('a tensor whose dtype is not given');
  if (storage.type !== undefined && storage.type !== elementType) {
    throw site.fault('a tensor of another dtype than its storage');
  }
  if (!isIndex(offset)) throw site.fault('a tensor whose offset is no index');
  const sizes = indices(shape, 'shape', site);
  const steps = indices(strides, 'strides', site);
  if (sizes.length !== steps.length) {
    throw site.fault(`a tensor of ${sizes.length} dimensions with ${steps.length} strides`);
  }
  const flags = flagsOf(metadata, site);
  return new PyTensor({
    storage,
    type: elementType,
    offset,
    shape: sizes,
    strides: steps,
    conjugate: flags.has('conj'),
    negative: flags.has('neg'),
  });
}

/** The bits of a tensor that PyTorch writes as a dict beside it. */
function flagsOf(metadata: Value | undefined, site: CallSite): ReadonlySet<Value> {
  const flags = new Set<Value>();
  if (metadata === undefined || metadata === null) return flags;
  if (!(metadata instanceof PyDict)) throw site.fault('a tensor with metadata that is no dict');
  for (const [i, key] of metadata.keys.entries()) {
    if ((key !== 'conj' && key !== 'neg') || metadata.values[i] !== true || flags.has(key)) {
      throw site.fault('a tensor with metadata other than its conj and neg bits');
    }
    flags.add(key);
  }
  return flags;
}

function isIndex(value: Value | undefined): value is number {
  return typeof value === 'number' && value >= 0;
}

function indices(value: Value | undefined, what: string, site: CallSite): number[] {
  if (!(value instanceof PyTuple)) throw site.fault(`a tensor whose ${what} is no tuple`);
  if (value.items.length > MOST_DIMENSIONS) {
    throw site.fault(`a tensor of ${value.items.length} dimensions`);
  }
  site.spend(value.items.length);
  return value.items.map((item) => {
    if (!isIndex(item)) throw site.fault(`a tensor whose ${what} has a value that is no index`);
    return item;
  });
}
