/** Reads files that it may not write; prints what of them it takes to be in memory. */
import { safeOpen } from 'safetensors-mmap';

const [huge, small] = process.argv.slice(2);

const large = await safeOpen(huge);
const refused = await large.prefetch(undefined, { signal: AbortSignal.timeout(5_000) }).then(
  () => 'read',
  (error) => error.code,
);
const file = await safeOpen(small);
const residentBytes = async () => (await file.residency()).residentBytes;
const before = await residentBytes();
await file.prefetch();
const after = await residentBytes();
await file.release();
console.log(JSON.stringify({ refused, before, after, released: await residentBytes() }));
