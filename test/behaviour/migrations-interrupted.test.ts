/** Migrations of PostgreSQL that run twice at once, were cut off, or run behind a pooler: each statement is done once. */

import { createDb, MigrationError } from 'genever'
import { migrate, type MigrateReport } from 'genever/migrations'
import { describe, expect, test } from 'vitest'
import { withSchema } from '../../src/migrations/run.ts'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { folderOf, place } from '../support/migration-folders.ts'
import { hasPgBouncer, startPgBouncer, startPooler } from '../support/pooler.ts'
import { until } from '../support/until.ts'

const names = ({ applied }: MigrateReport): string[] => applied.map(({ file }) => file)
/** Advisory locks of this database: other tests have some too. */
const ownLocks = `select 1 from pg_locks where locktype = 'advisory'
  and pid in (select pid from pg_stat_activity where datname = current_database())`

describe('two runs at once', () => {
  test('one works, the other waits and finds nothing to do, also with CREATE INDEX CONCURRENTLY', async () => {
    const { db, database } = await place()
    await using other = createDb(database.url)
    const folder = await folderOf({
      '1.sql': 'create table t (n int); insert into t select generate_series(1, 1000)',
      // Whoever waits for the lock must never be what one of these waits for.
      ...Object.fromEntries(
        Array.from({ length: 12 }, (_, i) => [`${i + 2}.sql`, `create index concurrently t_${i} on t (n)`]),
      ),
      '99.sql': 'select pg_sleep(0.2); insert into t values (0)',
    })
    const runs = [db, other, db, other].map((each) => migrate(each, { folder, lockTimeoutMs: 20_000 }))
    const reports = await Promise.all(runs)

    expect(reports.map(({ applied }) => applied.length).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 14])
    expect(await database.query('select count(*)::int as n from t')).toEqual([{ n: 1_001 }])
  })

  test('the one that waits gives up after lockTimeoutMs', async () => {
    const { db, database } = await place('create table held (n int)')
    await using other = createDb(database.url)
    const folder = await folderOf({ '1.sql': 'create table t (n int); lock table held in access share mode' })
    const keeper = await other.begin()
    await keeper.status('lock table held in access exclusive mode')
    const first = migrate(db, { folder })
    await until(async () => (await database.query(ownLocks)).length > 0)
    const error = await caught(migrate(other, { folder, lockTimeoutMs: 0 }))
    await keeper.rollback()

    expect(error).toMatchObject({ name: 'MigrationError', outcome: 'not_started' })
    expect(error.message).toContain('lockTimeoutMs (0 ms)')
    expect(names(await first)).toEqual(['1'])
  })
})

describe('a run that was cut off', () => {
  const files = {
    '1.sql': 'create table t (n int); insert into t values (1)',
    '2.sql': `create index concurrently t_n on t (n);
      insert into t values (2);
      create index concurrently if not exists t_n2 on t (n, n);
      vacuum t;
      drop index concurrently t_n;
      insert into t values (3)`,
    '3.sql': "create type mood as enum ('a'); alter type mood add value 'b'; create table m (mood mood default 'b')",
    '4.sql': 'insert into t values (4)',
  }
  const picture = async (database: FreshDatabase): Promise<unknown> => ({
    rows: await database.query('select n from t order by n'),
    indexes: await database.query(
      "select indexrelid::regclass::text as name, indisvalid as valid from pg_index where indrelid = 't'::regclass order by 1",
    ),
    moods: await database.query(
      "select enumlabel as label from pg_enum where enumtypid = 'mood'::regtype order by enumsortorder",
    ),
    record: await database.query('select name from genever_migrations order by id'),
    steps: await database.query('select * from genever_migrations_steps'),
  })

  test('anywhere, is finished by the next one: the schema is that of one clean run, each statement done once', async () => {
    const clean = await place()
    await migrate(clean.db, { folder: await folderOf(files) })
    const expected = await picture(clean.database)

    for (let cut = 1; cut <= 12; cut++) {
      const database = await freshDatabase()
      const folder = await folderOf(files)
      const db = createDb(database.url)
      let begun = 0
      // The sessions are ended before the statement runs, or while it does.
      let killing: Promise<unknown> | undefined
      const kill = (): Promise<unknown> =>
        database.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
        )
      const run = migrate(db, {
        folder,
        onProgress: () => {
          if (++begun === cut) killing = kill().catch(() => {})
        },
      })
      await run.catch(() => {})
      // The run may be over before its sessions are ended: those of the next one are not to be.
      await killing
      await db.close({ timeoutMs: 500 })
      await using again = createDb(database.url)
      await migrate(again, { folder })
      expect([cut, await picture(database)]).toEqual([cut, expected])
      await again.close({ timeoutMs: 500 })
      await database.drop()
    }
  })

  test('while it made an index leaves an INVALID one, which the next one makes anew', async () => {
    const { db, database } = await place('create table t (n int); insert into t values (1), (1)')
    const folder = await folderOf({ '1.sql': 'create unique index concurrently if not exists t_n on t (n)' })

    expect((await caught(migrate(db, { folder }))).message).toContain('could not create unique index')
    expect(await database.query("select indisvalid as valid from pg_index where indrelid = 't'::regclass")).toEqual([
      { valid: false },
    ])
    await database.query('delete from t')
    await migrate(db, { folder })
    expect(await database.query("select indisvalid as valid from pg_index where indrelid = 't'::regclass")).toEqual([
      { valid: true },
    ])
  })

  test('at a statement whose effect cannot be seen says so', async () => {
    const { db, database } = await place(
      'create table t (n int); create procedure p() language plpgsql as $$ begin insert into t values (1); commit; perform 1 / (select count(*) from t where n = 2); end $$',
    )
    const folder = await folderOf({ '1.sql': 'call p()' })

    expect((await caught(migrate(db, { folder }))).message).toContain('division by zero')
    expect((await caught(migrate(db, { folder }))).message).toContain('cannot see whether it was done: call p()')
    await database.query('update genever_migrations_steps set done = true')
    expect(names(await migrate(db, { folder }))).toEqual(['1'])
  })
})

