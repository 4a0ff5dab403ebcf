import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// The order of tests is shuffled; vitest prints the seed, and SEED=… repeats a run.
const seed = Number(process.env['SEED'] ?? Date.now() % 100_000)

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^genever$/, replacement: here('./src/index.ts') },
      { find: /^genever\/otel$/, replacement: here('./src/observe/otel/index.ts') },
      { find: /^genever\/testing$/, replacement: here('./src/testing/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/postgres.ts',
    pool: 'forks',
    execArgv: ['--expose-gc'],
    // Real servers on a machine that may be busy with other things: a wait that is too short says nothing of the code.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    retry: process.env['CI'] === undefined ? 0 : 1,
    sequence: { shuffle: { tests: true, files: false }, seed },
  },
})

export default config
