import type { CallSite } from './stack.ts';
import { PyDict, PyTuple, type Value } from './values.ts';

/**
 * What tensors of PyTorch have by themselves: setting one of these may put other elements in a tensor's place.
 * Every other name is one of the model's own, which tells nothing of the elements.
 */
const OF_TENSOR: ReadonlySet<string> = new Set(
  (
    'H T data device dtype grad grad_dtype grad_fn imag itemsize layout mH mT name names ' +
    'nbytes ndim output_nr real requires_grad retains_grad shape volatile _backward_hooks ' +
    '_base _cdata _grad _grad_fn _has_symbolic_sizes_strides _post_accumulate_grad_hooks ' +
    '_python_dispatch _version is_cpu is_cuda is_ipu is_leaf is_maia is_meta is_mkldnn ' +
    'is_mps is_mtia is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla ' +
    'is_xpu'
  ).split(' '),
);

/** Whether an attribute is one of PyTorch's or of Python's own. */
export function isOfTensor(name: string): boolean {
  return OF_TENSOR.has(name) || (name.startsWith('__') && name.endsWith('__'));
}

/**
 * Names of the attributes that a state of a tensor sets: a dict, a pair of that and one of slots, or nothing.
 * `undefined` for a state of any other form.
 */
export function attributesOf(state: Value, site: CallSite): string[] | undefined {
  const isPair = state instanceof PyTuple && state.items.length === 2;
  const parts = isPair ? state.items : [state];
  const names: string[] = [];
  for (const part of parts) {
    if (part === null || part === false) continue;
    if (part instanceof PyTuple && part.items.length === 0) continue;
    if (!(part instanceof PyDict)) return undefined;
    site.spend(part.keys.length);
    for (const key of part.keys) {
      if (typeof key !== 'string') return undefined;
      names.push(key);
    }
  }
  return names;
}
