import { createRequire } from 'node:module';
import { ROOT } from './drivers.ts';

/** What the suite asks the package's own addon that the package has no call for. */
interface Addon {
  /** Kernels that this processor can run, the best first. */
  kernelSets: readonly string[];
  openSync(path: string, prefix: Uint8Array, backend: 'mmap'): { handle: object; size: number };
  guard(handle: object, guarded: boolean): void;
  residentBytes(handle: object, ranges: Float64Array): Promise<number>;
  close(handle: object): void;
}

const require = createRequire(import.meta.url);
const addon = (require('node-gyp-build') as (root: string) => Addon)(ROOT);

/** The kernels that the package decodes with, or that it is told to. */
export function kernelsInUse(): string {
  return process.env.SAFETENSORS_MMAP_KERNELS || addon.kernelSets[0];
}

/** A mapping of all of a file, whatever is in it, of which no byte is read. */
export class WholeFile implements Disposable {
  readonly #handle: object;
  readonly #ranges: Float64Array;

  constructor(path: string) {
    const { handle, size } = addon.openSync(path, new Uint8Array(0), 'mmap');
    this.#handle = handle;
    addon.guard(handle, false);
    this.#ranges = Float64Array.of(0, size);
  }

  /** Bytes of its pages that are in the page cache, by mincore(2). */
  residentBytes(): Promise<number> {
    return addon.residentBytes(this.#handle, this.#ranges);
  }

  [Symbol.dispose](): void {
    addon.close(this.#handle);
  }
}
