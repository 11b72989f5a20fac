import { once } from 'node:events';
import type { WriteStream } from 'node:tty';
import picocolors from 'picocolors';
import { escapeMessage } from './text.ts';

export type Colors = ReturnType<typeof picocolors.createColors>;

/** What is known of the stream that is written to. */
export interface Terminal {
  /** In columns; infinite where nobody's eyes set a limit: a pipe or a file gets everything. */
  readonly width: number;
  readonly colors: Colors;
}

type Stream = Pick<NodeJS.WriteStream, 'isTTY'> & Partial<Pick<WriteStream, 'columns'>>;

/** Width of a terminal that does not know its own, as a serial line or a bare pty. */
const DEFAULT_COLUMNS = 80;

export function terminalOf(stream: Stream, env: NodeJS.ProcessEnv): Terminal {
  return {
    width: stream.isTTY ? stream.columns || DEFAULT_COLUMNS : Number.POSITIVE_INFINITY,
    colors: picocolors.createColors(wantsColor(stream, env)),
  };
}

/** https://no-color.org and https://force-color.org: an empty variable counts as unset. */
function wantsColor(stream: Stream, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return Boolean(stream.isTTY) && env.TERM !== 'dumb';
}

/** Bytes, roughly, that are written at once: a system call for each line would take seconds. */
const CHUNK_LENGTH = 64 * 1024;

/** Writes lines, no faster than the stream takes them. */
export async function printLines(
  lines: Iterable<string>,
  stream: NodeJS.WriteStream = process.stdout,
): Promise<void> {
  let chunk = '';
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < CHUNK_LENGTH) continue;
    if (!stream.write(chunk)) await once(stream, 'drain');
    chunk = '';
  }
  if (chunk !== '' && !stream.write(chunk)) await once(stream, 'drain');
}

/** Prints what went wrong, on one line. */
export function printError(message: string): void {
  console.error(`error: ${escapeMessage(message)}`);
}
