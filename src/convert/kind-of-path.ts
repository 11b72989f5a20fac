import { stat } from 'node:fs/promises';
import { quoteName } from '../escape.ts';
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

/**
 * A file that is written is not the one that it is made of, which would be lost.
 * @throws {RangeError}
 */
export async function checkOutput(output: string, input: string, shownAs = output): Promise<void> {
  const there = await stat(fullPathOf(output), { bigint: true }).catch(() => undefined);
  if (there === undefined) return;
  const own = await stat(fullPathOf(input), { bigint: true });
  if (own.dev !== there.dev || own.ino !== there.ino) return;
  throw new RangeError(
    `output: expected another file than the checkpoint, found ${quoteName(shownAs)}`,
  );
}
