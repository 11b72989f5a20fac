import { type ScannedFile, type ScanVerdict, scanCheckpoint } from '../convert/index.ts';
import { escapeText } from '../escape.ts';
import { EXIT_DANGEROUS, EXIT_FAILURE, EXIT_OK } from './exit-codes.ts';
import { describeFailure, failureOf } from './failure.ts';
import { jsonArray, toJson } from './json.ts';
import { type Colors, printLines, terminalOf } from './terminal.ts';
import { countOf } from './text.ts';

export interface ScanCommandOptions {
  readonly json?: true;
}

const EXIT_CODES: Readonly<Record<ScanVerdict, number>> = {
  safe: EXIT_OK,
  unknown: EXIT_FAILURE,
  dangerous: EXIT_DANGEROUS,
};

const VERDICTS: Readonly<Record<ScanVerdict, string>> = {
  safe: 'safe to convert',
  unknown: 'unknown',
  dangerous: 'DANGEROUS',
};

/**
 * `safetensors scan`
 *
 * @returns The exit code: that of the worst verdict.
 */
export async function scan(
  path: string,
  { json }: ScanCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  const files = await scanCheckpoint(path, { signal });
  const exitCode = files.reduce(
    (worst, { verdict }) => Math.max(worst, EXIT_CODES[verdict]),
    EXIT_OK,
  );
  if (json) await printLines(scanJson(path, files));
  else {
    const { colors } = terminalOf(process.stdout, process.env);
    for (const file of files) await printLines(fileLines(file, colors));
    if (files.length !== 1) await printLines([countOf(files.length, 'checkpoint')]);
  }
  return exitCode;
}

function* fileLines(file: ScannedFile, colors: Colors): Generator<string> {
  const { path, verdict, globals, calls, omitted, problem } = file;
  const color = { safe: colors.green, unknown: colors.yellow, dangerous: colors.red }[verdict];
  const harms = [...calls, ...globals].flatMap(({ danger }) => danger ?? []);
  const reason = harms.length === 0 ? '' : `: ${harms[0]}`;
  yield `${escapeText(path)}  ${color(VERDICTS[verdict])}${reason}`;
  if (problem !== undefined) yield `  ${describeFailure(problem, path)}`;
  if (globals.length > 0) yield '  names:';
  for (const { name, listed, danger } of globals) {
    yield `    ${name}${listed ? '' : `  ${danger ?? 'not on the list'}`}`;
  }
  if (omitted.globals > 0) yield `    … and ${omitted.globals} more`;
  if (calls.length > 0) yield '  would call:';
  for (const { call, at, danger } of calls) {
    yield `    ${call}  at byte ${at}${danger === undefined ? '' : `: ${danger}`}`;
  }
  if (omitted.calls > 0) yield `    … and ${omitted.calls} more`;
}

function* scanJson(path: string, files: readonly ScannedFile[]): Generator<string> {
  yield '{';
  yield `  "path": ${toJson(path)},`;
  const shown = files.map(({ problem, ...file }) => ({
    ...file,
    ...(problem === undefined ? {} : { problem: failureOf(problem, file.path) }),
  }));
  yield* jsonArray('files', shown, { isLast: true });
  yield '}';
}
