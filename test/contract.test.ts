import { fileURLToPath } from 'node:url';
import * as api from 'safetensors-mmap';
import { afterAll, describe, expect, it } from 'vitest';
import { casesOf } from './contract/all.ts';
import { Folders, subjects } from './contract/setup.ts';
import { runCommand } from './support/child.ts';

const folders = new Folders();
afterAll(() => folders.remove());

describe.each(subjects(true))('$title', (subject) => {
  it.each(casesOf(subject))('$title', async ({ check }) => {
    await check(folders.setup(api, subject));
  });
});

// As in Electron; in a process of its own, since the runtime is asked once.
it('without external buffers, all of it is kept through copies', async () => {
  const main = fileURLToPath(new URL('../out/test/contract/main.js', import.meta.url));
  const { code, stdout, stderr } = await runCommand(process.execPath, [main], {
    env: { ...process.env, SAFETENSORS_MMAP_NO_EXTERNAL_BUFFERS: '1' },
    timeoutMs: 200_000,
  });
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const cases = subjects(false).reduce((sum, subject) => sum + casesOf(subject).length, 0);
  expect(JSON.parse(stdout)).toEqual({ passed: cases, failed: 0 });
}, 200_000);
