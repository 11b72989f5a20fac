/** Opens a file; prints the verdict, the milliseconds of all threads, and the bytes of memory at the peak. */
import { safeOpen } from 'safetensors-mmap';

const before = process.resourceUsage().maxRSS;
const start = process.cpuUsage();
const code = await safeOpen(process.argv[2]).then(
  () => 'opened',
  (error: NodeJS.ErrnoException) => error.code,
);
const { user, system } = process.cpuUsage(start);
const time = (user + system) / 1000;
// In KiB; on Linux it begins with what the parent had, so that a small cost may show as none.
const memory = 1024 * (process.resourceUsage().maxRSS - before);
console.log(JSON.stringify({ code, time, memory }));
