import type { SafetensorsModel, WriteProgress } from '../index.ts';
import { showProgress } from './progress.ts';

/** Options that saving a model takes from one that is open. */
export interface Saving {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: WriteProgress) => void;
}

/**
 * Saves the tensors and the metadata of a model elsewhere, with a bar.
 *
 * @param save Writes, with these options.
 */
export async function saveAgain<T>(
  model: SafetensorsModel,
  { label, signal }: { label: string; signal: AbortSignal },
  save: (saving: Saving) => Promise<T>,
): Promise<T> {
  using progress = showProgress(label);
  const { metadata } = model;
  // Empty metadata stays away: writers put none into a file that has none.
  const kept = Object.keys(metadata).length === 0 ? {} : { metadata };
  return await save({ ...kept, signal, onProgress: (now) => progress.update(now) });
}
