import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { saveFile } from '../src/index.ts';
import { patternBytes } from './support/build.ts';
import { runCommand } from './support/child.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const MAIN = fileURLToPath(new URL('../lib/cli/main.js', import.meta.url));

/** A loop device with a file system that lets files share blocks. Needs root, xfsprogs and e2fsprogs. */
describe.runIf(process.platform === 'linux')('on XFS', () => {
  const BYTES = 40_000_000;
  const env = {
    ...process.env,
    DISK: join(folder, 'disk'),
    MOUNTED: join(folder, 'mounted'),
    MODEL: join(folder, 'model.safetensors'),
  };
  /** The least that mkfs.xfs takes. */
  const prepare = `
    truncate -s 320M "$DISK"; mkfs.xfs -q -f -m reflink=1 "$DISK"
    mount -o loop "$DISK" "$MOUNTED"; cp "$MODEL" "$MOUNTED/model"; ln "$MOUNTED/model" "$MOUNTED/old"
    cd "$MOUNTED"; filefrag -v model >/dev/null`;
  const inMount = (script: string) =>
    runCommand('unshare', ['-m', 'sh', '-ec', `${prepare}; ${script}`, process.execPath, MAIN], {
      env,
    });

  it('a file that is copied for its metadata shares the blocks of its data', async ({ skip }) => {
    mkdirSync(env.MOUNTED);
    const tensor = { dtype: 'U8', shape: [BYTES], data: patternBytes(BYTES) } as const;
    await saveFile({ tensor }, env.MODEL, { fsync: false });
    const probe = await inMount('true').catch((error) => ({ code: 1, stderr: error.message }));
    if (probe.code !== 0) {
      const reason = probe.stderr.trim();
      console.warn(`LEFT OUT: test/reflink.test.ts. Loop device with XFS: ${reason}`);
      skip(reason);
    }
    const { stdout, stderr } = await inMount(
      '"$0" "$1" metadata model -s key=value --json; cmp -s old model || echo differ; filefrag -v -b1024 model',
    );
    expect(stderr).toBe('');
    expect(stdout).toContain('"inPlace":false');
    expect(stdout).toMatch(/^differ$/m);
    let shared = 0;
    for (const line of stdout.matchAll(/^ *\d+: +\d+\.\. *\d+: .*shared/gm)) {
      const [, first, last] = /: +(\d+)\.\. *(\d+):/.exec(line[0]) ?? [];
      shared += 1024 * (Number(last) - Number(first) + 1);
    }
    // All but the header, and what comes before the first block that has data only.
    expect(shared).toBeGreaterThan(BYTES - 3 * 4096);
  }, 120_000);
});
