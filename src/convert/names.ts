import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';

/**
 * Gives tensors of a checkpoint the names that they are written under, each once.
 *
 * @param stripPrefix Taken off names that begin with it.
 */
export function namer(path: string, stripPrefix = ''): (found: string) => string {
  const names = new Set<string>();
  return (found) => {
    const name = found.startsWith(stripPrefix) ? found.slice(stripPrefix.length) : found;
    if (names.has(name))
      throw new RangeError(`stripPrefix: two tensors would be called ${quoteName(name)}`);
    names.add(name);
    if (name !== '__metadata__' && name.isWellFormed()) return name;
    const message = `a tensor called ${quoteName(name)}, which no tensor of safetensors can be`;
    throw new SafetensorsError('UNSUPPORTED_TENSOR', message, { path, tensor: name });
  };
}
