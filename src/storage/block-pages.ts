import { constants } from 'node:buffer';
import type { HeaderTable } from '../header/table.ts';
import type { PageIn, PageRanges, Pages } from '../paging/pages.ts';
import { fillBlocks } from './block-filling.ts';
import type { Blocks, Extent } from './blocks.ts';
import type { ByteReader } from './byte-reader.ts';

/** What {@link BlockPages} looks after. */
export interface BlockMemory {
  readonly table: HeaderTable;
  /** Where the data begins, as positions of the reader count. */
  readonly dataStart: number;
  readonly reader: ByteReader;
  readonly blocks: Blocks;
  /** Takes a block that has been read, or another that was there before; which. */
  publish(extent: Extent, buffer: ArrayBuffer): ArrayBuffer;
  readonly closed: boolean;
}

/**
 * The extent that bytes `[begin, end)` of a tensor are in whole: the tensor, or a part of one that is
 * longer than a buffer may be. `undefined` where they are in two parts.
 */
export function extentOf(table: HeaderTable, begin: number, end: number): Extent | undefined {
  const { begins, ends } = table.columns;
  const entry = table.atPosition(begin);
  const first = begins[entry];
  const longest = constants.MAX_LENGTH;
  const from = first + Math.floor((begin - first) / longest) * longest;
  const to = Math.min(from + longest, ends[entry]);
  return end <= to ? { begin: from, end: to } : undefined;
}

/** Tensors read into blocks, which are kept until they are dropped. */
export class BlockPages implements Pages {
  /** They are copies, which nobody cuts off. */
  readonly anyLost = false;
  readonly #memory: BlockMemory;

  constructor(memory: BlockMemory) {
    this.#memory = memory;
  }

  pageIn(ranges: PageRanges, threads: number): PageIn {
    return new BlockPageIn(this.#memory, extentsIn(this.#memory, ranges), threads);
  }

  async resident(ranges: PageRanges): Promise<number> {
    const { blocks, dataStart } = this.#memory;
    let bytes = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      const begin = ranges[i] - dataStart;
      const end = begin + ranges[i + 1];
      for (const extent of extentsIn(this.#memory, ranges.subarray(i, i + 2))) {
        if (blocks.get(extent) === undefined) continue;
        bytes += Math.min(extent.end, end) - Math.max(extent.begin, begin);
      }
    }
    return bytes;
  }

  async drop(ranges: PageRanges): Promise<void> {
    for (const extent of extentsIn(this.#memory, ranges)) this.#memory.blocks.drop(extent);
  }
}

/** What is in ranges, in whole or in part. */
function* extentsIn({ table, dataStart }: BlockMemory, ranges: PageRanges): Generator<Extent> {
  const { begins, ends } = table.columns;
  for (let i = 0; i < ranges.length; i += 2) {
    const begin = ranges[i] - dataStart;
    const end = begin + ranges[i + 1];
    for (let rank = table.rankAt(begin); rank < table.count; rank++) {
      const entry = table.atOffsetRank(rank);
      if (begins[entry] >= end) break;
      for (let at = begins[entry]; at < ends[entry]; ) {
        const extent = extentOf(table, at, at) as Extent;
        at = extent.end;
        if (extent.end > begin && extent.begin < end) yield extent;
      }
    }
  }
}

class BlockPageIn implements PageIn {
  #bytes = 0;
  #finished = false;
  #cancelled = false;
  #failure: unknown;

  constructor(memory: BlockMemory, extents: Iterable<Extent>, lanes: number) {
    const { reader, blocks, dataStart } = memory;
    fillBlocks(reader, this.#missing(extents, blocks), {
      dataStart,
      lanes,
      stopped: () => this.#cancelled || memory.closed,
      onBytes: (bytes) => {
        this.#bytes += bytes;
      },
      onFilled: (extent, buffer) => blocks.keep(extent, memory.publish(extent, buffer)),
    })
      .catch((error) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#finished = true;
      });
  }

  get bytes(): number {
    return this.#bytes;
  }

  get finished(): boolean {
    if (this.#finished && this.#failure !== undefined) throw this.#failure;
    return this.#finished;
  }

  cancel(): void {
    this.#cancelled = true;
  }

  /** Those that have to be read; the others are kept from now on. */
  *#missing(extents: Iterable<Extent>, blocks: Blocks): Generator<Extent> {
    for (const extent of extents) {
      const buffer = blocks.get(extent);
      if (buffer === undefined) {
        yield extent;
        continue;
      }
      blocks.keep(extent, buffer);
      this.#bytes += extent.end - extent.begin;
    }
  }
}
