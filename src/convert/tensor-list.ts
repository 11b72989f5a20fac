import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import type { FilePlan, PlanOptions } from './convert-file.ts';
import { Listed } from './listed.ts';
import type { MappedCheckpoint } from './mapped-checkpoint.ts';
import { namer } from './names.ts';
import type { CheckpointTensor } from './plan.ts';
import type { OtherLeaf } from './tree.ts';

/** A tensor that safetensors cannot hold. */
export interface Unsupported {
  readonly name: string;
  /** In words. */
  readonly what: string;
}

/** What a file has that is neither nested nor a program: tensors by name. */
export interface TensorList {
  /** As the metadata has it. */
  readonly format: string;
  readonly tensors: readonly CheckpointTensor[];
  readonly unsupported: readonly Unsupported[];
  readonly metadata: ReadonlyMap<string, string>;
  /** What is neither a tensor nor fits into metadata. */
  readonly others: readonly OtherLeaf[];
}

/** Tensors of one kind that a message names. */
const SHOWN = 3;

/** Kinds of tensors that a message has: GGUF has some thirty, names of dtypes may be anything. */
const MOST_KINDS = 40;

/**
 * What is to become of such a file.
 *
 * @throws {SafetensorsError} UNSUPPORTED_TENSOR, NO_TENSORS
 * @throws {RangeError} for a key, and for a prefix that makes two names one
 */
export function planList(
  file: MappedCheckpoint,
  list: TensorList,
  { key = '', stripPrefix, skipUnknown, target, metadata }: PlanOptions,
): FilePlan {
  const { path } = file;
  const { format, unsupported } = list;
  if (key !== '') throw new RangeError(`key: expected none, since ${quoteName(path)} has no parts`);
  if (unsupported.length > 0 && !skipUnknown) throw refusal(unsupported, path);
  if (list.tensors.length === 0) {
    const message = 'no tensors that safetensors can hold are in the file';
    throw new SafetensorsError('NO_TENSORS', message, { path });
  }
  const nameOf = namer(path, stripPrefix);
  const others = new Listed<OtherLeaf>();
  for (const other of list.others) others.add(() => other);
  const skipped = new Listed<string>();
  for (const { name, what } of unsupported) skipped.add(() => `${quoteName(name)} (${what})`);
  const tensors = list.tensors.map((tensor) => ({ ...tensor, name: nameOf(tensor.name) }));
  return {
    checkpoint: file,
    file,
    tensors,
    links: new Map(),
    target,
    metadata: new Map([['format', format], ...list.metadata, ...metadata]),
    key: '',
    others,
    leftOut: [],
    skipped,
  };
}

/** Names each kind, and some tensors of it. */
function refusal(unsupported: readonly Unsupported[], path: string): SafetensorsError {
  const kinds = new Map<string, string[]>();
  for (const { name, what } of unsupported) {
    const names = kinds.get(what);
    if (names === undefined) kinds.set(what, [name]);
    else names.push(name);
  }
  const shown = [...kinds].slice(0, MOST_KINDS).map(([what, names]) => {
    const some = names.slice(0, SHOWN).map(quoteName).join(', ');
    const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : '';
    return `${what} (${some}${more})`;
  });
  if (kinds.size > MOST_KINDS) shown.push(`and ${kinds.size - MOST_KINDS} more`);
  const message =
    `tensors that safetensors does not have: ${shown.join('; ')}. skipUnknown (--skip-unknown) ` +
    'leaves them out';
  const { name: tensor } = unsupported[0];
  return new SafetensorsError('UNSUPPORTED_TENSOR', message, { path, tensor });
}
