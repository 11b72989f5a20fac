const EXTENSION = '.safetensors';

/**
 * Why a name in an index cannot be that of a shard, which is a file in the folder of the index;
 * `undefined` when it can.
 */
export function shardNameProblem(name: string): string | undefined {
  if (name.includes('\0')) return 'it has a NUL';
  if (/[/\\]/.test(name)) return 'it has a separator';
  if (name.includes(':')) return 'it has a colon, as drives have';
  if (name.includes('..')) return 'it has ".."';
  if (!name.endsWith(EXTENSION) || name === EXTENSION) return `it does not end with "${EXTENSION}"`;
  return undefined;
}
