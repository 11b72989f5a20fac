/** The containers that the contract holds for. */
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type * as Api from 'safetensors-mmap';
import { type Places, writeModel } from './model.js';

export type { Api };

/** One kind of container, and how it is opened. */
export interface Subject {
  readonly title: string;
  readonly backend: Api.Backend;
  /** Whether `data` of aligned tensors is to be a view. */
  readonly zeroCopy: boolean;
  /** Whether the bytes of tensors are read when they are used, and stay those of the file that was opened. */
  readonly reads: boolean;
  readonly isModel: boolean;
}

/** What a case has to work with: a folder of its own with the model in it. */
export interface Setup extends Subject {
  readonly api: typeof Api;
  readonly folder: string;
  readonly places: Places;
  /** The files that the container is of; none in memory. */
  readonly files: readonly string[];
  open(options?: Api.OpenOptions): Promise<Api.Container>;
}

/** All kinds of containers; `externalBuffers` is whether the runtime, or its pretence, has them. */
export function subjects(externalBuffers: boolean): Subject[] {
  const mapped = { backend: 'mmap', zeroCopy: externalBuffers, reads: false } as const;
  const read = { backend: 'read', zeroCopy: false, reads: true } as const;
  return [
    { title: 'a mapped file', ...mapped, isModel: false },
    { title: 'a file that is read', ...read, isModel: false },
    { title: 'a mapped model', ...mapped, isModel: true },
    { title: 'a model that is read', ...read, isModel: true },
    { title: 'bytes in memory', backend: 'memory', zeroCopy: true, reads: false, isModel: false },
  ];
}

/** Folders with the model in them, each a copy of the first. */
export class Folders {
  readonly #root = mkdtempSync(join(tmpdir(), 'safetensors-mmap-contract-'));
  readonly #first = join(this.#root, 'model');
  readonly #places = writeModel(this.#first);
  #count = 0;

  setup(api: typeof Api, subject: Subject): Setup {
    const folder = join(this.#root, `${++this.#count}`);
    cpSync(this.#first, folder, { recursive: true });
    const moved = (path: string) => join(folder, basename(path));
    const { file, index, shards } = this.#places;
    const places = { file: moved(file), index: moved(index), shards: shards.map(moved) };
    const files = subject.isModel ? places.shards : [places.file];
    const open = async (options?: Api.OpenOptions) => {
      if (subject.backend === 'memory') return api.deserialize(readFileSync(places.file), options);
      const all = { backend: subject.backend, ...options };
      return subject.isModel ? api.openModel(places.index, all) : api.safeOpen(places.file, all);
    };
    const own = subject.backend === 'memory' ? [] : files;
    return { ...subject, api, folder, places, files: own, open };
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** A promise of the contract, and what checks it. */
export interface Case {
  readonly title: string;
  /** The containers that it is a promise of; all, if there is none. */
  readonly of?: (subject: Subject) => boolean;
  readonly check: (setup: Setup) => Promise<void> | void;
}
