/** Saves a large file where addons are refused; prints the error, and what stays open in the folder. */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { saveFile } from 'safetensors-mmap';

const [path] = process.argv.slice(2);
const data = new Uint8Array(32 * 2 ** 20);
const refused = await saveFile({ a: { dtype: 'U8', shape: [data.length], data } }, path).then(
  () => 'nothing',
  (error) => String(error),
);
const fds = existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd') : [];
const open = fds.flatMap((fd) => {
  try {
    return [readlinkSync(`/proc/self/fd/${fd}`)];
  } catch {
    return [];
  }
});
console.log(
  JSON.stringify({ refused, open: open.filter((file) => file.startsWith(dirname(path))) }),
);
