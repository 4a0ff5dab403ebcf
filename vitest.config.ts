import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import manifest from './package.json' with { type: 'json' }

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// The order of tests is shuffled; vitest prints the seed, and SEED=… repeats a run.
const seed = Number(process.env['SEED'] ?? Date.now() % 100_000)

/** The subpaths of the package, as sources. */
const subpaths = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === 'string'
    ? []
    : [
        {
          find: new RegExp(`^genever${subpath.slice(1)}$`),
          replacement: here(target.default.replace(/^\.\/dist\/(.*)\.js$/, './src/$1.ts')),
        },
      ],
)

/** Suites on Drizzle tables run once on each supported Drizzle: 0.45 as the root installs it, and 1.0. */
const onDrizzle = ['test/drizzle/**/*.test.ts', 'test/models/**/*.test.ts', 'test/schema/**/*.test.ts']
const drizzle1 = {
  find: /^drizzle-orm(?=$|\/)/,
  replacement: here('./test/installs/drizzle-1/node_modules/drizzle-orm'),
}

/** Suites on Kysely run on 0.29 as the root installs it, and on 0.28, whose migrations are in its main entry. */
const onKysely = ['test/kysely/**/*.test.ts']
const kysely028 = {
  find: /^kysely(?:\/migration)?$/,
  replacement: here('./test/installs/kysely-0.28/node_modules/kysely'),
}

/** The driver runs on the `pg` that the root installs, and on the oldest that the package takes. */
const pg812 = { find: /^pg$/, replacement: here('./test/installs/pg-8.12/node_modules/pg') }

const config: ViteUserConfig = defineConfig({
  resolve: { alias: subpaths },
  test: {
    globalSetup: 'test/support/postgres.ts',
    pool: 'forks',
    execArgv: ['--expose-gc'],
    // Real servers on a machine that may be busy with other things: a wait that is too short says nothing of the code.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    retry: process.env['CI'] === undefined ? 0 : 1,
    sequence: { shuffle: { tests: true, files: false }, seed },
    projects: [
      { extends: true, test: { name: 'main', include: ['test/**/*.test.ts'] } },
      { extends: true, resolve: { alias: [drizzle1] }, test: { name: 'drizzle-1', include: onDrizzle } },
      { extends: true, resolve: { alias: [kysely028] }, test: { name: 'kysely-0.28', include: onKysely } },
      { extends: true, resolve: { alias: [pg812] }, test: { name: 'pg-8.12', include: ['test/drivers/pg.test.ts'] } },
    ],
  },
})

export default config
