import { execFileSync } from 'node:child_process';

/**
 * Evicts a file from the page cache, by GNU dd, which asks with posix_fadvise(2). Pages that are
 * mapped stay: nobody may have the file open.
 */
export function evict(path: string): void {
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], {
    stdio: 'ignore',
  });
}
