import { closeSync, openSync, writeSync } from 'node:fs';

/** The longest header that the reference reads. */
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

export interface HostileFile {
  /** For the ids of rows. */
  id: string;
  name: string;
  /** One of the five that the target names. */
  inTarget: boolean;
  /** Bytes of data behind the header. */
  dataLength: number;
  header: () => Buffer;
  /** The code that it is refused with, though its grammar is right; by default it is valid. */
  refusedWith?: string;
}

const ENTRIES = 1_750_000;
const SHUFFLED_ENTRIES = 1_400_000;
const METADATA_KEYS = 8_000_000;
/** Coprime to {@link SHUFFLED_ENTRIES}: its multiples visit each entry once, far from the last. */
const STRIDE = 866_029;

/** Headers of about 100 MB whose grammar is right, made to cost as much as they can. */
export const HOSTILE_FILES: readonly HostileFile[] = [
  {
    id: 'entries',
    name: '1.75 million entries',
    inTarget: true,
    dataLength: 0,
    header: manyEntries,
  },
  {
    id: 'shape',
    name: 'a shape of 49 million elements',
    inTarget: true,
    dataLength: 4,
    header: () => filled('{"a":{"dtype":"F32","shape":[1', ',1', '],"data_offsets":[0,4]}}'),
  },
  {
    id: 'ignored',
    name: 'an ignored field of 49 million elements',
    inTarget: true,
    dataLength: 4,
    header: () =>
      filled('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[0', ',0', ']}}'),
  },
  {
    id: 'metadata',
    name: '8 million metadata keys',
    inTarget: true,
    dataLength: 0,
    header: manyKeys,
  },
  {
    id: 'space',
    name: '100 MB of white space',
    inTarget: true,
    dataLength: 0,
    header: () => filled('{}', ' ', ''),
  },
  {
    id: 'shuffled',
    name: '1.4 million entries in random order',
    inTarget: false,
    dataLength: SHUFFLED_ENTRIES,
    header: shuffledEntries,
  },
  {
    id: 'escapes',
    name: 'a name of 16 million \\u escapes',
    inTarget: false,
    dataLength: 4,
    header: () => filled('{"', '\\u00e9', '":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
  },
  {
    id: 'floats',
    name: 'an ignored field of 25 million floats',
    inTarget: false,
    dataLength: 4,
    header: () =>
      filled('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[0', ',1e1', ']}}'),
  },
  {
    id: 'shape-mismatch',
    name: 'a shape of 49 million elements that are too many for its data',
    inTarget: false,
    dataLength: 1,
    header: () => filled('{"a":{"dtype":"U8","shape":[3', ',1', '],"data_offsets":[0,1]}}'),
    refusedWith: 'SIZE_MISMATCH',
  },
  {
    id: 'shape-overflow',
    name: 'a shape of 49 million elements that overflows',
    inTarget: false,
    dataLength: 1,
    header: () =>
      filled('{"a":{"dtype":"U8","shape":[9007199254740991,3', ',1', '],"data_offsets":[0,1]}}'),
    refusedWith: 'OVERFLOW',
  },
];

/** Returns the length of the header. */
export function writeHostileFile(path: string, { header, dataLength }: HostileFile): number {
  const bytes = header();
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(bytes.length));
  const descriptor = openSync(path, 'w');
  try {
    writeSync(descriptor, length);
    writeSync(descriptor, bytes);
    writeSync(descriptor, Buffer.alloc(dataLength));
    return bytes.length;
  } finally {
    closeSync(descriptor);
  }
}

/** Makes the file invalid at the very end of its header. */
export function spoil(path: string, headerBytes: number): void {
  const descriptor = openSync(path, 'r+');
  try {
    writeSync(descriptor, 'x', LENGTH_BYTES + headerBytes - 1);
  } finally {
    closeSync(descriptor);
  }
}

/** `head`, as many of `unit` as fit into the limit, `tail`. */
function filled(head: string, unit: string, tail: string): Buffer {
  const units = Math.floor((MAX_HEADER_BYTES - head.length - tail.length) / unit.length);
  const bytes = Buffer.allocUnsafeSlow(head.length + units * unit.length + tail.length);
  bytes.fill(unit, head.length);
  bytes.write(head);
  bytes.write(tail, bytes.length - tail.length);
  return bytes;
}

function manyEntries(): Buffer {
  return joined('{', ENTRIES, '}', (i) => {
    return `"${id(i, 5)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`;
  });
}

function shuffledEntries(): Buffer {
  return joined('{', SHUFFLED_ENTRIES, '}', (i) => {
    const at = (i * STRIDE) % SHUFFLED_ENTRIES;
    return `"${id(i, 4)}":{"dtype":"U8","shape":[],"data_offsets":[${at},${at + 1}]}`;
  });
}

function manyKeys(): Buffer {
  return joined('{"__metadata__":{', METADATA_KEYS, '}}', (i) => `"${id(i, 6)}":""`);
}

function id(i: number, digits: number): string {
  return i.toString(36).padStart(digits, '0');
}

function joined(head: string, count: number, tail: string, item: (i: number) => string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(MAX_HEADER_BYTES);
  let end = bytes.write(head, 'latin1');
  for (let i = 0; i < count; i++) {
    end += bytes.write(i === 0 ? item(i) : `,${item(i)}`, end, 'latin1');
  }
  end += bytes.write(tail, end, 'latin1');
  return bytes.subarray(0, end);
}
