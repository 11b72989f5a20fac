import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    // Not one fewer than there are cores: most tests wait for child processes and for the disk.
    maxWorkers: availableParallelism() + 1,
  },
});
