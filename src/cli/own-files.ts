import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { escapeText } from '../escape.ts';
import type { SafetensorsModel } from '../index.ts';
import { CommandError } from './command-error.ts';
import { isSharded } from './listing.ts';

/** What saving a model in a folder replaces or removes. */
const MODEL_FILES = /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/;

/** The files of a model, its index among them. */
function filesOf(model: SafetensorsModel): string[] {
  const shards = model.shards.map(({ path }) => path);
  return isSharded(model) ? [model.path, ...shards] : shards;
}

/**
 * A file that is written is no folder, and no part of the model that it is made of. (A model of a single
 * file may be written over itself.)
 *
 * @throws {CommandError}
 */
export async function checkOutputFile(output: string, model: SafetensorsModel): Promise<void> {
  const there = await statOf(output);
  const shown = escapeText(output);
  if (there?.isDirectory()) {
    throw new CommandError(
      `${shown} is a folder: name a file in it, as ${shown}/model.safetensors`,
    );
  }
  if (there === undefined || !isSharded(model)) return;
  for (const path of filesOf(model)) {
    const own = await statOf(path);
    if (own?.dev === there.dev && own.ino === there.ino) {
      throw new CommandError(`${shown} is a part of the model itself: choose another file`);
    }
  }
}

/**
 * A folder that a model is saved in does not hold the one that is split, where its files would be
 * replaced or removed.
 *
 * @throws {CommandError}
 */
export async function checkOutputFolder(output: string, model: SafetensorsModel): Promise<void> {
  const there = await statOf(output);
  if (there === undefined) return;
  const shown = escapeText(output);
  if (!there.isDirectory()) throw new CommandError(`${shown} is a file: name a folder`);
  const folder = await realpath(output);
  for (const path of filesOf(model)) {
    // Where it is named, and where links from there lead to.
    const places = [join(await realpath(dirname(path)), basename(path)), await realpath(path)];
    const inFolder = (place: string) =>
      dirname(place) === folder && MODEL_FILES.test(basename(place));
    const lost = places.find(inFolder);
    if (lost === undefined) continue;
    throw new CommandError(
      `${shown} has the model itself in it, as ${escapeText(basename(lost))}, which would be lost: ` +
        'choose another folder',
    );
  }
}

/** `undefined` where there is nothing, or nothing that can be looked at: writing will say why. */
async function statOf(path: string) {
  return await stat(path, { bigint: true }).catch(() => undefined);
}
