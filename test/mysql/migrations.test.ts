/** `genever/migrations` on MySQL: DDL commits by itself, so each statement is recorded, and a run goes on where one was cut off. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { createDb, type Db, MigrationError, TransactionStateError, UsageError } from 'genever'
import { migrate, type MigrateReport, migrationStatus } from 'genever/migrations'
import { createRegistry, type Registry } from 'genever/registry'
import { drizzle } from 'drizzle-orm/mysql2'
import { migrate as drizzleMigrate } from 'drizzle-orm/mysql2/migrator'
import { createConnection } from 'mysql2/promise'
import { describe, expect, onTestFinished, test } from 'vitest'
import { statementsOf } from '../../src/mysql/classify.ts'
import { caught } from '../support/caught.ts'
import { sample } from '../support/extent.ts'
import { type Files, folderOf, journalFor, type JournalEntry, write } from '../support/migration-folders.ts'
import { describeMysql, freshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'
import { until } from '../support/until.ts'

const journal = (...entries: readonly JournalEntry[]): Files => journalFor('mysql', entries)

async function place(...statements: readonly string[]): Promise<{ server: FreshMysql; db: Db }> {
  const server = await freshMysql(...statements)
  const db = createDb(server.url)
  onTestFinished(async () => {
    await db.close({ timeoutMs: 1_000 })
    await server[Symbol.asyncDispose]()
  })
  return { server, db }
}

const names = ({ applied }: MigrateReport): string[] => applied.map(({ file }) => file)
const hash = (text: string): string => createHash('sha256').update(text).digest('hex')
const tables = async (server: FreshMysql): Promise<unknown> =>
  (
    await server.query('select table_name as name from information_schema.tables where table_schema = ? order by 1', [
      server.name,
    ])
  ).map(({ name }) => name)

/** Lets a connection through up to the packet with this number, which ends it: before or after the server has seen it. */
async function cutting(
  target: string,
  cut: number,
  when: 'before' | 'after',
): Promise<{ url: string; packets: number }> {
  const { hostname, port } = new URL(target)
  const state = { url: '', packets: 0 }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port || 3306), hostname)
    let over = false
    const end = (): void => {
      over = true
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) sockets.add(socket.on('error', end).on('close', end))
    client.on('data', (data) => {
      const last = ++state.packets === cut
      if (last && when === 'before') end()
      else {
        if (last) over = true
        upstream.write(data)
      }
    })
    // The server has answered: it has done what it was asked.
    upstream.on('data', (data) => (over ? end() : void client.write(data)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  state.url = url.href
  return state
}

describeMysql('migrations on MySQL', () => {
  test('numbered files are applied in the order of their numbers, once, each statement with its record', async () => {
    const { db, server } = await place()
    const folder = await folderOf({
      '10_third.sql': 'create procedure p() begin insert into t values (3); insert into t values (4); end;',
      '2_second.sql':
        "insert into t values (2); -- ;\n insert into t values (9); /* ; */ delete from t where n = '9;' + 0",
      '0001_first.sql': 'create table t (n int); insert into t values (1)',
    })

    expect(names(await migrate(db, { folder }))).toEqual(['0001_first', '2_second', '10_third'])
    expect(await migrate(db, { folder })).toMatchObject({ applied: [], upToDate: [{ database: null, schema: null }] })
    await db.status('call p()')
    expect((await server.query('select n from t order by n')).map(({ n }) => n)).toEqual([1, 2, 3, 4])
    expect((await server.query('select name from genever_migrations order by id')).map(({ name }) => name)).toEqual([
      '0001_first',
      '2_second',
      '10_third',
    ])
    expect(await server.query('select * from genever_migrations_steps')).toEqual([])
  })

  test('a baseline records files of a database that exists already without running them', async () => {
    const { db, server } = await place()
    await server.query('create table t (n int)')
    const folder = await folderOf({ '1_t.sql': 'create table t (n int)', '2_more.sql': 'insert into t values (2)' })
    const options = { folder, baseline: '1_t' }
    const report = await migrate(db, options)

    expect([report.baselined.map(({ file }) => file), names(report)]).toEqual([['1_t'], ['2_more']])
    expect((await server.query('select n from t')).map(({ n }) => n)).toEqual([2])
    expect(await migrate(db, options)).toMatchObject({ applied: [], baselined: [] })
    expect(await migrationStatus(db, { folder })).toMatchObject({ pending: [], drift: [] })
  })

  test('a folder of drizzle-kit is recorded as Drizzle does, and either goes on with the other', async () => {
    const { db, server } = await place()
    const first = 'CREATE TABLE `t` (\n\t`n` int\n);\n--> statement-breakpoint\nINSERT INTO `t` VALUES (1);'
    const folder = await folderOf(journal(['0000_first', 1_000, first]))
    const client = await createConnection(server.url)
    onTestFinished(() => client.end())

    expect(names(await migrate(db, { folder }))).toEqual(['0000_first'])
    expect(await server.query('select hash, created_at + 0 as at from __drizzle_migrations')).toMatchObject([
      { hash: hash(first) },
    ])
    await drizzleMigrate(drizzle({ client }), { migrationsFolder: folder })
    const second = 'ALTER TABLE `t` ADD `m` int;'
    await write(folder, journal(['0000_first', 1_000, first], ['0001_second', 2_000, second]))
    await drizzleMigrate(drizzle({ client }), { migrationsFolder: folder })
    expect(await migrationStatus(db, { folder })).toMatchObject({ pending: [], drift: [] })
    expect(await server.query('select * from t')).toEqual([{ n: 1, m: null }])
  })

  test('folders of drizzle-kit 1.0 are recorded by their names', async () => {
    const { db, server } = await place()
    const folder = await folderOf({
      '20260102030405_one/migration.sql': 'create table a (n int)',
      '20260102030406_two/migration.sql': 'create table b (n int)',
    })

    expect(names(await migrate(db, { folder }))).toEqual(['20260102030405_one', '20260102030406_two'])
    expect((await server.query('select name from __drizzle_migrations order by id')).map(({ name }) => name)).toEqual([
      '20260102030405_one',
      '20260102030406_two',
    ])
    expect(names(await migrate(db, { folder }))).toEqual([])
  })

  test('a statement that fails is named; those before it stay, and the mended file goes on behind them', async () => {
    const { db, server } = await place()
    const folder = await folderOf({
      '1.sql': 'create table t (n int); insert into t values (1); create table t (m int)',
    })

    const error = await caught(migrate(db, { folder }))
    expect(error).toBeInstanceOf(MigrationError)
    expect(error.message).toContain('Migration 1 failed at statement 3 of 3')
    await write(folder, { '1.sql': 'create table t (n int); insert into t values (1); create table u (m int)' })
    expect(names(await migrate(db, { folder }))).toEqual(['1'])
    expect(await tables(server)).toEqual(['genever_migrations', 'genever_migrations_steps', 't', 'u'])
    expect(await server.query('select n from t')).toEqual([{ n: 1 }])
  })

  test('a statement that was done may not change behind a run that did not end', async () => {
    const { db } = await place()
    const folder = await folderOf({ '1.sql': 'create table t (n int); create table t (m int)' })
    await caught(migrate(db, { folder }))
    await write(folder, { '1.sql': 'create table t (n bigint); create table u (m int)' })

    const error = await caught(migrate(db, { folder }))
    expect([error.name, error.message.includes('Statement 1 of 1 was begun')]).toEqual(['MigrationError', true])
  })

  const files: Files = {
    '1.sql':
      'set @start = 5; create table t (n int primary key); insert into t values (@start); alter table t add m int default 1',
    '2.sql': 'create index m_of_t on t (m); create view v as select n from t; rename table t to u; drop view v',
  }
  const picture = async (server: FreshMysql): Promise<unknown> => ({
    tables: await tables(server),
    u: await server.query('show create table u'),
    rows: await server.query('select * from u'),
    record: await server.query('select name from genever_migrations order by id'),
    steps: await server.query('select * from genever_migrations_steps'),
  })

  test(
    'a run that is cut off anywhere is finished by the next one, with each statement done once',
    { timeout: 600_000 },
    async () => {
      const folder = await folderOf(files)
      const clean = await place()
      const through = await cutting(clean.server.url, 0, 'before')
      await using counted = createDb(through.url, { pool: { max: 1 } })
      await migrate(counted, { folder })
      const expected = await picture(clean.server)
      const every = Math.max(1, Math.round(through.packets / sample({ once: 3, matrix: 20, soak: 1_000 })))

      // The first few open the connection, and are tried again.
      for (let cut = 6; cut <= through.packets; cut += every)
        for (const when of ['before', 'after'] as const) {
          const { server, db } = await place()
          const proxied = await cutting(server.url, cut, when)
          const broken = createDb(proxied.url, { pool: { max: 1 } })
          await migrate(broken, { folder }).catch(() => {})
          await broken.close({ timeoutMs: 500 })
          await migrate(db, { folder })
          expect([cut, when, await picture(server)]).toEqual([cut, when, expected])
        }
    },
  )

  test.each([
    ['truncate table t', 'truncate'],
    ['drop table t, u', 'drop table t, u'],
    ['call p()', 'call p()'],
  ])('whether %s was done is not guessed', async (statement, shown) => {
    const { db, server } = await place('create table t (n int)', 'create table u (n int)')
    await server.query('create procedure p() begin insert into t values (1); end')
    const folder = await folderOf({ '1.sql': statement })
    await write(folder, { '0.sql': 'set @nothing = 1' })
    await migrate(db, { folder: await folderOf({ '0.sql': 'set @nothing = 1' }) })
    // What a run leaves that was cut off behind its intent.
    await server.query('insert into genever_migrations_steps values (?, 0, ?, null, false)', ['1', hash(statement)])

    const error = await caught(migrate(db, { folder }))
    expect(error).toBeInstanceOf(MigrationError)
    expect(error.message).toContain('cannot see whether it was done')
    expect(error.message).toContain(shown)
    await server.query('delete from genever_migrations_steps')
    expect(names(await migrate(db, { folder }))).toEqual(['1'])
  })

  test('one run works at a time, and the others find nothing to do', async () => {
    const { db, server } = await place()
    const folder = await folderOf({
      '1.sql': 'create table t (n int); insert into t values (1)',
      '2.sql': 'create table u (n int)',
    })
    await using other = createDb(server.url, { pool: { max: 1 } })

    const reports = await Promise.all([migrate(db, { folder }), migrate(other, { folder }), migrate(db, { folder })])
    expect(reports.flatMap(names).toSorted()).toEqual(['1', '2'])
    expect(await server.query('select n from t')).toEqual([{ n: 1 }])
  })

  test('who waits for the lock gives up after lockTimeoutMs, and a run that is over has given it back', async () => {
    const { db, server } = await place('create table gate (n int)')
    const folder = await folderOf({ '1.sql': "select sleep(600) from (select 'mark of the one that holds' as m) t" })
    const holder = createDb(server.url)
    const running = migrate(holder, { folder }).catch((error: unknown) => error)
    const runs = async (): Promise<number[]> =>
      (
        await onMysql('select id from information_schema.processlist where db = ? and info like ?', [
          server.name,
          '%mark of the one%',
        ])
      ).map(({ id }) => Number(id))
    await until(async () => (await runs()).length > 0)

    const error = await caught(migrate(db, { folder, lockTimeoutMs: 50 }))
    expect([error.name, error.message.includes('lockTimeoutMs (50 ms)')]).toEqual(['MigrationError', true])
    for (const id of await runs()) await onMysql(`kill ${id}`)
    await running
    await holder.close({ timeoutMs: 1_000 })
    await write(folder, { '1.sql': 'create table t (n int)' })
    expect(names(await migrate(db, { folder }))).toEqual(['1'])
  })

  test.each([
    ['start transaction', 'may not begin or end transactions'],
    ['commit', 'may not begin or end transactions'],
    ['use other', 'databases'],
    ['delimiter //', 'client'],
    ['create temporary table x (n int)', 'another session'],
    ["select get_lock('a', 0)", 'another session'],
    ['select @a := 1', 'another session'],
    ['lock tables t write', 'another session'],
  ])('%s in a file is refused before anything is applied', async (statement, why) => {
    const { db, server } = await place()
    const folder = await folderOf({ '1.sql': 'create table t (n int)', '2.sql': statement })
    const error = await caught(migrate(db, { folder }))

    expect(error).toBeInstanceOf(MigrationError)
    expect([error.outcome, error.message.includes(why)]).toEqual(['not_started', true])
    expect(await tables(server)).toEqual([])
  })

  test('is refused inside of a transaction, and schemas are refused by name', async () => {
    const { db, server } = await place()
    const folder = await folderOf({ '1.sql': 'create table t (n int)' })

    expect(await caught(db.transaction(() => migrate(db, { folder })))).toBeInstanceOf(TransactionStateError)
    for (const options of [
      { schemas: ['a'] },
      { schemas: 'all' as const },
      { shared: ['a'] },
      { table: { schema: 'a' } },
    ]) {
      const error = await caught(migrate(db, { folder, ...options }))
      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('where a tenant has a database')
    }
    expect(await tables(server)).toEqual([])
  })

  test('databases are migrated one by one, and a dry run changes none of them', async () => {
    const { db } = await place()
    const [one, two] = [await place(), await place()]
    const folder = await folderOf({ '1.sql': 'create table t (n int)' })
    const databases = [one.server.url, two.server.url]

    expect(names(await migrate(db, { folder, databases, dryRun: true }))).toEqual(['1', '1'])
    expect([await tables(one.server), await tables(two.server)]).toEqual([[], []])
    expect(
      (await migrate(db, { folder, databases })).applied.map(({ database }) => database?.split('/').at(-1)),
    ).toEqual([one.server.name, two.server.name])
    expect(names(await migrate(db, { folder, databases }))).toEqual([])
  })

  test('databases of tenants are listed once', async () => {
    const { server: home } = await place()
    const servers = [(await place()).server, (await place()).server]
    let listed = 0
    await using db = createRegistry({
      main: home.url,
      tenancy: {
        database: (tenant: number) => (servers[tenant] as FreshMysql).url,
        list: () => {
          listed++
          return [0, 1]
        },
      },
    })
    const report = await migrate(db, {
      folder: await folderOf({ '1.sql': 'create table t (n int)' }),
      databases: 'all',
    })

    expect(report.applied.map(({ database }) => database?.split('/').at(-1))).toEqual(servers.map(({ name }) => name))
    expect(listed).toBe(1)
    for (const server of servers) expect(await tables(server)).toContain('t')
    expect(await tables(home)).toEqual([])
  })

  describe('each tenant that has a database by its settings', () => {
    const tenants = async (
      settings: (tenant: number) => Record<string, string>,
      list: readonly number[] = [0, 1, 2],
      databases = list.length,
    ): Promise<{ home: FreshMysql; servers: readonly FreshMysql[]; db: Registry<'main', number> }> => {
      const { server: home } = await place()
      const servers = await Promise.all(Array.from({ length: databases }, async () => (await place()).server))
      const name = (given: Record<string, string>): Record<string, string> =>
        Object.fromEntries(
          Object.entries(given).map(([key, value]) => [
            key,
            value.replace(/^#(\d+)$/, (_, at: string) => servers[Number(at)]?.name ?? 'missing'),
          ]),
        )
      const db = createRegistry({
        main: { url: home.url, pool: { max: 2 } },
        tenancy: { settings: (tenant: number) => name(settings(tenant)), list: () => list },
      })
      onTestFinished(async () => void (await db.close({ timeoutMs: 1_000 })))
      return { home, servers, db }
    }
    const files = {
      '1_t.sql': 'create table t (n int); insert into t values (1)',
      '2_p.sql': 'create procedure p() insert into t values (2)',
    }

    test('gets all files with a record there, on the connections of the registry, whose own database has none', async () => {
      const { home, servers, db } = await tenants((tenant) => ({ database: `#${tenant}`, 'app.tenant': `${tenant}` }))
      const folder = await folderOf(files)
      const options = { folder, databases: 'all' as const, concurrency: 8 }
      expect((await migrationStatus(db, options)).pending).toHaveLength(6)
      expect(names(await migrate(db, { ...options, dryRun: true }))).toHaveLength(6)
      expect(await tables(servers[0] as FreshMysql)).toEqual([])

      const report = await migrate(db, options)
      const { host } = new URL(home.url)
      const where = servers.map(({ name }) => `${host}/${name}`)
      expect(report.applied.map(({ database, file }) => `${database} ${file}`).toSorted()).toEqual(
        where.flatMap((name) => [`${name} 1_t`, `${name} 2_p`]).toSorted(),
      )
      for (const server of servers) {
        expect(await tables(server)).toEqual(['genever_migrations', 'genever_migrations_steps', 't'])
        expect((await server.query('select name from genever_migrations')).map(({ name }) => name)).toEqual([
          '1_t',
          '2_p',
        ])
      }
      expect(await tables(home)).toEqual([])
      expect(await db.scalar('select database()')).toBe(home.name)
      const again = await migrate(db, options)
      expect([again.applied, new Set(again.upToDate.map(({ database }) => database))]).toEqual([[], new Set(where)])
      await db.withTenant(1, () => db.status('call p()'))
      expect(await servers[1]?.query('select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }])
    })

    test('once, however many tenants have it', async () => {
      const { servers, db } = await tenants((tenant) => ({ database: `#${tenant % 2}` }), [0, 1, 2, 3], 2)
      const report = await migrate(db, { folder: await folderOf(files), databases: 'all' })

      expect(report.applied).toHaveLength(4)
      for (const server of servers) expect(await server.query('select n from t')).toEqual([{ n: 1 }])
    })

    test('is named when it fails, and the others go on if that was asked for', async () => {
      const { servers, db } = await tenants((tenant) => ({ database: `#${tenant}` }), [0, 9, 1], 2)
      const folder = await folderOf(files)
      const report = await migrate(db, { folder, databases: 'all', onError: 'continue' })

      expect(report.failed.map(({ database, error }) => [database?.split('/').at(-1), error.message])).toEqual([
        ['missing', expect.stringContaining('missing') as string],
      ])
      expect(report.applied).toHaveLength(4)
      expect(await caught(migrate(db, { folder, databases: 'all' }))).toMatchObject({ errno: 1049 })
      for (const server of servers) expect(await server.query('select n from t')).toEqual([{ n: 1 }])
    })

    test.each([
      [
        'some of which name no database',
        (tenant: number) => (tenant === 1 ? { 'app.tenant': '1' } : { database: `#${tenant}` }),
        'tenant 2',
      ],
      ['none of which names a database', (tenant: number) => ({ 'app.tenant': `${tenant}` }), 'migrate once'],
    ])('settings, %s, are a MigrationError before anything is applied', async (_, settings, why) => {
      const { servers, db } = await tenants(settings)
      const error = await caught(migrate(db, { folder: await folderOf(files), databases: 'all' }))

      expect(error).toBeInstanceOf(MigrationError)
      expect([error.outcome, error.message.includes(why)]).toEqual(['not_started', true])
      for (const server of servers) expect(await tables(server)).toEqual([])
    })
  })

  test('statements are told apart by the lexer of MySQL', () => {
    expect(statementsOf('select \';\', `a;b`, "c;d"; # ;\n select 1 -- ;\n ; /*! set @a = 1; */ ;;')).toEqual([
      'select \';\', `a;b`, "c;d"',
      '# ;\n select 1 -- ;',
      '/*! set @a = 1',
    ])
    const program = 'create trigger x before insert on t for each row begin set new.n = 1; set new.m = 2; end'
    expect(statementsOf(`select 1; ${program};`)).toEqual(['select 1', program])
  })
})
