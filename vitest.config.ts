import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Their libraries take 1.5 GB, and those of the examples 0.9.
console.log('test/backends: left out, `npm run test:backends` installs what it needs');
console.log('test/examples: left out, `npm run test:examples` installs what they need');

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/backends/**', 'test/examples/**'],
    testTimeout: 120_000,
    // Not one fewer than there are cores: most tests wait for child processes and for the disk.
    maxWorkers: availableParallelism() + 1,
  },
});
