import { checkContainer } from '../arguments.ts';
import type { AnyTensor, Container } from '../index.ts';

/** What `format` says by itself, whatever tensors are called: the libraries that write it, and this package. */
const FORMATS: ReadonlySet<string> = new Set([
  'pt',
  'np',
  'tf',
  'flax',
  'jax',
  'mlx',
  'paddle',
  'gguf',
]);

/**
 * The tensors of a container by name, with those that {@link convertCheckpoint} recorded as links: names
 * that its checkpoint had for the memory of another tensor. Both names lead to the same tensor.
 *
 * As with the reference's `load_model`, a key of the metadata is a link when it is no tensor, and its value
 * is the name of one.
 *
 * @throws {TypeError} unless it is a container
 * @throws {SafetensorsError} CLOSED
 */
export function withLinks(container: Container): Map<string, AnyTensor> {
  checkContainer(container);
  const tensors = new Map<string, AnyTensor>(container);
  for (const [name, target] of linksOf(container)) tensors.set(name, container.getTensor(target));
  return tensors;
}

/**
 * Those names alone, and the tensors that they stand for.
 *
 * @throws {TypeError} unless it is a container
 */
export function linksOf(container: Container): Map<string, string> {
  checkContainer(container);
  const links = new Map<string, string>();
  for (const [name, target] of Object.entries(container.metadata)) {
    if (name === 'format' && FORMATS.has(target)) continue;
    if (!container.has(name) && container.has(target)) links.set(name, target);
  }
  return links;
}
