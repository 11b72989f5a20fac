import { crc32 } from 'node:zlib';
import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import type { Contents, StoragePlace } from './checkpoint.ts';
import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES } from './pickle/limits.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import type { Value } from './pickle/values.ts';
import { readZip, type ZipRecord } from './zip.ts';

const PICKLE = '/data.pkl';
const DATA = '/data/';
const BYTE_ORDER = '/byteorder';

/** What `torch.save` writes since version 1.6: a zip file with everything in one folder. */
export async function readArchive(file: ByteReader, trace: Trace): Promise<Contents> {
  const { path } = file;
  const records = await readZip(file, { signal: trace.signal });
  checkCase(records, path);
  const folder = folderOf(records, path);
  if (records.has(`${folder}/constants.pkl`)) {
    const message = 'a TorchScript archive, which is a program: save its state_dict() instead';
    throw new SafetensorsError('UNSAFE_PICKLE', message, { path });
  }
  const bigEndian = (await byteOrder(file, records.get(folder + BYTE_ORDER))) === 'big';
  const pickle = records.get(folder + PICKLE);
  if (pickle === undefined) throw malformed(path, `no record ${folder}${PICKLE}`);
  const root = await readPickle(file, pickle, trace);
  await checkVersion(file, folder, records);
  const storages = new Map<string, StoragePlace>();
  for (const { name, begin, end } of records.values()) {
    if (name.startsWith(folder + DATA)) {
      storages.set(name.slice(folder.length + DATA.length), { begin, end });
    }
  }
  return { format: 'PyTorch', root, storages, bigEndian };
}

/** Versions of the format that PyTorch reads. */
const FIRST_VERSION = 1;
const LAST_VERSION = 10;

/** Under these names, PyTorch takes the first that is there. */
const VERSIONS = ['/.data/version', '/version'];

/** PyTorch reads no file without a version, nor one of a later one. */
async function checkVersion(
  file: ByteReader,
  folder: string,
  records: ReadonlyMap<string, ZipRecord>,
): Promise<void> {
  const found = VERSIONS.flatMap((name) => records.get(folder + name) ?? []);
  if (found.length === 0) throw malformed(file.path, `no record ${folder}/version`);
  for (const record of found) {
    const version = /^(\d{1,2})\n?$/.exec(await shortText(file, record))?.[1];
    if (version === undefined || +version < FIRST_VERSION || +version > LAST_VERSION) {
      const message = `a version of the format that is none of ${FIRST_VERSION} to ${LAST_VERSION}`;
      throw malformed(file.path, message);
    }
  }
}

/** Records whose names mean something to PyTorch. */
const MEANT = /\/(byteorder|constants\.pkl|data\.pkl|version)$/;

/** PyTorch looks records up without regard to case, and takes whichever it finds first. */
function checkCase(records: ReadonlyMap<string, ZipRecord>, path: string): void {
  const names = new Set<string>();
  for (const name of records.keys()) {
    const lower = name.toLowerCase();
    if (names.has(lower)) throw malformed(path, 'two records whose names differ in case only');
    names.add(lower);
    if (MEANT.test(lower) && !MEANT.test(name)) {
      throw malformed(path, `record ${quoteName(name)}, which PyTorch takes for one in lower case`);
    }
  }
}

/** The one folder that everything is in, named as the file was. */
function folderOf(records: ReadonlyMap<string, ZipRecord>, path: string): string {
  const pickles = [...records.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    const message = `expected one record "…${PICKLE}" in the zip file, found ${pickles.length}`;
    throw new SafetensorsError('NOT_A_CHECKPOINT', message, { path });
  }
  const folder = pickles[0].slice(0, -PICKLE.length);
  for (const name of records.keys()) {
    if (!name.startsWith(`${folder}/`)) throw malformed(path, 'records in more than one folder');
  }
  return folder;
}

async function byteOrder(file: ByteReader, record: ZipRecord | undefined): Promise<string> {
  if (record === undefined) return 'little';
  const text = await shortText(file, record);
  if (text === 'little' || text === 'big') return text;
  throw malformed(file.path, 'a byte order that is neither little nor big');
}

/** The longest text that such a record has is "little". */
const MOST_TEXT_BYTES = 6;

/** Empty where it is longer than that. */
async function shortText(file: ByteReader, { begin, end }: ZipRecord): Promise<string> {
  return end - begin > MOST_TEXT_BYTES ? '' : (await file.read(begin, end)).toString('latin1');
}

async function readPickle(file: ByteReader, record: ZipRecord, trace: Trace): Promise<Value> {
  const { begin, end } = record;
  const stream = new PickleStream(file, begin, end);
  const root = await stream.next(trace);
  if (stream.at !== end) throw malformed(file.path, 'bytes behind the pickle');
  // 0 is what PyTorch writes where it is told not to compute any.
  if (record.crc32 !== 0 && end - begin <= MOST_PICKLE_BYTES) {
    const found = crc32(await file.read(begin, end));
    if (found !== record.crc32) throw malformed(file.path, 'a pickle with another checksum');
  }
  return root;
}
