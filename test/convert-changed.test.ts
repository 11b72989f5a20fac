/** Checkpoints that are cut short while they are converted: in child processes, which must not end of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkpoint, named, tensor } from './support/checkpoints.ts';
import { childReport } from './support/child.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

const CHANGED = 'ERR_SAFETENSORS_FILE_CHANGED';
const SIDE = 512;
const ELEMENTS = SIDE * SIDE;

const folder = temporaryFolder();

const stored = { elements: ELEMENTS, shape: [SIDE, SIDE] };
/** How the tensors get into the file: from where they are mapped, or gathered. */
const tensors = {
  views: tensor({ ...stored, strides: [SIDE, 1] }),
  gathered: tensor({ ...stored, strides: [1, SIDE] }),
};

it.each([
  ['views', 'pytorch_model.bin'],
  ['gathered', 'pytorch_model.bin'],
  ['views', '.'],
  ['gathered', '.'],
] as const)(
  'is FILE_CHANGED, or was read in time, and leaves nothing behind: %s, %s',
  async (kind, input) => {
    const place = join(folder, `${kind}-${input === '.' ? 'folder' : 'file'}`);
    mkdirSync(join(place, 'whole'), { recursive: true });
    mkdirSync(join(place, 'model', 'out'), { recursive: true });
    const whole = join(place, 'whole', 'pytorch_model.bin');
    writeFileSync(
      whole,
      checkpoint(named(['x', tensors[kind]]), { 0: Buffer.alloc(4 * ELEMENTS, 1) }),
    );
    const run = (way: string, times: number) =>
      childReport<Record<string, number>>(
        'cut-while-converting',
        [whole, join(place, 'model'), input, way, `${times}`],
        { timeoutMs: 120_000 },
      );
    expect(await run('at once', 3)).toEqual({ [CHANGED]: 3 });
    const times = rounds(100);
    const { done = 0, ...others } = await run('later', times);
    expect(others).toEqual({ [CHANGED]: times - done });
  },
  240_000,
);
