// The Python reference, alive, and asked what it says of files: many in a second.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Verdict } from '../support/verdict.ts';
import { root } from '../tools/native-build.ts';

const HOW_TO_GET_IT =
  'python3 -m venv .venv && .venv/bin/pip install safetensors==0.8.0 numpy (or name another Python in ' +
  'SAFETENSORS_MMAP_PYTHON)';

function u32(number: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
}

export class Reference {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #interface: Interface;
  readonly #folder: string;
  /** When all that was asked for is answered. */
  #answered: Promise<unknown> = Promise.resolve();

  /** Nothing, and the reason is printed, where there is no Python with the reference. */
  static async start(): Promise<Reference | undefined> {
    const python = process.env.SAFETENSORS_MMAP_PYTHON || join(root, '.venv', 'bin', 'python');
    if (!existsSync(python)) {
      const problem = `there is no ${python}. ${HOW_TO_GET_IT}`;
      if (process.env.CI) throw new Error(problem);
      console.log(`LEFT OUT: ${problem}`);
      return undefined;
    }
    const reference = new Reference(python);
    const [verdict] = await reference.ask([Buffer.alloc(0)]);
    if (verdict === undefined || verdict.ok) throw new Error('the reference does not work');
    return reference;
  }

  private constructor(python: string) {
    const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    this.#folder = mkdtempSync(join(memory, 'safetensors-mmap-fuzz-'));
    const script = join(root, 'test', 'interop', 'verdicts.py');
    // What a panic prints is no news: its verdict tells of it.
    this.#child = spawn(python, [script, join(this.#folder, 'file')], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#interface = createInterface({ input: this.#child.stdout });
    this.#lines = this.#interface[Symbol.asyncIterator]();
  }

  /** One verdict for each file. A batch may be asked for before the one before it is answered. */
  ask(files: readonly Uint8Array[]): Promise<Verdict[]> {
    const framed = files.flatMap((file) => [u32(file.length), file]);
    this.#child.stdin.write(Buffer.concat([u32(files.length), ...framed]));
    const answer = this.#answered.then(() => this.#read(files.length));
    this.#answered = answer;
    return answer;
  }

  async #read(count: number): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    while (verdicts.length < count) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(`the reference ended with ${this.#child.exitCode}`);
      verdicts.push(JSON.parse(value));
    }
    return verdicts;
  }

  close(): void {
    this.#child.stdin.end();
    this.#interface.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
