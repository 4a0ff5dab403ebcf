/** Migrations of all tenants that a registry lists, from code and from the command line, and the shell at a tenant. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MigrationError, TransactionStateError, UsageError } from 'genever'
import { migrate, migrationStatus } from 'genever/migrations'
import { createRegistry } from 'genever/registry'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { CommandProject, plain } from '../support/cli.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { freshMysql, mysqlUrl } from '../support/mysql.ts'

let folder: string
let project: CommandProject
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'genever-tenants-'))
  await writeFile(join(folder, '1_first.sql'), 'create table t (n int); insert into t values (1)')
  project = await CommandProject.make()
}, 120_000)
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await project[Symbol.asyncDispose]()
})

async function fresh(sql?: string): Promise<FreshDatabase> {
  const database = await freshDatabase(sql)
  onTestFinished(() => database.drop())
  return database
}

test('all schemas that tenancy lists, with what is shared', async () => {
  const database = await fresh(
    'create schema a; create schema b; create schema other; create schema common; create table common.c (n int)',
  )
  await using db = createRegistry({
    main: database.url,
    tenancy: { schema: (id: string) => id, list: () => ['a', 'b'], shared: ['common'] },
  })
  await writeFile(join(folder, '2_second.sql'), 'insert into c values (1)')
  const report = await migrate(db, { folder, schemas: 'all' })
  await rm(join(folder, '2_second.sql'))

  expect(report.applied.map(({ schema, file }) => `${schema} ${file}`)).toEqual([
    'a 1_first',
    'a 2_second',
    'b 1_first',
    'b 2_second',
  ])
  expect(await db.scalar('select count(*) from common.c')).toBe(2)
  expect(await db.withTenant('b', () => db.scalar('select n from t'))).toBe(1)
  expect(
    (await migrationStatus(db, { folder, schemas: 'all', allow: ['missing'] })).upToDate.map(({ schema }) => schema),
  ).toEqual(['a', 'b'])
})

test('all databases that tenancy lists', async () => {
  const [main, a, b] = [await fresh(), await fresh(), await fresh()]
  const urls: Record<string, string> = { a: a.url, b: b.url }
  await using db = createRegistry({
    main: main.url,
    tenancy: {
      database: (id: string) => ({ url: urls[id] as string, pool: { max: 2 } }),
      list: async () => ['a', 'b'],
    },
  })
  const report = await migrate(db, { folder, databases: 'all' })

  expect(report.applied).toHaveLength(2)
  expect(await db.withTenant('b', () => db.scalar('select n from t'))).toBe(1)
  expect(await db.scalar("select to_regclass('t')")).toBeNull()
})

test('what does not fit the kind of tenancy is refused by name', async () => {
  const database = await fresh('create schema a')
  const list = (): string[] => ['a']
  await using schema = createRegistry({ main: database.url, tenancy: { schema: (id: string) => id, list } })
  await using rows = createRegistry({
    main: database.url,
    tenancy: { settings: (id: string) => ({ 'app.t': id }), list },
  })
  await using unlisted = createRegistry({ main: database.url, tenancy: { schema: (id: string) => id } })
  await using none = createRegistry({ main: database.url })

  expect(await caught(migrate(schema, { folder, databases: 'all' }))).toMatchObject({
    code: MigrationError.code,
    message: expect.stringMatching(/schemas: 'all'/) as string,
  })
  expect(await caught(migrate(rows, { folder, schemas: 'all' }))).toMatchObject({
    message: expect.stringMatching(/migrate once/) as string,
  })
  expect(await caught(migrate(unlisted, { folder, schemas: 'all' }))).toMatchObject({
    message: expect.stringMatching(/needs list/) as string,
  })
  expect(await caught(migrate(none, { folder, schemas: 'all' }))).toBeInstanceOf(UsageError)
  expect(await caught(schema.withTenant('a', () => migrate(schema, { folder })))).toBeInstanceOf(TransactionStateError)
})

const config = (url: string, tenancy: string, main = JSON.stringify(url)): Record<string, string> => ({
  'genever.config.mjs': `
    import { createRegistry } from 'genever/registry'
    export default {
      db: () => createRegistry({ main: ${main}, tenancy: ${tenancy} }),
      migrations: { folder: ${JSON.stringify(folder)} },
    }`,
})

test('the command migrates all tenants, and its shell is at one', async () => {
  const database = await fresh('create schema t7; create schema t8; create table public.t (n int)')
  await project.write(config(database.url, '{ schema: (id) => `t${id}`, list: () => [7, 8] }'))
  const done = await project.run(['migrate', '--tenants'])
  const status = await project.run(['status', '--tenants'])
  const shell = await project.run(['shell', '--tenant', '7'], {
    input: `await db.scalar('select n from t')\n.begin\n.sql insert into t values (2)\n.commit\n[db.tenant, await db.scalar('select count(*) from t')]\n.tenant\nawait db.scalar('select count(*) from t')\n.tenant 9\n`,
  })

  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/✓ t7: 1_first[^]*✓ t8: 1_first/) })
  expect(status).toMatchObject({ code: 0, stdout: '0 pending; 2 places are up to date.\n' })
  const lines = plain(shell.stdout)
  expect(lines).toMatch(/7> 1\n[^]*INSERT 1\n[^]*COMMIT\n[^]*\[ 7, 2 \]\n[^]*> 0\n[^]*SchemaNotFoundError/)
  expect(await project.run(['migrate', '--tenants', '--schemas', 't7'])).toMatchObject({ code: 2 })
  await project.write(config(database.url, "{ settings: (id) => ({ 'app.t': id }) }"))
  expect(await project.run(['migrate', '--tenants'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/without --tenants/),
  })
})

test.skipIf(mysqlUrl() === '').each([
  ['of a URL', (url: string) => JSON.stringify(url)],
  ['of a function', (url: string) => `() => ${JSON.stringify(url)}`],
])('the command migrates the databases that are settings of tenants, on MySQL: a registry %s', async (_, main) => {
  await using home = await freshMysql()
  await using tenant = await freshMysql()
  const tenancy = `{ settings: () => ({ database: '${tenant.name}' }), list: () => [7] }`
  await project.write(config(home.url, tenancy, main(home.url)))

  const done = await project.run(['migrate', '--tenants'])

  expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining(`/${tenant.name}: 1_first`) })
  expect(await tenant.query('select n from t')).toEqual([{ n: 1 }])
  expect((await project.run(['status', '--tenants'])).stdout).toBe('0 pending; 1 place is up to date.\n')
})
