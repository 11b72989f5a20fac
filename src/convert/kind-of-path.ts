import { stat } from 'node:fs/promises';
import { openingError } from '../opening.ts';
import { fullPathOf } from '../path.ts';

/**
 * What a path leads to.
 * @throws {Error} of Node's own shape, with the path as the caller named it
 */
export async function kindOf(path: string): ReturnType<typeof stat> {
  try {
    return await stat(fullPathOf(path));
  } catch (error) {
    throw openingError(error, path);
  }
}
