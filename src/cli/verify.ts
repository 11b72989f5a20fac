import { escapeText } from '../escape.ts';
import { openModel } from '../index.ts';
import { type Failure, failureOf } from './failure.ts';
import { toJson } from './json.ts';
import { isSharded } from './listing.ts';
import { type Colors, printLines, terminalOf } from './terminal.ts';
import { countOf, formatBytes, formatCount, shownName } from './text.ts';

export interface VerifyOptions {
  readonly json?: true;
  readonly quiet?: true;
}

type Verdict =
  | {
      readonly path: string;
      readonly ok: true;
      readonly tensors: number;
      readonly byteLength: number;
      /** Files beside the index; only where there is one. */
      readonly shards?: number;
    }
  | {
      readonly path: string;
      readonly ok: false;
      /** With a path only where it is another: that of a shard or an index. */
      readonly error: Omit<Failure, 'path'> & Partial<Failure>;
    };

/**
 * `safetensors verify`
 *
 * @returns The exit code: 1 when a file is bad or cannot be opened.
 */
export async function verify(paths: readonly string[], options: VerifyOptions): Promise<0 | 1> {
  const { colors } = terminalOf(process.stdout, process.env);
  let failed = 0;
  if (options.json) await printLines(['{', '  "files": [']);
  for (const [index, path] of paths.entries()) {
    const verdict = await verdictOn(path);
    if (!verdict.ok) failed++;
    // As they come: a folder on a network may take a while.
    if (options.json) {
      await printLines([`    ${toJson(verdict)}${index < paths.length - 1 ? ',' : ''}`]);
    } else if (!verdict.ok || !options.quiet) {
      await printLines(verdictLines(verdict, colors));
    }
  }
  if (options.json) await printLines(['  ],', `  "ok": ${failed === 0}`, '}']);
  else if (paths.length > 1 && !options.quiet) {
    const counts = failed > 0 ? `${formatCount(failed)} failed` : 'all ok';
    await printLines(['', `${countOf(paths.length, 'file')}, ${counts}`]);
  }
  return failed > 0 ? 1 : 0;
}

/** Opening a file or a model checks every rule of the format. */
async function verdictOn(path: string): Promise<Verdict> {
  try {
    using model = await openModel(path);
    const { size: tensors, byteLength, shards } = model;
    const verdict = { path, ok: true, tensors, byteLength } as const;
    return isSharded(model) ? { ...verdict, shards: shards.length } : verdict;
  } catch (error) {
    const { path: failed, ...failure } = failureOf(error, path);
    return { path, ok: false, error: failed === path ? failure : { ...failure, path: failed } };
  }
}

function verdictLines(verdict: Verdict, colors: Colors): string[] {
  const path = shownName(verdict.path);
  if (verdict.ok) {
    const { tensors, byteLength, shards } = verdict;
    const facts = [countOf(tensors, 'tensor'), formatBytes(byteLength)];
    if (shards !== undefined) facts.push(countOf(shards, 'shard'));
    return [`${colors.green('ok')}    ${path}  ${colors.dim(`(${facts.join(', ')})`)}`];
  }
  const { code, reason, path: file } = verdict.error;
  const where = file === undefined ? '' : `${escapeText(file)}: `;
  return [`${colors.red('FAIL')}  ${path}`, `      ${code}  ${where}${reason}`];
}
