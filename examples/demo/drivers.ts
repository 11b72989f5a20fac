import { readFile } from 'node:fs';
import { promisify } from 'node:util';

/** A model that is open: what a program that computes with its weights needs of it. */
export interface OpenModel {
  /** In the header's order. */
  names: string[];
  view(name: string): Float32Array;
}

export type Open = (path: string) => Promise<OpenModel>;

/**
 * The ways to read a model that the demo compares. Each loads only what it needs, so that no
 * process pays for the other's modules.
 */
export const drivers: Record<DriverName, () => Promise<Open>> = {
  'safetensors-mmap': async () => {
    const { safeOpen } = await import('safetensors-mmap');
    return async (path) => {
      const file = await safeOpen(path);
      return {
        names: file.keys(),
        view: (name) => file.getTensor(name).data as Float32Array,
      };
    };
  },

  'fs.readFile': async () => openByReading,
};

export const driverNames = ['safetensors-mmap', 'fs.readFile'] as const;
export type DriverName = (typeof driverNames)[number];

interface Entry {
  shape: number[];
  data_offsets: [begin: number, end: number];
}

/** What one writes without a library: the file into one buffer, and views of it. */
async function openByReading(path: string): Promise<OpenModel> {
  const file = await promisify(readFile)(path);
  const dataStart = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(file.toString('utf8', 8, dataStart)) as Record<
    string,
    Entry
  >;
  return {
    names: Object.keys(entries),
    view(name) {
      const [begin, end] = entries[name].data_offsets;
      const offset = file.byteOffset + dataStart + begin;
      return new Float32Array(file.buffer, offset, (end - begin) / Float32Array.BYTES_PER_ELEMENT);
    },
  };
}
