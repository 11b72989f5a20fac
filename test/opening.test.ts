import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { safeOpen } from '../src/index.ts';
import { buildFile, rawFile } from './support/build.ts';
import { childReport } from './support/child.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();

const tensor = { name: 'a', dtype: 'U8', shape: [1], data: new Uint8Array([7]) };

it('a header of any length is read whole', async () => {
  // Around what is read at first (128 KiB), and around where blanks are left out (32 MiB).
  for (const length of [
    2 ** 17 - 9,
    2 ** 17 - 8,
    2 ** 17 - 7,
    2 ** 17,
    2 ** 25 - 1,
    2 ** 25 + 2 ** 20 + 1,
  ]) {
    const json = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
    for (const header of [json.padEnd(length), json.padStart(length)]) {
      const path = join(folder, 'padded.safetensors');
      writeFileSync(path, rawFile(header, tensor.data));
      using file = await safeOpen(path);
      expect(file.getTensor('a').data).toEqual(tensor.data);
    }
  }
});

it('a relative path means the folder that was the working directory then', async () => {
  writeFileSync(join(folder, 'relative.safetensors'), buildFile([tensor]));
  const report = await childReport('relative-path', [folder, 'relative.safetensors']);
  expect(report).toEqual({ path: 'relative.safetensors', value: 7, checked: true });
});

it('the event loop goes on while a long header is read', async () => {
  const path = join(folder, 'long.safetensors');
  const names = Array.from(
    { length: 200_000 },
    (_, i) => `"${'n'.repeat(40)}${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
  );
  writeFileSync(path, rawFile(`{${names.join(',')}}`));
  const { asyncReads, syncReads } = await childReport<{ asyncReads: number; syncReads: number }>(
    'reads-of-opening',
    [path],
  );
  expect(asyncReads).toBeGreaterThan(0);
  expect(syncReads).toBe(0);
});

/** Takes a lease on a file, as file servers do; gives it up a while after it is told to. Node has no such call. */
const LEASE = `
import fcntl, os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("taken", flush=True)
signal.sigtimedwait([signal.SIGIO], 20)
time.sleep(0.2)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
`;

it('a file that another process has a lease on is opened when that has given it up', async ({
  skip,
}) => {
  const path = join(folder, 'leased.safetensors');
  writeFileSync(path, buildFile([tensor]));
  const server = spawn('python3', ['-c', LEASE, path], { stdio: ['ignore', 'pipe', 'ignore'] });
  const taken = await Promise.race([
    once(server.stdout, 'data').then(() => true),
    once(server, 'close').then(() => false),
  ]).catch(() => false);
  if (!taken) {
    console.warn('LEFT OUT: a test of test/opening.test.ts: no lease by a python3 here');
    skip('no lease by a python3 here');
  }
  using file = await safeOpen(path);
  expect(file.getTensor('a').data).toEqual(tensor.data);
});
