import { openModel, type PrefetchProgress } from 'safetensors-mmap';
import { checkLayout } from '../encoder/layout.ts';
import type { Release } from './messages.ts';
import { readModelFolder } from './model-folder.ts';

export interface Examined extends Disposable {
  readonly release: Release;
}

/**
 * What is at a path, made sure of once before all workers open it: the header of the weights and their
 * layout, and with `'data'` their bytes too, read from the disk by one process alone.
 *
 * @throws {SafetensorsError} for all that the format refuses; FILE_CHANGED, MEMORY_LIMIT
 * @throws {Error} when it is no encoder; the reason of the signal
 */
export async function examine(
  path: string,
  depth: 'headers' | 'data',
  options?: { onProgress?: (progress: PrefetchProgress) => void; signal?: AbortSignal },
): Promise<Examined> {
  const { config, digest } = await readModelFolder(path);
  const model = await openModel(path);
  try {
    checkLayout(model, config);
    if (depth === 'data') await model.prefetch(undefined, options);
    const release = { path, version: model.version, digest };
    return { release, [Symbol.dispose]: () => model.close() };
  } catch (error) {
    model.close();
    throw error;
  }
}
