import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/backends/*.test.ts'],
    testTimeout: 120_000,
  },
});
