/**
 * Takes memory, keeps it for a while and gives it up by ending.
 *
 *   take BYTES MS   until so many milliseconds after its start, or until it has all
 */
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { TAKE_MEMORY } from '../harness/drivers.ts';

const [bytes, ms] = process.argv.slice(3).map(Number);
const { take } = createRequire(import.meta.url)(TAKE_MEMORY) as { take: (bytes: number) => void };
take(bytes);
await setTimeout(Math.max(0, ms - performance.now()));
console.log(JSON.stringify({ bytes }));
