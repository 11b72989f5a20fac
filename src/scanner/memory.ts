/** Bytes of text that are scanned at once: they stay in a core's own cache. */
export const TEXT_BYTES: i32 = 1 << 17;

/** NULs behind them: more than is read beyond what has been looked at. */
export const TEXT_PADDING: i32 = 320;

export const TEXT: usize = memory.data(TEXT_BYTES + TEXT_PADDING, 16);

/** Entries that are read at once: about as many of the shortest, `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]}`. */
export const MOST_ENTRIES: i32 = TEXT_BYTES / 49 + 1;

/** What has been read of them, a column for each property: those of header/columns.ts. */
export const BEGINS: usize = memory.data(8 * MOST_ENTRIES, 8);
export const ENDS: usize = memory.data(8 * MOST_ENTRIES, 8);
export const NAME_STARTS: usize = memory.data(4 * MOST_ENTRIES, 4);
export const NAME_ENDS: usize = memory.data(4 * MOST_ENTRIES, 4);
export const SHAPE_STARTS: usize = memory.data(4 * MOST_ENTRIES, 4);
export const CODES: usize = memory.data(MOST_ENTRIES, 1);

/** Dtypes by their codes: a byte for the length of the name, the name, and in the last byte its bits. */
export const DTYPE_BYTES: i32 = 16;
export const MOST_DTYPES: i32 = 32;
export const DTYPES: usize = memory.data(DTYPE_BYTES * MOST_DTYPES, 16);

/** The shard whose tensors are read from an index. */
export const MOST_SHARD_NAME: i32 = 255;
export const SHARD_NAME: usize = memory.data(MOST_SHARD_NAME + 1, 16);
