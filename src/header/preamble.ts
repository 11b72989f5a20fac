import { SafetensorsError } from '../errors.ts';
import { LENGTH_BYTES } from './bytes.ts';

/** The largest header that the reference reads. */
export const DEFAULT_MAX_HEADER_BYTES = 100_000_000;

/** Bytes at a file's start that {@link headerLength} looks at. */
export const PREAMBLE_BYTES = 64;

/** Other files that are mistaken for safetensors: how they begin, what they are, what to do. */
const OTHER_FILES: readonly { begins: RegExp; is: string; advice: string }[] = [
  {
    begins: /^PK\x03\x04/,
    is: 'a zip archive, as PyTorch writes checkpoints',
    advice: 'convert it to safetensors first, with `safetensors convert`; do not unpickle it',
  },
  {
    begins: /^\x80[\x02-\x05][^\0]/,
    is: 'a Python pickle, as old PyTorch checkpoints are',
    advice: 'convert it to safetensors first, with `safetensors convert`; do not unpickle it',
  },
  {
    begins: /^GGUF/,
    is: 'a GGUF file',
    advice:
      'take the model’s safetensors files instead, or convert it with `safetensors convert` if it is not quantised',
  },
  {
    begins: /^(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml|head)/i,
    is: 'an HTML page, perhaps an error saved by a download',
    advice: 'download the file again',
  },
  {
    begins: /^version https:\/\/git-lfs/,
    is: 'a Git LFS pointer, not the file it points to',
    advice: 'run `git lfs pull`',
  },
  {
    begins: /^\x89HDF/,
    is: 'an HDF5 file',
    advice: 'convert it to safetensors first',
  },
  {
    begins: /^(\xef\xbb\xbf)?\s*[{[]\s*["[{]/,
    is: 'a JSON file, perhaps the index of a sharded model',
    advice: 'open it with openModel, or the .safetensors files that it names',
  },
];

export interface PreambleOptions {
  maxHeaderBytes: number;
  path?: string | undefined;
}

/**
 * The length of the header, from the first bytes of a file of `byteLength` bytes: as many as
 * {@link PREAMBLE_BYTES}, or all there are.
 *
 * @throws {SafetensorsError} HEADER_TOO_SMALL, HEADER_TOO_LARGE, HEADER_LENGTH, NOT_SAFETENSORS
 */
export function headerLength(
  start: Buffer,
  byteLength: number,
  { maxHeaderBytes, path }: PreambleOptions,
): number {
  if (byteLength < LENGTH_BYTES) {
    const message = `expected at least the ${LENGTH_BYTES} bytes of the header length, found ${byteLength}`;
    throw new SafetensorsError('HEADER_TOO_SMALL', message, { path });
  }
  const length = start.readBigUInt64LE(0);
  // No safetensors header begins with anything but an object.
  const beginsLikeJson = /^[ \t\n\r{]/.test(
    start.toString('latin1', LENGTH_BYTES, LENGTH_BYTES + 1),
  );
  if (length > maxHeaderBytes || !beginsLikeJson) refuseOtherFiles(start, path);
  if (length > maxHeaderBytes) {
    const message = `the header length, at byte 0, is ${length}; at most ${maxHeaderBytes} is allowed. Perhaps this is another kind of file`;
    throw new SafetensorsError('HEADER_TOO_LARGE', message, { path });
  }
  if (Number(length) > byteLength - LENGTH_BYTES) {
    const message = `the header length, at byte 0, is ${length}, but ${byteLength - LENGTH_BYTES} bytes follow it`;
    throw new SafetensorsError('HEADER_LENGTH', message, { path });
  }
  return Number(length);
}

function refuseOtherFiles(start: Buffer, path: string | undefined): void {
  const text = start.toString('latin1', 0, PREAMBLE_BYTES);
  const other = OTHER_FILES.find(({ begins }) => begins.test(text));
  if (other) {
    throw new SafetensorsError('NOT_SAFETENSORS', `this is ${other.is}: ${other.advice}`, { path });
  }
}
