import { escapeText } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { escapeMessage, shownName } from './text.ts';

/** What is wrong with a file, ready to be printed. */
export interface Failure {
  /** `ERR_SAFETENSORS_…`, or the file system's own, as `ENOENT`. */
  readonly code: string;
  /** The file, as it is: one of several that a command works on. */
  readonly path: string;
  /** Without the path, without the code, on one line. */
  readonly reason: string;
  /** The tensor that is meant, as it is in the file. */
  readonly tensor?: string;
}

/**
 * What an error says of a file; of the one at `fallback` when it names none.
 *
 * @throws the error itself when it has no code: then it is not about the file.
 */
export function failureOf(error: unknown, fallback: string): Failure {
  if (error instanceof SafetensorsError) {
    const { code, message, path = fallback, tensor } = error;
    const reason = escapeMessage(withoutStart(message, `${escapeText(path)}: `));
    return { code, path, reason, ...(tensor === undefined ? {} : { tensor }) };
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const { code, message } = error;
    const path = 'path' in error ? `${error.path}` : fallback;
    const syscall = 'syscall' in error ? `, ${error.syscall}` : '';
    const withoutCode = withoutStart(withoutStart(message, `${code}: `), `${escapeText(path)}: `);
    const withoutPath = withoutEnd(withoutCode, ` '${path}'`);
    return { code, path, reason: escapeText(withoutEnd(withoutPath, syscall)) };
  }
  throw error;
}

/** An error in one line, with the file that it is about. */
export function describeFailure(error: unknown, fallback: string): string {
  const { code, path, reason } = failureOf(error, fallback);
  return `${code} ${shownName(path)}: ${reason}`;
}

function withoutStart(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : text;
}

function withoutEnd(text: string, end: string): string {
  return text.endsWith(end) ? text.slice(0, text.length - end.length) : text;
}
