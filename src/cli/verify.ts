import { escapeText } from '../escape.ts';
import { safeOpen } from '../index.ts';
import { type Failure, failureOf } from './failure.ts';
import { toJson } from './json.ts';
import { type Colors, printLines, terminalOf } from './terminal.ts';
import { countOf, formatBytes, formatCount } from './text.ts';

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
    }
  | { readonly path: string; readonly ok: false; readonly error: Failure };

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

/** Opening a file checks every rule of the format. */
async function verdictOn(path: string): Promise<Verdict> {
  try {
    using file = await safeOpen(path);
    return { path, ok: true, tensors: file.size, byteLength: file.byteLength };
  } catch (error) {
    return { path, ok: false, error: failureOf(error, path) };
  }
}

function verdictLines(verdict: Verdict, colors: Colors): string[] {
  const path = escapeText(verdict.path);
  if (verdict.ok) {
    const facts = `(${countOf(verdict.tensors, 'tensor')}, ${formatBytes(verdict.byteLength)})`;
    return [`${colors.green('ok')}    ${path}  ${colors.dim(facts)}`];
  }
  const { code, reason } = verdict.error;
  return [`${colors.red('FAIL')}  ${path}`, `      ${code}  ${reason}`];
}
