import { open } from 'node:fs/promises';
import type { SafetensorsModel } from '../index.ts';
import { type FileRange, readUpTo } from './file-reading.ts';

/** The length of the header, before it. */
const LENGTH_BYTES = 8;

/**
 * Where the tensors of a model are in its files, for commands that read all of them: reading keeps to
 * a little memory and leaves the event loop free, where touching the mapping would block it for each page
 * that is not there; and a file that is cut short meanwhile is an error, not the end of the process.
 *
 * Whether the files are still those that were opened is for `model.check()` to say afterwards.
 */
export class ModelFiles {
  readonly #model: SafetensorsModel;
  readonly #dataStarts = new Map<string, number>();

  private constructor(model: SafetensorsModel) {
    this.#model = model;
  }

  static async of(model: SafetensorsModel): Promise<ModelFiles> {
    const files = new ModelFiles(model);
    for (const { path } of model.shards) files.#dataStarts.set(path, await dataStartOf(path));
    return files;
  }

  rangeOf(name: string): FileRange {
    const { path } = this.#model.shardOf(name);
    const start = this.#dataStarts.get(path) ?? 0;
    const [begin, end] = this.#model.info(name).dataOffsets;
    return { path, begin: start + begin, end: start + end };
  }
}

async function dataStartOf(path: string): Promise<number> {
  const file = await open(path);
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    await readUpTo(file, path, 0, length);
    return LENGTH_BYTES + Number(length.readBigUInt64LE());
  } finally {
    await file.close();
  }
}
