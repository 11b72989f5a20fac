/** Counts what safeOpen reads through the addon, on this thread and on others. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { safeOpen } from 'safetensors-mmap';

type Read = (...args: unknown[]) => unknown;

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../../../', import.meta.url));
// The very object that the library calls: node-gyp-build gives the same one for the same folder.
const addon: Record<'read' | 'readSync', Read> = require('node-gyp-build')(root);

const counts = { asyncReads: 0, syncReads: 0 };
const { read, readSync } = addon;
addon.read = (...args) => {
  counts.asyncReads++;
  return read(...args);
};
addon.readSync = (...args) => {
  counts.syncReads++;
  return readSync(...args);
};
(await safeOpen(process.argv[2])).close();
console.log(JSON.stringify(counts));
