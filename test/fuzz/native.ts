// libFuzzer over the targets of test/native/checks, with AddressSanitizer and UndefinedBehaviorSanitizer.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildProgram, findCommand, root } from '../tools/native-build.ts';
import type { FuzzResult } from './header.ts';

const corpora = join(root, 'test', 'native', 'checks', 'corpus');
const LONGEST_INPUT = 300;
/** Of one input: a copy or a mapping that never ends. */
const MOST_SECONDS = 20;

function targetNames(): string[] {
  const header = readFileSync(join(root, 'test', 'native', 'checks', 'targets.h'), 'utf8');
  const table = header.slice(header.indexOf('kTargets[]'));
  const names = Array.from(table.matchAll(/\{"([a-z-]+)",/g), ([, name]) => name);
  if (names.length === 0) throw new Error('targets.h has no targets');
  return names;
}

/** A line in base64 for each input; a target that has none yet begins without. */
function readCorpus(target: string, folder: string): void {
  const path = join(corpora, `${target}.txt`);
  if (!existsSync(path)) return;
  for (const [i, line] of readFileSync(path, 'utf8').trim().split('\n').entries()) {
    writeFileSync(join(folder, `${i}`), Buffer.from(line, 'base64'));
  }
}

function writeCorpus(target: string, folder: string): void {
  const inputs = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'base64'));
  writeFileSync(join(corpora, `${target}.txt`), `${inputs.sort().join('\n')}\n`);
}

/** What it prints on standard error is kept for when it fails. */
function run(
  program: string,
  args: string[],
  target: string,
): Promise<{ ok: boolean; log: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, FUZZ_TARGET: target },
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ ok: code === 0, log }));
  });
}

/** Nothing, and the reason is printed, where there is no compiler with libFuzzer. */
export async function fuzzNative(
  minutes: number,
  seed: number,
  keep: boolean,
): Promise<FuzzResult | undefined> {
  const compiler = findCommand('clang++', 'clang++-14', 'clang++-16', 'clang++-19');
  if (compiler === undefined) {
    console.log('LEFT OUT: libFuzzer needs clang (Debian: clang and libclang-rt-dev)');
    return undefined;
  }
  const program = await buildProgram({
    name: 'fuzz',
    compiler,
    sanitizers: 'fuzzer-no-link,address,undefined',
    linkWith: 'fuzzer,address,undefined',
    without: [
      'checks_main.cc',
      'handlers_that_leave.cc',
      'refused_calls.cc',
      'threads.cc',
      'threads_guard.cc',
    ],
  });
  const work = mkdtempSync(join(tmpdir(), 'safetensors-mmap-fuzz-'));
  const findings = join(root, 'out', 'fuzz', 'findings');
  mkdirSync(findings, { recursive: true });
  const result: FuzzResult = { passed: 0, failed: 0 };
  const targets = targetNames();
  const seconds = Math.max(1, Math.floor((60 * minutes) / targets.length));
  for (const target of targets) {
    const corpus = join(work, target);
    const least = join(work, `${target}-least`);
    mkdirSync(corpus);
    mkdirSync(least);
    readCorpus(target, corpus);
    const { ok, log } = await run(
      program,
      [
        `-max_total_time=${seconds}`,
        `-max_len=${LONGEST_INPUT}`,
        `-timeout=${MOST_SECONDS}`,
        `-seed=${1 + (seed % (2 ** 31 - 1))}`,
        `-artifact_prefix=${findings}/${target}-`,
        corpus,
      ],
      target,
    );
    const summary = /^#\d+\s+DONE.*$/m.exec(log)?.[0] ?? '';
    console.log(ok ? `ok    ${target}: ${summary}` : `FINDING in ${target}:\n${log.slice(-8000)}`);
    if (ok) result.passed++;
    else result.failed++;
    if (keep && (await run(program, ['-merge=1', least, corpus], target)).ok) {
      writeCorpus(target, least);
    }
  }
  rmSync(work, { recursive: true });
  return result;
}
