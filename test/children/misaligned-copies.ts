/** Copies a misaligned tensor again and again without a turn of the event loop; prints the peak. */
import { safeOpenSync } from 'safetensors-mmap';

const [path, rounds] = process.argv.slice(2);
const file = safeOpenSync(path);
const peakBytes = () => process.resourceUsage().maxRSS * 1024;
const before = peakBytes();
let copied = 0;
for (let round = 0; round < Number(rounds); round++) {
  copied += file.getTensor('odd').data.byteLength;
}
console.log(JSON.stringify({ copied, peakGrowth: peakBytes() - before }));