describe('behind a transaction pooler', () => {
  for (const [name, there, start] of [
    ['the pooler of this process', true, startPooler],
    ['PgBouncer', hasPgBouncer, startPgBouncer],
  ] as const)
    test.skipIf(!there)(`runs do not disturb each other, and the lock is not left behind: ${name}`, async () => {
      const { database } = await place()
      await using pooler = await start(database.url, 6)
      await using db = createDb(pooler.url, { pooler: 'transaction' })
      await using other = createDb(pooler.url, { pooler: 'transaction' })
      const folder = await folderOf({
        '1.sql': 'create table t (n int); insert into t values (1)',
        '2.sql': 'create index concurrently t_n on t (n); insert into t values (2)',
      })
      const reports = await Promise.all([migrate(db, { folder }), migrate(other, { folder })])

      expect(reports.map(({ applied }) => applied.length).toSorted((a, b) => a - b)).toEqual([0, 2])
      expect(await database.query('select count(*)::int as n from t')).toEqual([{ n: 2 }])
      const mine =
        "select 1 from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = $1)"
      expect(await database.query(mine, [database.name])).toEqual([])
      expect(await migrate(db, { folder })).toMatchObject({ upToDate: [{ database: null, schema: null }] })
    })
})

test('behind a pooler one connection is not enough for what refuses a transaction, and that is said', async () => {
  const { database } = await place('create table t (n int)')
  await using pooler = await startPooler(database.url, 2)
  await using db = createDb(pooler.url, { pooler: 'transaction', pool: { max: 1 } })
  const folder = await folderOf({
    '1.sql': 'insert into t values (1)',
    '2.sql': 'create index concurrently t_n on t (n)',
  })

  expect((await caught(migrate(db, { folder }))).message).toContain('set pool.max to 2 or more')
  expect(await database.query('select n from t')).toEqual([{ n: 1 }])
})

test('two runs of one connection each keep out of each other’s way, also with CREATE INDEX CONCURRENTLY', async () => {
  const { database } = await place()
  await using one = createDb(database.url, { pool: { max: 1 } })
  await using two = createDb(database.url, { pool: { max: 1 } })
  const folder = await folderOf({
    '1.sql': 'create table t (n int); insert into t select generate_series(1, 1000)',
    '2.sql': 'create index concurrently t_n on t (n); insert into t values (0); vacuum t',
    '3.sql': 'insert into t values (-1)',
  })
  const reports = await Promise.all([migrate(one, { folder }), migrate(two, { folder })])

  expect(reports.flatMap(names).toSorted()).toEqual(['1', '2', '3'])
  expect(await database.query('select count(*)::int as n from t')).toEqual([{ n: 1_002 }])
  expect(await database.query(ownLocks)).toEqual([])
})

test('behind a pooler the names in what refuses a transaction get the schema; what a path would decide is refused', () => {
  const made = (text: string): string => withSchema(text, 'a b')

  expect(
    made(
      'create unique index concurrently if not exists i on only t using btree (n desc, (m)) include (k) where n is not null and (m > 1)',
    ),
  ).toBe(
    'create unique index concurrently if not exists i on only "a b".t using btree (n desc, (m)) include (k) where n is not null and (m > 1)',
  )
  expect(made('drop index concurrently if exists i, "J" cascade')).toBe(
    'drop index concurrently if exists "a b".i, "a b"."J" cascade',
  )
  expect(made('drop index concurrently other.i')).toBe('drop index concurrently other.i')
  expect(
    ['vacuum', 'vacuum analyze', 'vacuum analyze t', 'reindex table concurrently t', 'alter system set x = 1'].map(
      made,
    ),
  ).toEqual([
    'vacuum',
    'vacuum analyze',
    'vacuum analyze "a b".t',
    'reindex table concurrently "a b".t',
    'alter system set x = 1',
  ])
  for (const refused of [
    'create index concurrently i on t (lower(n))',
    'create index concurrently i on t ((n::mood))',
    'create index concurrently i on t ((cast(n as mood)))',
    'call p()',
    'vacuum (analyze) t',
  ])
    expect(() => made(refused)).toThrow(MigrationError)
})
