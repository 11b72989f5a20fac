import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { SafetensorsError, safeOpen } from 'safetensors-mmap';
import { type ModelPlan, TEMPORARY_NAME, type WriteOptions, writeModel } from './write-model.ts';

/** The number goes up when the values change, so that no old file passes for a new one. */
const FILE_NAME = 'gpt2-seeded-v1.safetensors';
/** A temporary file that nobody has written to for so long is nobody's, whoever has its pid now. */
const STALE_MS = 10 * 60 * 1000;

export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.SAFETENSORS_MMAP_CACHE) return env.SAFETENSORS_MMAP_CACHE;
  // The XDG specification: a relative path is to be ignored.
  const base = env.XDG_CACHE_HOME;
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'safetensors-mmap');
}

/** The path of the model in the cache folder, and whether it is whole there. */
export async function findModel(
  folder: string,
  plan: ModelPlan,
): Promise<{ path: string; found: boolean }> {
  await mkdir(folder, { recursive: true });
  await removeStale(folder);
  const path = join(folder, FILE_NAME);
  return { path, found: await isWhole(path, plan) };
}

/** {@link writeModel}, once it is clear that the model fits. */
export async function writeToCache(
  path: string,
  plan: ModelPlan,
  options: WriteOptions,
): Promise<void> {
  const folder = join(path, '..');
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < plan.byteLength) {
    const [needed, available] = [plan.byteLength, free].map((bytes) => Math.floor(bytes / 1e6));
    throw new Error(
      `the model needs ${needed} MB in ${folder}, which has ${available} MB free: ` +
        'make room, or set SAFETENSORS_MMAP_CACHE to another folder',
    );
  }
  await writeModel(path, plan, options);
}

async function isWhole(path: string, plan: ModelPlan): Promise<boolean> {
  const size = await stat(path).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    },
  );
  if (size !== plan.byteLength) return false;
  try {
    using file = await safeOpen(path);
    const names = file.offsetKeys();
    return plan.tensors.every(({ name }, index) => name === names[index]);
  } catch (error) {
    // Not a model: it will be replaced. An addon that does not load is another matter.
    if (error instanceof SafetensorsError) return false;
    throw error;
  }
}

/** Removes what runs that were killed have left. */
async function removeStale(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const writer = TEMPORARY_NAME.exec(name)?.groups;
    if (writer?.path !== FILE_NAME) continue;
    const path = join(folder, name);
    const { mtimeMs } = await stat(path);
    const stale = Date.now() - mtimeMs > STALE_MS || !isOtherProcess(Number(writer.pid));
    if (stale) await rm(path, { force: true });
  }
}

/** Ids are used again, in containers soon: one that is now ours belonged to somebody else. */
function isOtherProcess(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    // Signal 0 is not sent: it only asks.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
