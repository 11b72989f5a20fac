import { type SafetensorsError, safeOpen, safeOpenSync } from 'safetensors-mmap';

/** How the opening of a path failed, and how long that took. */
export interface Refusal {
  way: string;
  path: string;
  code: string | undefined;
  message: string;
  milliseconds: number;
}

const ways: Record<string, (path: string) => unknown> = { safeOpenSync, safeOpen };

/** Opens each path that is given as an argument, in both ways, one after another. */
const refusals: Refusal[] = [];
for (const [way, open] of Object.entries(ways)) {
  for (const path of process.argv.slice(2)) {
    const start = performance.now();
    try {
      await open(path);
      throw new Error(`${path} was opened`);
    } catch (error) {
      const { code, message } = error as SafetensorsError;
      refusals.push({ way, path, code, message, milliseconds: performance.now() - start });
    }
  }
}
console.log(JSON.stringify(refusals));
