/**
 * Checks the contract in the runtime that runs this, whichever that is, without a test framework:
 * prints a line for each case that fails, and the counts as JSON.
 */
import { casesOf } from './all.js';
import { type Api, Folders, subjects } from './setup.js';

// By its place, not by its name: not every runtime lets a package import itself.
const library = new URL('../../../lib/index.js', import.meta.url);
const api: typeof Api = await import(library.href);

const folders = new Folders();
let passed = 0;
let failed = 0;
for (const subject of subjects(process.env.SAFETENSORS_MMAP_NO_EXTERNAL_BUFFERS !== '1')) {
  for (const { title, check } of casesOf(subject)) {
    try {
      await check(folders.setup(api, subject));
      passed++;
    } catch (error) {
      failed++;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      console.error(`FAILED: ${subject.title}: ${title}\n${text}`);
    }
  }
}
folders.remove();
console.log(JSON.stringify({ passed, failed }));
process.exitCode = failed > 0 ? 1 : 0;
