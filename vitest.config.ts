import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type TestProjectConfiguration, type ViteUserConfigFnObject } from 'vitest/config'
import manifest from './package.json' with { type: 'json' }
import { installedServer } from './test/support/embedded-postgres.ts'
import { mysqlSuites } from './test/support/extent.ts'

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

/** Test files that call something: what a file needs is said by what it calls, not by a list. */
const calling = (pattern: RegExp): string[] =>
  readdirSync(here('./test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => join('test', path))
    .filter((path) => pattern.test(readFileSync(here(path), 'utf8')))

/** Suites for every driver. */
const onDrivers = calling(/\b(?:forEachDriver|requestSuite|onBoth|onEmpty|wantedDrivers)\(/)
/** Random samples, whose size depends on how far the tests go. */
const sampling = calling(/\b(?:sample|requestSuite)\(/)
/** Packages, bundlers, compilers, builds of frameworks, installs of other versions and other programs: nothing of these changes from day to day. */
const matrixOnly = [
  'test/meta/package.test.ts',
  'test/meta/docs-run.test.ts',
  'test/meta/runtimes.test.ts',
  'test/meta/model-types.test.ts',
  'test/meta/model-editors.test.ts',
  'test/web/next-app.test.ts',
  'test/web/examples.test.ts',
  'test/drizzle/without-pg.test.ts',
  'test/faults/pooler.test.ts',
  'test/faults/pooler-prepared.test.ts',
  'test/faults/pooler-meaning.test.ts',
  'test/faults/pooler-keeps-none.test.ts',
  'test/replicas/pooler.test.ts',
  'test/drivers/pglite.test.ts',
  'test/drivers/memory.test.ts',
  'test/behaviour/pglite-memory.test.ts',
]

/**
 * Files for which a process shared with others will not do: they load modules again, replace them or need them not to be loaded,
 * register adapters, count promises or collected memory, or have a server of Hono that replaces `Response`. Each has a process for
 * itself, which costs most of a second. All others share one for each worker, and what they import; what they change, such as a clock,
 * the environment or a global, they put back at the end of each test.
 */
const alone = calling(
  /\bvi\.(?:mock|doMock|resetModules)\(|\b(?:createHook|registerAdapter)\(|\bgc\?\.\(|\b(?:cpuUsage|getSQL|drizzle:entityKind)\b|\/kit\.ts'|createAdaptorServer\(\{ fetch: app\.fetch \}\)/,
).filter((path) => !path.startsWith(join('test', 'meta')))

/** They name the drivers they run on, or are about the command line. */
const naming =
  /\b(?:batched-reads|calls-and-names|calls-once|iterate-ahead|iterate-on-demand|lanes-on-a-server|nested-random|nested-release|tags-on-postgres|cli|cli-terminal|transaction-cost|raw-client-pg|addresses|copy-without-data|list-bytes|pooler-keeps-none|pooler-meaning|pooler-prepared|pooler-spreading|pooler-unsaid|pooler-words|select-in|stray-transaction|transaction-breaks|lent-behind-commit|lent-behind-interrupted|faults.listen)\.test/
/** All other suites that reach a server run on node-postgres too: the promises of the docs, builders, broken networks and servers, replicas. */
const onPg = calling(
  /\b(?:forEachDriver|onBoth|onEmpty|wantedDrivers|databaseUrl|freshDatabase|serverUrl|site|ownServer|cluster)\(/,
).filter((path) => /^test.(?:behaviour|drizzle|faults|kysely|replicas)\b/.test(path) && !naming.test(path))

/** Suites that know no version of the server run on PostgreSQL 15 too, where this machine has it. */
const onVersions = [
  'test/behaviour/**/*.test.ts',
  'test/drivers/socket.test.ts',
  'test/drivers/pg.test.ts',
  'test/drivers/extensions.test.ts',
  'test/drivers/types-of-extensions.test.ts',
]

/** Suites on Drizzle tables run once on each supported Drizzle: 0.45 as the root installs it, and 1.0. */
const onDrizzle = [
  'test/mysql/models.test.ts',
  'test/mysql/drizzle.test.ts',
  'test/mysql/schema.test.ts',
  'test/drizzle/**/*.test.ts',
  'test/models/**/*.test.ts',
  'test/schema/**/*.test.ts',
]
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

/** `DRIVERS` of the caller goes before the one of a project. */
const env = (extent: string, drivers: string): Record<string, string> => ({
  EXTENT: extent,
  DRIVERS: process.env['DRIVERS'] ?? drivers,
})

function projects(mode: string): TestProjectConfiguration[] {
  if (mode === 'soak') return [{ extends: true, test: { name: 'soak', include: sampling, env: env('soak', 'socket') } }]
  const once = env('once', 'socket')
  const main = {
    name: 'main',
    include: ['test/**/*.test.ts'],
    exclude: [...matrixOnly, ...alone],
    isolate: false,
    env: once,
  }
  const apart = { name: 'alone', include: alone, exclude: matrixOnly, env: once }
  if (mode !== 'matrix') return [main, apart].map((test) => ({ extends: true, test }))
  const all = env('matrix', 'socket,pglite')
  const onPostgres15 = {
    name: 'postgres-15',
    include: onVersions,
    exclude: [...matrixOnly, ...sampling],
    env: env('once', 'socket'),
  }
  return [
    { extends: true, test: { name: 'pglite', include: onDrivers, exclude: sampling, env: env('matrix', 'pglite') } },
    { extends: true, test: { name: 'pg', include: onPg, env: env('once', 'pg') } },
    { extends: true, test: { name: 'mysql', include: [...mysqlSuites], env: env('matrix', 'mysql') } },
    { extends: true, test: { name: 'long', include: [...sampling, ...matrixOnly], env: all } },
    { extends: true, resolve: { alias: [drizzle1] }, test: { name: 'drizzle-1', include: onDrizzle, env: all } },
    { extends: true, resolve: { alias: [kysely028] }, test: { name: 'kysely-0.28', include: onKysely, env: all } },
    {
      extends: true,
      resolve: { alias: [pg812] },
      test: { name: 'pg-8.12', include: ['test/drivers/pg.test.ts'], env: all },
    },
    ...(installedServer(15) === undefined ? [] : [{ extends: true as const, test: onPostgres15 }]),
  ]
}

const config: ViteUserConfigFnObject = defineConfig(({ mode }) => ({
  resolve: { alias: subpaths },
  test: {
    globalSetup: 'test/support/postgres.ts',
    setupFiles: ['test/support/engine-loaded.ts'],
    pool: 'forks',
    // Tests wait for servers and for time to pass a good part of theirs: one worker more than cores leaves none of them idle.
    maxWorkers: availableParallelism() + (mode === 'matrix' ? 0 : 1),
    execArgv: ['--expose-gc'],
    // Real servers on a machine that may be busy with other things: a wait that is too short says nothing of the code.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    sequence: { shuffle: { tests: true, files: false }, seed },
    projects: projects(mode),
  },
}))

export default config
