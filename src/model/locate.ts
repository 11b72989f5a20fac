import { readdir, stat } from 'node:fs/promises';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { pathIn } from '../path.ts';
import { INDEX_FILE, SHARD_NAME, SINGLE_FILE } from './shards.ts';

/** One of several: it is no model alone. */
const PART = /-\d{5}-of-\d{5}\.safetensors$/;

/** Names that an error shows. */
const SHOWN_NAMES = 4;

/** Where a model is, and whether that is an index. */
export interface ModelPlace {
  readonly path: string;
  readonly fullPath: string;
  readonly isIndex: boolean;
}

/**
 * Finds the model that a path leads to: a folder, an index or a file. In a folder that is
 * `model.safetensors.index.json`, else `model.safetensors`, else the only other index, else the only
 * other file that is no part of several. Shards named `model-…` without an index are an error.
 *
 * @throws {SafetensorsError} SHARD_MISSING when a folder has no model, or more than one
 */
export async function locateModel(path: string, fullPath: string): Promise<ModelPlace> {
  // What cannot be looked at cannot be opened either, and is then reported as for any file.
  const info = fullPath === '' ? undefined : await stat(fullPath).catch(() => undefined);
  if (!info?.isDirectory()) return placeOf(path, fullPath);
  const inFolder = (name: string) => placeOf(pathIn(path, name), pathIn(fullPath, name));
  const names = (await readdir(fullPath)).sort();
  for (const usual of [INDEX_FILE, SINGLE_FILE]) {
    if (names.includes(usual)) return inFolder(usual);
  }
  // Whatever else is there is not the model that these are of.
  if (names.some((name) => SHARD_NAME.test(name))) {
    const message =
      'the folder has shards of a model but no index, as while one is saved or downloaded';
    throw new SafetensorsError('SHARD_MISSING', message, { path });
  }
  const indexes = names.filter((name) => name.endsWith('.safetensors.index.json'));
  const files = names.filter((name) => name.endsWith('.safetensors') && !PART.test(name));
  for (const found of [indexes, files]) {
    if (found.length === 1) return inFolder(found[0]);
    if (found.length > 1) throw severalModels(path, found);
  }
  const message = `the folder has no model: neither ${INDEX_FILE} nor another file that is one`;
  throw new SafetensorsError('SHARD_MISSING', message, { path });
}

function placeOf(path: string, fullPath: string): ModelPlace {
  return { path, fullPath, isIndex: path.endsWith('.json') };
}

function severalModels(path: string, names: readonly string[]): SafetensorsError {
  const shown = names.slice(0, SHOWN_NAMES).map(quoteName).join(', ');
  const more = names.length > SHOWN_NAMES ? ', …' : '';
  const message = `the folder has several models: open one of ${shown}${more}`;
  return new SafetensorsError('SHARD_MISSING', message, { path });
}
