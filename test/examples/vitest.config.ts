import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/examples/*.test.ts'],
    // Servers of several processes start and end, on machines that have other things to do too.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
