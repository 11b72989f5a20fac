import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openModel } from 'safetensors-mmap';

const SEEDS = [1, 2];
const ATTEMPTS = 20;
const PAUSE_MS = 50;

/**
 * Two models of the same size and other values, which are written once into the cache folder.
 * @param size As write-model.ts takes it.
 */
export function ensureModels(size: string): string[] {
  const program = fileURLToPath(new URL('../write-model.js', import.meta.url));
  return SEEDS.map((seed) => {
    // The number goes up when the values change.
    const folder = join(cacheFolder(process.env), `model-server-v1-${size}-${seed}`);
    if (!existsSync(join(folder, 'model.safetensors'))) {
      console.error(`writing ${folder}, once …`);
      const args = [program, folder, '--size', size, '--seed', String(seed)];
      const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
      if (status !== 0) throw new Error('the model could not be written');
    }
    return folder;
  });
}

/**
 * Evicts a model from the page cache, by GNU dd, which asks with posix_fadvise(2); and makes sure that none
 * of it is left there.
 */
export async function evict(folder: string): Promise<void> {
  // Opened before: that reads the header, and what the disk reads ahead with it.
  using model = await openModel(folder);
  let left = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const args = [`of=${model.path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'];
    execFileSync('dd', args, { stdio: 'ignore' });
    left = (await model.residency()).residentBytes;
    if (left === 0) return;
    await sleep(PAUSE_MS); // pages on their way to the disk, or in a list of another CPU
  }
  throw new Error(`${left} bytes of ${model.path} stay in memory`);
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.SAFETENSORS_MMAP_CACHE) return env.SAFETENSORS_MMAP_CACHE;
  const base = env.XDG_CACHE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'safetensors-mmap');
}
