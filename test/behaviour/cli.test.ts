/** `npx genever`, by pipes: its commands, their options, what they print and how they exit. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CommandProject, plain } from '../support/cli.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'
import { mysqlUrl, mysqlWorkerUrl } from '../support/mysql.ts'
import { hasPgBouncer, startPgBouncer } from '../support/pooler.ts'

let project: CommandProject
let database: FreshDatabase

beforeAll(async () => {
  project = await CommandProject.make()
  return async () => project[Symbol.asyncDispose]()
})
beforeEach(async () => {
  database = await freshDatabase()
  await project.remove('genever.config.mjs', 'genever.config.ts', 'drizzle.config.mjs', 'migrations', 'src')
  return () => database.drop()
})

const config = {
  'src/db.mjs': `
    import { createDb } from 'genever'
    export const db = createDb(process.env.APP_URL, { pool: { max: 6 } })
    setInterval(() => {}, 1000)`,
  'src/models.mjs': `
    export class User { static table = 'users' }`,
  'genever.config.mjs': `
    import { defineConfig } from 'genever/cli'
    export default defineConfig({
      db: () => import('./src/db.mjs'),
      models: () => import('./src/models.mjs'),
      migrations: { folder: 'migrations', shared: ['public'] },
      processes: 3,
      shell: { context: () => ({ seven: 7 }) },
    })`,
  'migrations/1_first.sql': 'create table t (n int); insert into t values (1)',
  'migrations/2_second.sql': 'create index concurrently t_n on t (n)',
}
const app = (more: Record<string, string> = {}): { env: Record<string, string> } => ({
  env: { APP_URL: database.url, ...more },
})

describe('the command', () => {
  test('shows help that fits a screen, and its version', async () => {
    const asked = [
      ['--help'],
      ['-h'],
      ['doctor', '--help'],
      ['migrate', '-h'],
      ['status', '--help'],
      ['shell', '--help'],
    ]
    const answers = await Promise.all(asked.map(async (args) => ({ args, ...(await project.run(args)) })))
    for (const { args, code, stdout } of answers) {
      const lines = stdout.trimEnd().split('\n')

      expect([code, args, lines[0]]).toEqual([0, args, expect.stringMatching(/^Usage: genever/)])
      expect(lines.length).toBeLessThanOrEqual(24)
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    }
    expect((await project.run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect((await project.run([])).code).toBe(2)
  })

  test('exits with 2 for wrong usage, and says what there is', async () => {
    const wrong = [
      [['migrat'], 'There is no command "migrat": there are doctor, migrate, status, shell.'],
      [['doctor', '--jsn'], "Unknown option '--jsn'. Did you mean --json?"],
      [['doctor', '--url'], '--url needs a value. See: genever doctor --help.'],
      [['migrate', '--lock-timeout', '-1'], '--lock-timeout needs a value. See: genever migrate --help.'],
      [
        ['doctor', '--url', 'postgres://localhost:1/x', '--processes', '0'],
        '--processes takes a whole number of at least 1, not "0"',
      ],
      [['doctor', 'extra'], 'extra'],
      [['doctor'], 'No database is known. Write genever.config.ts, set DATABASE_URL, or give --url.'],
      [['doctor', '--config', 'nowhere.mjs'], 'There is no file'],
      [['doctor', '--url', 'nonsense'], 'The database URL is not valid'],
      [['migrate', '--url', 'postgres://localhost:1/x'], 'Where the migrations are is not known'],
      [
        ['migrate', '--url', 'postgres://localhost:1/x', '--folder', 'migrations', '--concurrency', 'x'],
        '--concurrency takes a whole number',
      ],
      [
        ['migrate', '--url', 'postgres://localhost:1/x', '--folder', 'migrations', '--schemas', '/(/'],
        '--schemas is no pattern',
      ],
    ] as const
    const answers = await Promise.all(
      wrong.map(async ([args, message]) => ({ args, message, ...(await project.run(args)) })),
    )
    for (const { args, message, code, stdout, stderr } of answers)
      expect([args, code === 2 || stdout.includes(message), `${stdout}${stderr}`]).toEqual([
        args,
        true,
        expect.stringContaining(message),
      ])
  })

  test('says what is wrong with a configuration', async () => {
    for (const [text, message] of [
      ['export default { db: 7 }', 'The option "db" of genever.config must be a function'],
      ['export default { dbs: () => 1 }', 'Unknown option "dbs"'],
      ['export default {}', 'needs a member db'],
      ["export default { db: () => 1, migrations: { folder: '.', baseline: '1_a' } }", 'as --baseline'],
      ['export default { db: () => ({ x: 1 }) }', 'gives no database'],
      ['export default {', 'genever.config.mjs, or a module that it imports, cannot be parsed: '],
      [
        "export default { db: () => import('./src/broken.mjs') }",
        'genever.config.mjs, or a module that it imports, cannot',
      ],
    ] as const) {
      await project.write({ 'src/broken.mjs': 'export const db = {' })
      await project.write({ 'genever.config.mjs': text })
      const { code, stderr } = await project.run(['status'])
      expect([text, code, stderr]).toEqual([text, 2, expect.stringContaining(message)])
    }
  })

  test('takes a configuration in TypeScript where this Node can, or says what to do', async () => {
    await project.write({ ...config, 'genever.config.ts': `${config['genever.config.mjs']} as const satisfies object` })
    await project.remove('genever.config.mjs')
    const { code, stdout, stderr } = await project.run(['status'], app())
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
    const loads = major > 22 || (major === 22 && minor >= 18)

    if (loads) expect([code, stdout]).toEqual([1, expect.stringContaining('2 pending')])
    else {
      expect([code, stderr]).toEqual([2, expect.stringContaining('Install tsx')])
      // Stands for tsx: a loader that takes the types away.
      await project.write({
        'node_modules/tsx/package.json': '{ "name": "tsx", "type": "module", "exports": "./loader.mjs" }',
        'node_modules/tsx/loader.mjs': `
          import { register } from 'node:module'
          register('data:text/javascript,' + encodeURIComponent(\`
            import { readFile } from 'node:fs/promises'
            import { fileURLToPath } from 'node:url'
            export async function load(url, context, next) {
              if (!url.endsWith('.ts')) return next(url, context)
              const source = (await readFile(fileURLToPath(url), 'utf8')).replace(' as const satisfies object', '')
              return { format: 'module', source, shortCircuit: true }
            }\`))`,
      })
      const again = await project.run(['status'], app())
      await project.remove('node_modules/tsx')
      expect([again.code, again.stdout]).toEqual([1, expect.stringContaining('2 pending')])
    }
  })
})

describe('migrate and status', () => {
  test('say what is pending, apply it, and find nothing to do, by text and as JSON', async () => {
    await project.write(config)
    const before = await project.run(['status', '--json'], app())
    expect([before.code, (JSON.parse(before.stdout) as { pending: unknown[] }).pending.length]).toEqual([1, 2])
    expect((await project.run(['migrate', '--dry-run'], app())).stdout).toMatch(
      /^\+ 1_first 2 statements\n\+ 2_second 1 statement\n2 would be applied/,
    )
    const done = await project.run(['migrate'], app())

    expect(done).toMatchObject({ code: 0, stderr: expect.stringContaining('1/2 1_first (statement 1 of 2)') })
    expect(done.stdout).toMatch(/✓ 1_first \d+ ms\n✓ 2_second \d+ ms\n2 applied, 0 failed\.\n/)
    expect(await project.run(['migrate'], app())).toMatchObject({
      code: 0,
      stdout: 'Nothing to do: everything was applied.\n',
      stderr: '',
    })
    expect(await project.run(['status'], app())).toMatchObject({
      code: 0,
      stdout: '0 pending; 1 place is up to date.\n',
    })
    await project.write({ 'migrations/1_first.sql': 'create table t (n int)' })
    const drift = await project.run(['migrate', '--json'], app())
    expect([drift.code, JSON.parse(drift.stdout)]).toMatchObject([1, { error: { code: 'GENEVER_MIGRATION' } }])
    expect(await project.run(['migrate', '--allow', 'changed'], app())).toMatchObject({ code: 0 })
    await database.query('drop table genever_migrations')
    expect(await project.run(['migrate', '--baseline', '2_second'], app())).toMatchObject({
      code: 0,
      stdout: '= 1_first recorded, not run\n= 2_second recorded, not run\n0 applied, 0 failed.\n',
    })
    await project.write({ 'migrations/1_first.sql': 'create table t (n bigint)' })
    expect(await project.run(['status'], app())).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('1_first is changed'),
    })
  })

  test('work on schemas of tenants, and go on behind a failure if asked to', async () => {
    await project.write(config)
    await database.query('create schema tenant_a; create schema tenant_b; create table tenant_a.t (n int)')
    const stopped = await project.run(['migrate', '--schemas', '/^tenant_/'], app())
    expect([stopped.code, stopped.stderr]).toEqual([1, expect.stringContaining('In the schema "tenant_a"')])
    const all = await project.run(
      ['migrate', '--schemas', 'tenant_a,tenant_b', '--keep-going', '--concurrency', '2'],
      app(),
    )

    expect([all.code, all.stdout]).toEqual([1, expect.stringContaining('✓ tenant_b: 1_first')])
    expect(all.stdout).toContain('✗ In the schema "tenant_a"'.replace('✗ ', '✗ tenant_a: '))
    expect((await project.run(['status', '--schemas', '/^tenant_/'], app())).stdout).toContain(
      '2 pending; 1 place is up to date',
    )
  })

  test('find folder and table in drizzle.config, and the database in DATABASE_URL', async () => {
    await project.write({
      'drizzle.config.mjs': `export default { out: './migrations', migrations: { table: 'done', schema: 'public' } }`,
      'migrations/1_first.sql': 'create table t (n int)',
    })
    expect(await project.run(['migrate'], { env: { DATABASE_URL: database.url } })).toMatchObject({ code: 0 })

    expect(await database.query('select name from public.done')).toEqual([{ name: '1_first' }])
  })
})

describe('doctor', () => {
  test('finds nothing wrong with a server that is well, by text and as JSON', async () => {
    await project.write(config)
    const { code, stdout } = await project.run(['doctor'], app())

    expect(code).toBe(0)
    for (const about of [
      'versions',
      'database',
      'latency',
      'server',
      'TLS',
      'connections',
      'pooler',
      'schema',
      'clock',
    ])
      expect(stdout).toMatch(new RegExp(`^[✓i!] ${about} `, 'm'))
    expect(stdout).toContain('3 × 6 wanted')
    expect(stdout).not.toContain('\u001B')
    const bySocket = app({ APP_URL: database.url.replace(/^\w+:/, 'socket:') })
    const json = JSON.parse((await project.run(['doctor', '--json'], bySocket)).stdout) as {
      ok: boolean
      findings: object[]
    }
    expect(json.ok).toBe(true)
    expect(json.findings.length).toBeGreaterThan(8)
  })

  test('says what is wrong, with the remedy, and exits with 1', async () => {
    await project.write(config)
    const many = await project.run(['doctor', '--processes', '500'], app())
    expect([many.code, many.stdout]).toEqual([
      1,
      expect.stringMatching(/✗ connections .*500 × 6 wanted[^]*→ Set pool\.max to at most/),
    ])
    const nowhere = await project.run(['doctor', '--url', 'postgres://app:hunter2@127.0.0.1:1/shop'])

    expect([nowhere.code, nowhere.stdout]).toEqual([1, expect.stringContaining('→ Is the server running')])
    expect(nowhere.stdout).not.toContain('hunter2')
    expect(
      (await project.run(['doctor', '--url', `${database.url}?options=-c%20search_path%3Dnowhere`])).stdout,
    ).toContain('the search path leads to no schema')
  })

  test.skipIf(!hasPgBouncer)('sees a pooler that the pool does not know', async () => {
    await using pooler = await startPgBouncer(database.url, 4)
    const unknown = await project.run(['doctor', '--url', pooler.url])
    expect([unknown.code, unknown.stdout]).toEqual([1, expect.stringContaining("→ Set pooler: 'transaction'")])

    expect((await project.run(['doctor', '--url', `${pooler.url}?pgbouncer=true`])).stdout).toMatch(
      /✓ pooler +seen, and known/,
    )
  })

  test.skipIf(!wantedDrivers().includes('pglite'))('looks at PGlite too', async () => {
    const { code, stdout } = await project.run(['doctor', '--url', 'pglite://memory'])

    expect([code, stdout]).toEqual([0, expect.stringContaining('✓ database')])
    expect(stdout).toContain('✓ TLS')
  })

  test.skipIf(mysqlUrl() === '')('says that it knows no MySQL', async () => {
    const { code, stdout } = await project.run(['doctor', '--url', await mysqlWorkerUrl()])

    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/✗ database +genever doctor reads the catalogue of PostgreSQL, and this database is M/),
    ])
  })

  test('colours where it is asked to, and never with NO_COLOR', async () => {
    const args = ['doctor', '--url', database.url]
    expect((await project.run(args, { env: { FORCE_COLOR: '1' } })).stdout).toContain('\u001B[32m✓')
    expect((await project.run(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stdout).not.toContain('\u001B')
  })
})

describe('shell', () => {
  const shell = async (
    input: string,
    args: readonly string[] = [],
  ): Promise<{ code: number | null; lines: string[] }> => {
    const { code, stdout } = await project.run(['shell', ...args], { ...app(), input })
    return {
      code,
      lines: plain(stdout)
        .split('\n')
        .map((line) => line.replace(/^(?:genever[^>]*> ?|\.\.\. |\| )*/, '').trim())
        .filter((line) => line !== ''),
    }
  }

  test('runs a program that is piped in: one line after the other, awaits at the top, what the configuration gives at hand', async () => {
    await project.write(config)
    const { code, lines } = await shell(`
const n = await db.scalar('select 40 + 2')
await db.status('create table t (n int)')
n + seven
function twice(x) {
  return x * 2
}
twice(n)
User.table
await db.sql\`select \${n}::int as n\`.one()
.sql select n, n * 2 as twice from generate_series(1, 2) n
.sql insert into t values (1); select 3 as m
`)

    expect(lines.filter((line) => !line.startsWith('Status') && line !== 'CREATE TABLE')).toEqual([
      '49',
      '84',
      "'users'",
      '{ n: 42 }',
      'n  twice',
      '─  ─────',
      '1  2',
      '2  4',
      '2 rows',
      'INSERT 1',
      'm',
      '─',
      '3',
      '1 row',
    ])
    expect(code).toBe(0)
  })

  test('has transactions and tenants from line to line', async () => {
    await project.write(config)
    await database.query('create table t (n int); create schema a; create table a.t (n int)')
    const { code, lines } = await shell(`
.begin
.sql insert into t values (1)
.rollback
.tenant a
.begin
.sql insert into t values (2)
.commit
await db.scalar('select count(*) from t')
.tenant
await db.scalar('select count(*) from t')
`)

    expect(lines).toEqual(['INSERT 1', 'ROLLBACK', 'INSERT 1', 'COMMIT', '1', '0'])
    expect(code).toBe(0)
    expect(await database.query('select n from a.t')).toEqual([{ n: 2 }])
  })

  test('rolls everything back with --rollback, and refuses to commit', async () => {
    await project.write(config)
    await database.query('create table t (n int)')
    const { code, lines } = await shell(
      `await db.status('insert into t values (1)').then(() => db.scalar('select count(*) from t'))\n.commit\n`,
      ['--rollback'],
    )

    expect(lines[0]).toBe('1')
    expect(lines[1]).toContain('nothing is committed')
    expect([code, await database.query('select n from t')]).toEqual([1, []])
  })

  test('exits with 1 when a line has failed, and goes on with the next', async () => {
    await project.write(config)
    const { code, lines } = await shell(
      `await db.scalar('select 1 / 0')\n.tenant nowhere\n.sql select\nthrow new RangeError('mine')\n7\n`,
    )

    expect(lines.join('\n')).toMatch(
      /division by zero[^]*CommandLineError: The schema "nowhere" does not exist: [^.]*\. Name a schema that is there\.[^]*mine/,
    )
    expect([code, lines.at(-1)]).toEqual([1, '7'])
  })
})
