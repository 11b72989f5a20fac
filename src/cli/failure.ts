import { escapeText } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { escapeMessage } from './text.ts';

/** What is wrong with a file, ready to be printed. */
export interface Failure {
  /** `ERR_SAFETENSORS_…`, or the file system's own, as `ENOENT`. */
  readonly code: string;
  /** Without the path, without the code, on one line. */
  readonly reason: string;
  /** The tensor that is meant, as it is in the file. */
  readonly tensor?: string;
}

/**
 * What an error says of a file.
 *
 * @throws the error itself when it has no code: then it is not about the file.
 */
export function failureOf(error: unknown, path: string): Failure {
  if (error instanceof SafetensorsError) {
    const { code, message, tensor } = error;
    const reason = escapeMessage(withoutStart(message, `${escapeText(path)}: `));
    return tensor === undefined ? { code, reason } : { code, reason, tensor };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const { code, message } = error;
    const syscall = 'syscall' in error ? `${error.syscall}` : '';
    const reason = withoutEnd(withoutStart(message, `${code}: `), `, ${syscall} '${path}'`);
    return { code, reason: escapeText(reason) };
  }
  throw error;
}

function withoutStart(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : text;
}

function withoutEnd(text: string, end: string): string {
  return text.endsWith(end) ? text.slice(0, -end.length) : text;
}
