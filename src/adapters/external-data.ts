import { checkContainer, checkNames } from '../arguments.ts';
import type { Container } from '../index.ts';

/** A file that a model refers to, as `InferenceSession.create` takes it in `externalData`. */
export interface ExternalData {
  readonly path: string;
  readonly data: Uint8Array;
}

/**
 * Tensors as the external data of a model, each under its name as the file's: an initialiser `w` has
 * `location` `w`. The bytes are those of the mapping; ONNX Runtime copies them into the session.
 * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
 */
export function toExternalData(container: Container, names?: Iterable<string>): ExternalData[] {
  checkContainer(container);
  if (names !== undefined) checkNames(names);
  return Array.from(new Set(names ?? container.keys()), (path) => ({
    path,
    data: container.getTensor(path).bytes,
  }));
}
