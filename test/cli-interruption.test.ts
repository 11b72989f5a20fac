import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpoint, named, tensor } from './support/checkpoints.ts';
import { hasOpen, interruptCli, runCliInTerminal, whyNoTerminal } from './support/cli.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const BAR_FACTS = /\d+% {2}[\d.]+ [GM]B of \d+ GB/;
/** What is drawn over what, without what moves the cursor. */
const linesDrawn = (output: string) =>
  output.split(/\r|\n|\x1b\[1G/).map((line) => line.replace(/\x1b(\[[\d;?]*[A-Za-z]|[78])/g, ''));

const zeros = (...lengths: number[]) =>
  lengths.map((byteLength, i) => ({ name: `t${i}`, byteLength, tail: new Uint8Array(0) }));

const folder = temporaryFolder();
const [huge, other] = ['huge', 'other'].map((name) => join(folder, `${name}.safetensors`));
// Reading them takes many seconds, whatever the machine.
for (const path of [huge, other]) writeSparseFile(path, zeros(20e9, 20e9));

describe('reading is ended by a signal', () => {
  it.each([
    [['hash', huge], 'SIGINT', 130],
    [['hash', '--per-tensor', huge], 'SIGTERM', 143],
    [['diff', huge, other], 'SIGINT', 130],
    [['diff', '--json', huge, other], 'SIGHUP', 129],
  ] as const)('%j %s', async (args, signal, code) => {
    const started = performance.now();
    const result = await interruptCli(args, signal, hasOpen(huge));
    expect(result).toEqual({ code, signal: null, stdout: '', stderr: '' });
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('a file that is cut short while it is read', () => {
  it.each([
    ['hash', 1],
    ['hash --per-tensor', 1],
    [`diff ${other}`, 2],
  ])('is an error of %s', async (command, code) => {
    const path = join(folder, 'cut.safetensors');
    writeSparseFile(path, zeros(20e9, 20e9));
    const args = [...command.split(' '), path];
    const result = await interruptCli(args, () => truncateSync(path, 1000), hasOpen(path));
    const stderr = `error: ERR_SAFETENSORS_FILE_CHANGED ${path}: the file became shorter while it was read\n`;
    expect(result).toEqual({ code, signal: null, stdout: '', stderr });
  });
});

describe('a bar', () => {
  const reason = whyNoTerminal();
  if (reason) console.warn(`Tests on a terminal are skipped: ${reason}`);
  const [long, longToo] = ['long', 'too'].map((name) => join(folder, `${name}.safetensors`));

  for (const path of [long, longToo]) writeSparseFile(path, zeros(2e9));

  /** Compares files long enough for a bar: how long that is, is the machine's affair. */
  async function compareLong(columns: number): Promise<string> {
    for (let bytes = 2e9; ; bytes *= 2) {
      const { stdout } = await runCliInTerminal(columns, ['diff', long, longToo]);
      if (stdout.includes('%') || bytes > 40e9) return stdout;
      for (const path of [long, longToo]) writeSparseFile(path, zeros(2 * bytes));
    }
  }

  it.skipIf(reason)('is shown on a terminal, fits it, and is gone at the end', async () => {
    for (const columns of [80, 30]) {
      const stdout = await compareLong(columns);
      expect(stdout).toMatch(
        columns < 40 ? BAR_FACTS : new RegExp(`comparing.* ${BAR_FACTS.source}`),
      );
      const lengths = linesDrawn(stdout).map((line) => line.length);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(columns);
      expect(stdout).toMatch(/\x1b\[2Kthe same: 1 tensor\r\n$/);
    }
  });

  it.skipIf(reason)('is shown of a conversion, and gone before what it tells', async () => {
    // Transposed, to take their time: each element is fetched from where it lies.
    const side = 2048;
    const keys = ['0', '1', '2', '3', '4', '5', '6', '7'];
    const transposed = { elements: side * side, shape: [side, side], strides: [1, side] };
    const input = join(folder, 'transposed.pt');
    writeFileSync(
      input,
      checkpoint(
        named(...keys.map((key) => [`t${key}`, tensor({ key, ...transposed })] as const)),
        Object.fromEntries(keys.map((key) => [key, Buffer.alloc(4 * side * side)])),
      ),
    );
    const output = join(folder, 'transposed.safetensors');
    const { code, stdout } = await runCliInTerminal(80, ['convert', input, '-o', output]);
    const bars = linesDrawn(stdout).filter((line) => line.startsWith('converting'));
    expect(bars.join('\n')).toMatch(/[1-9]\d*% {2}[\d.]+ MB of 268 MB/);
    expect(Math.max(...bars.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout.endsWith(`\x1b[2K${output}  (8 tensors, 134 MB, verified)\r\n`)).toBe(true);
    expect(code).toBe(0);
  });

  it.skipIf(reason)('is not for terminals that cannot go back', async () => {
    const { stdout } = await runCliInTerminal(80, ['hash', long], { TERM: 'dumb' });
    expect(stdout).toMatch(/^[0-9a-f]{64} [^\n]+\n$/);
  });
});
