import { SafetensorsError } from '../index.ts';
import { readArchive } from './archive.ts';
import { malformed } from './fault.ts';
import { isLegacy, readLegacy } from './legacy.ts';
import type { MappedCheckpoint } from './mapped-checkpoint.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import type { PyStorage, Value } from './pickle/values.ts';
import {
  beginsLikePickle,
  beginsLikeSafetensors,
  beginsLikeZip,
  START_BYTES,
} from './signatures.ts';
import { readTarCheckpoint } from './tar.ts';
import { beginsLikeTar } from './tar-records.ts';

/** Where a storage is in the file. */
export interface StoragePlace {
  readonly begin: number;
  readonly end: number;
}

/** What a checkpoint holds, whatever it is packed in. */
export interface Contents {
  /** As it is called in messages. */
  readonly format: string;
  /** What its pickle describes. */
  readonly root: Value;
  readonly storages: ReadonlyMap<string, StoragePlace>;
  readonly bigEndian: boolean;
}

/** A checkpoint that is open, and described. */
export class Checkpoint implements Disposable {
  readonly file: MappedCheckpoint;
  readonly contents: Contents;
  readonly trace: Trace;

  constructor(file: MappedCheckpoint, contents: Contents, trace: Trace) {
    this.file = file;
    this.contents = contents;
    this.trace = trace;
  }

  /** @throws {SafetensorsError} where the file does not have it, or has it in another length */
  placeOf({ key, byteLength }: PyStorage): StoragePlace {
    const place = this.contents.storages.get(key);
    if (place === undefined) throw malformed(this.file.path, `storage "${key}" is not in the file`);
    const found = place.end - place.begin;
    if (found === byteLength) return place;
    const message = `storage "${key}": expected ${byteLength} bytes, found ${found}`;
    throw malformed(this.file.path, message);
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

/**
 * Reads a checkpoint of any kind that is known.
 *
 * @param trace Filled as far as the reading gets, also when it fails.
 * @throws {SafetensorsError} NOT_A_CHECKPOINT, MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT
 */
export async function readCheckpoint(file: MappedCheckpoint, trace: Trace): Promise<Contents> {
  const start = await file.read(0, Math.min(file.size, START_BYTES));
  if (beginsLikeZip(start)) return readArchive(file, trace);
  if (beginsLikeTar(start)) return readTarCheckpoint(file, trace);
  const isSafetensors = beginsLikeSafetensors(start);
  if (!beginsLikePickle(start)) throw noCheckpoint(file.path, isSafetensors);
  const stream = new PickleStream(file);
  const first = await stream.next(trace).catch((error) => {
    // The length of its header may be how a pickle begins.
    if (!isSafetensors || !isMalformed(error)) throw error;
    throw noCheckpoint(file.path, true, error.cause);
  });
  if (isLegacy(first)) return readLegacy(file, stream, trace);
  if (stream.at !== file.size) {
    throw malformed(file.path, `bytes behind the pickle, from byte ${stream.at}`);
  }
  return { format: 'pickle', root: first, storages: new Map(), bigEndian: false };
}

function noCheckpoint(path: string, isSafetensors: boolean, cause?: unknown): SafetensorsError {
  const message = isSafetensors
    ? 'no checkpoint: this is a safetensors file already'
    : 'no checkpoint: neither a zip file, nor a pickle, a tar file, an array of numpy or GGUF';
  return new SafetensorsError('NOT_A_CHECKPOINT', message, { path, cause });
}

function isMalformed(error: unknown): error is SafetensorsError {
  return error instanceof SafetensorsError && error.code === 'ERR_SAFETENSORS_MALFORMED_CHECKPOINT';
}
