import type { HeaderTable } from '../header/table.ts';
import { type FileHandle, type MappingHold, native } from '../native.ts';
import { type DataPlace, lostPages } from '../paging/paging-error.ts';
import type { FilePlace } from './storage.ts';

/** One of the files that are mapped into one range. */
export interface MappedFile {
  readonly path: string;
  /** In the mapping. */
  readonly base: number;
}

/** What is mapped, and how. */
export interface MappedPlace extends DataPlace {
  readonly path: string;
  /** Of the mapping. */
  readonly byteLength: number;
  readonly faultGuard: boolean;
  /** Where there are several, in the order of the mapping. */
  readonly files?: readonly MappedFile[] | undefined;
}

/** The files that are mapped, and what they have lost. Positions are those in the mapping. */
export class MappedFiles implements DataPlace {
  readonly handle: FileHandle;
  readonly table: HeaderTable;
  readonly dataStart: number;
  readonly path: string;
  readonly byteLength: number;
  readonly #faultGuard: boolean;
  readonly #files: readonly MappedFile[];

  /** All of them are mapped, and nobody has a buffer over them yet. */
  constructor(handle: FileHandle, place: MappedPlace) {
    this.handle = handle;
    this.table = place.table;
    this.dataStart = place.dataStart;
    this.path = place.path;
    this.byteLength = place.byteLength;
    this.#faultGuard = place.faultGuard;
    this.#files = place.files ?? [{ path: place.path, base: 0 }];
    if (place.byteLength > 0) native().guard(handle, place.faultGuard);
  }

  fileAt(position: number): FilePlace {
    const { path, base } = this.#files.findLast(({ base }) => base <= position) ?? this.#files[0];
    return { path, offset: position - base };
  }

  /**
   * Makes sure that no file that has bytes of `[begin, end)` has ever lost a page.
   * @throws {SafetensorsError} FILE_CHANGED
   */
  assertIntact(begin: number, end: number, source: FileHandle | MappingHold = this.handle): void {
    const lost = native().lostIn(source, begin, end);
    if (lost !== undefined) throw lostPages(this, lost);
  }

  /** {@link assertIntact} of all files. */
  assertAllIntact(): void {
    this.assertIntact(0, this.byteLength);
  }

  /**
   * Makes sure that no file has lost pages, and that losing some would be noticed.
   * @throws {SafetensorsError} FILE_CHANGED
   */
  check(): void {
    if (this.#faultGuard) native().keepGuard();
    this.assertAllIntact();
  }
}
