import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import type { CheckpointTensor } from './plan.ts';

/** Tensors to be written, and names that stand for one of them. */
export interface Unshared {
  readonly tensors: readonly CheckpointTensor[];
  /** By name, the one that is written. */
  readonly links: ReadonlyMap<string, string>;
}

/**
 * Finds tensors that share memory, as the reference's converter (bindings/python/convert.py) does: of those that overlap, one that
 * covers the whole storage is kept, the first by name (code points), and its copies become links to
 * it. Where none covers the storage, that is an error there and here: what belongs to the tensor is not
 * known.
 *
 * The reference also drops what is another view of the kept one, as its transpose, another shape or a part of it, and
 * records the same link. That loses how they differ; here such a view is a tensor of its own. A single part of a
 * storage is copied by its converter and here, where its `save_model` refuses it.
 *
 * Links are keys of the metadata. The reference drops one whose key the metadata has already, and nothing says that
 * there was such a tensor; here a tensor of that name is written, so that no link is lost and no key overwritten.
 *
 * @param taken Keys that the metadata has already.
 * @throws {SafetensorsError} SHARED_TENSORS
 */
export function unshare(
  tensors: readonly CheckpointTensor[],
  path: string,
  taken: ReadonlySet<string>,
): Unshared {
  const links = new Map<string, string>();
  for (const group of overlapping(tensors)) {
    if (group.length < 2) continue;
    const covering = group.filter(coversStorage);
    if (covering.length === 0) {
      const names = group.slice(0, 4).map(({ name }) => quoteName(name));
      const more = group.length > 4 ? ` and ${group.length - 4} more` : '';
      throw new SafetensorsError(
        'SHARED_TENSORS',
        `${names.join(', ')}${more} share memory, and none of them covers all of it`,
        { path, tensor: group[0].name },
      );
    }
    const byIdentity = new Map<string, CheckpointTensor[]>();
    for (const tensor of group) {
      const identity = identityOf(tensor);
      const same = byIdentity.get(identity);
      if (same === undefined) byIdentity.set(identity, [tensor]);
      else same.push(tensor);
    }
    for (const same of byIdentity.values()) {
      same.sort((a, b) => compareCodePoints(a.name, b.name));
      const kept = same.find(({ name }) => taken.has(name)) ?? same[0];
      for (const { name } of same) {
        if (name !== kept.name && !taken.has(name)) links.set(name, kept.name);
      }
    }
  }
  return { tensors: tensors.filter(({ name }) => !links.has(name)), links };
}

/** Groups of tensors whose bytes overlap, one with the next. */
function* overlapping(tensors: readonly CheckpointTensor[]): Generator<CheckpointTensor[]> {
  const byStorage = new Map<string, CheckpointTensor[]>();
  for (const tensor of tensors) {
    if (tensor.geometry.elements === 0) continue;
    const others = byStorage.get(tensor.place.key);
    if (others === undefined) byStorage.set(tensor.place.key, [tensor]);
    else others.push(tensor);
  }
  for (const sharing of byStorage.values()) {
    sharing.sort((a, b) => a.geometry.begin - b.geometry.begin);
    let group: CheckpointTensor[] = [];
    let end = 0;
    for (const tensor of sharing) {
      if (group.length > 0 && tensor.geometry.begin >= end) {
        yield group;
        group = [];
      }
      group.push(tensor);
      end = Math.max(end, tensor.geometry.end);
    }
    yield group;
  }
}

function coversStorage({ geometry, place }: CheckpointTensor): boolean {
  const { elements, elementBytes, begin, end } = geometry;
  return begin === 0 && end === place.byteLength && elements * elementBytes === place.byteLength;
}

/** The same for tensors of the same elements in the same order. */
function identityOf({ dtype, geometry, changes }: CheckpointTensor): string {
  const { shape, strides, begin } = geometry;
  // A stride along an axis of one element says nothing.
  const telling = strides.map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  const { swappedBytes, negative, conjugate } = changes;
  return JSON.stringify([dtype, begin, shape, telling, swappedBytes, negative, conjugate]);
}

function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
