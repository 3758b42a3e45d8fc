import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    // Bundlers take the package's other build; the types of one are unknown to the other.
    alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }],
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 2,
  },
})
