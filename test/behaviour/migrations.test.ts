/** `genever/migrations`: folders of migrations, each file once, whoever runs them and wherever a run was cut off. */

import { createHash } from 'node:crypto'
import { createDb, type Db, type EngineOptions, MigrationError, TransactionStateError } from 'genever'
import { migrate, type MigrateReport, migrationStatus } from 'genever/migrations'
import { describe, expect, onTestFinished, test } from 'vitest'
import { withSchema } from '../../src/migrations/run.ts'
import { statementsOf } from '../../src/postgres/lexer.ts'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { wantedDrivers } from '../support/extent.ts'
import { type Files, folderOf, journalFor, type JournalEntry, write } from '../support/migration-folders.ts'
import { pgliteStart } from '../support/patience.ts'
import { hasPgBouncer, startPgBouncer, startPooler } from '../support/pooler.ts'
import { until } from '../support/until.ts'

const journal = (...entries: readonly JournalEntry[]): Files => journalFor('postgresql', entries)

async function place(sql?: string, options?: EngineOptions): Promise<{ database: FreshDatabase; db: Db }> {
  const database = await freshDatabase(sql)
  const db = createDb(database.url, options)
  onTestFinished(async () => {
    await db.close({ timeoutMs: 1_000 })
    await database.drop()
  })
  return { database, db }
}

const names = ({ applied }: MigrateReport): string[] => applied.map(({ file }) => file)
const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Advisory locks of this database: other tests have some too. */
const ownLocks = `select 1 from pg_locks where locktype = 'advisory'
  and pid in (select pid from pg_stat_activity where datname = current_database())`

describe('numbered files', () => {
  test('are applied in the order of their numbers, once, each with its record in one transaction', async () => {
    const { db, database } = await place()
    const folder = await folderOf({
      '10_third.sql': 'insert into t values (3);',
      '2_second.sql':
        "create function f() returns int language sql begin atomic select 1; end; comment on table t is 'a;b'; -- ;",
      '0001_first.sql': 'create table t (n int); insert into t values (1); insert into t values (2)',
    })

    expect(names(await migrate(db, { folder }))).toEqual(['0001_first', '2_second', '10_third'])
    expect(await migrate(db, { folder })).toMatchObject({ applied: [], upToDate: [{ database: null, schema: null }] })
    expect(await database.query('select n from t order by n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(await database.query('select name from public.genever_migrations order by id')).toEqual([
      { name: '0001_first' },
      { name: '2_second' },
      { name: '10_third' },
    ])
  })

  test('that fail leave nothing of themselves, keep those before, and say which statement it was', async () => {
    const { db, database } = await place()
    const folder = await folderOf({
      '1_good.sql': 'create table t (n int)',
      '2_bad.sql': 'insert into t values (1); select 1 / 0; insert into t values (2)',
    })
    const error = await caught(migrate(db, { folder }))

    expect(error).toBeInstanceOf(MigrationError)
    expect(error.message).toContain('Migration 2_bad failed at statement 2 of 3: division by zero')
    expect(error).toMatchObject({ outcome: 'rolled_back', cause: { sqlState: '22012' } })
    expect(await database.query('select count(*)::int as n from t')).toEqual([{ n: 0 }])
    await write(folder, { '2_bad.sql': 'insert into t values (1)' })
    expect(names(await migrate(db, { folder }))).toEqual(['2_bad'])
  })

  test.each([
    [
      'numbered files',
      (texts: readonly string[]) => Object.fromEntries(texts.map((text, i) => [`${i + 1}_f.sql`, text])),
    ],
    [
      'a journal',
      (texts: readonly string[]) => journal(...texts.map((text, i) => [`${i + 1}_f`, i + 1, text] as const)),
    ],
  ])('of %s begin with a baseline where the database exists already', async (_, form) => {
    const { db, database } = await place('create table t (n int); create table u (n int)')
    const folder = await folderOf(
      form(['create table t (n int)', 'create table u (n int)', 'insert into t values (3)']),
    )
    const options = { folder, baseline: '2_f' }

    const status = await migrationStatus(db, options)
    expect(status.pending.map(({ file }) => file)).toEqual(['3_f'])
    expect(status.baselined.map(({ file }) => file)).toEqual(['1_f', '2_f'])
    const foreseen = await migrate(db, { ...options, dryRun: true })
    const report = await migrate(db, options)
    for (const each of [foreseen, report]) {
      expect(each.baselined.map(({ file }) => file)).toEqual(['1_f', '2_f'])
      expect(names(each)).toEqual(['3_f'])
    }
    expect(await database.query('select n from t')).toEqual([{ n: 3 }])
    expect(await migrate(db, options)).toMatchObject({ applied: [], baselined: [], upToDate: [{ schema: null }] })
    expect(await migrationStatus(db, { folder })).toMatchObject({ pending: [], drift: [] })
  })

  test('of Prisma Migrate may begin with 0_init; a folder without a time in its name is refused, not passed over', async () => {
    const { db, database } = await place('create table t (n int)')
    const folder = await folderOf({
      '0_init/migration.sql': 'create table t (n int)',
      '20240102030405_more/migration.sql': 'insert into t values (1)',
      'migration_lock.toml': 'provider = "postgresql"',
    })
    const report = await migrate(db, { folder, baseline: '0_init' })
    expect([report.baselined.map(({ file }) => file), names(report)]).toEqual([['0_init'], ['20240102030405_more']])
    expect(await database.query('select n from t')).toEqual([{ n: 1 }])
    expect(await migrationStatus(db, { folder })).toMatchObject({ pending: [], drift: [] })

    await write(folder, { 'late/migration.sql': 'insert into t values (2)' })
    const error = await caught(migrate(db, { folder }))
    expect([error.name, error.message]).toEqual(['MigrationError', expect.stringMatching(/late holds a migration/)])
  })

  test('take no baseline that the folder has not, or whose record has begun without it', async () => {
    const { db, database } = await place()
    const folder = await folderOf({ '1_a.sql': 'create table a (n int)', '3_c.sql': 'create table c (n int)' })
    const unknown = await caught(migrate(db, { folder, baseline: '2_b' }))
    expect([unknown.name, unknown.message]).toEqual(['MigrationError', expect.stringContaining('no migration 2_b')])
    expect(
      await database.query("select to_regclass('a')::text as a, to_regclass('genever_migrations')::text as record"),
    ).toEqual([{ a: null, record: null }])

    await migrate(db, { folder })
    await write(folder, { '2_b.sql': 'create table b (n int)' })
    const begun = await caught(migrate(db, { folder, baseline: '2_b' }))
    expect([begun.name, begun.outcome, begun.message]).toEqual([
      'MigrationError',
      'not_started',
      expect.stringContaining('this one has begun: 1_a, 3_c. It lacks 2_b'),
    ])
    expect(names(await migrate(db, { folder }))).toEqual(['2_b'])
  })

  test('are refused before anything is applied when they hold COMMIT, have no number, or are not there', async () => {
    const { db, database } = await place()

    for (const [files, message] of [
      [
        { '1.sql': 'create table a (n int); commit; create table b (n int)' },
        'contains transaction control such as BEGIN or COMMIT',
      ],
      [{ 'init.sql': 'create table a (n int)' }, 'has no number'],
      [{ '0001_a.sql': 'create table a (n int)', '0002_b.SQL': 'create table b (n int)' }, 'end its name in .sql'],
    ] as const)
      expect((await caught(migrate(db, { folder: await folderOf(files) }))).message).toContain(message)
    expect((await caught(migrate(db, { folder: '/nowhere' }))).message).toContain('cannot be read')
    expect((await caught(migrate(db, {} as never))).message).toContain('option folder')
    expect((await caught(migrate(db, { folder: 'x', dryrun: true } as never))).message).toContain('"dryrun"')
    expect(await database.query("select to_regclass('a')::text as a")).toEqual([{ a: null }])
  })

  test('are not run inside of a transaction', async () => {
    const { db } = await place()
    const folder = await folderOf({ '1.sql': 'create table t (n int)' })

    expect(await db.transaction(() => caught(migrate(db, { folder })))).toBeInstanceOf(TransactionStateError)
    expect(await db.scope(() => migrate(db, { folder }))).toMatchObject({ applied: [{ file: '1' }] })
  })

  test('are only looked at in a dry run and by migrationStatus', async () => {
    const { db, database } = await place()
    const folder = await folderOf({ '1.sql': 'create table t (n int)', '2.sql': 'create table u (n int)' })

    expect(await migrate(db, { folder, dryRun: true })).toMatchObject({
      applied: [
        { file: '1', statements: ['create table t (n int)'] },
        { file: '2', statements: ['create table u (n int)'] },
      ],
    })
    expect(await migrationStatus(db, { folder })).toEqual({
      pending: [
        { database: null, schema: null, file: '1' },
        { database: null, schema: null, file: '2' },
      ],
      upToDate: [],
      failed: [],
      baselined: [],
      drift: [],
    })
    expect(await database.query("select count(*)::int as n from pg_tables where schemaname = 'public'")).toEqual([
      { n: 0 },
    ])
  })

  test('tell their progress, and end by a signal between two statements', async () => {
    const { db, database } = await place()
    const folder = await folderOf({
      '1.sql': 'create table t (n int)',
      '2.sql': 'insert into t values (1); insert into t values (2)',
    })
    const controller = new AbortController()
    const seen: string[] = []
    const run = migrate(db, {
      folder,
      signal: controller.signal,
      onProgress: ({ file, statement, statements, done, total }) => {
        seen.push(`${file} ${statement}/${statements} ${done}/${total}`)
        if (file === '2') controller.abort(new RangeError('enough'))
      },
    })

    expect(await caught(run)).toBeInstanceOf(RangeError)
    expect(seen).toEqual(['1 1/1 0/2', '2 1/2 1/2'])
    expect(await database.query('select count(*)::int as n from t')).toEqual([{ n: 0 }])
  })

  const single = ['one connection', ...(wantedDrivers().includes('pglite') ? ['pglite://memory'] : [])]
  test.each(single)('run where there is no second connection: %s', async (url) => {
    const { database } = await place()
    await using db = createDb(url === 'one connection' ? database.url : url, { pool: { max: 1, ...pgliteStart } })
    const folder = await folderOf({
      '1.sql': 'create table t (n int)',
      '2.sql': 'create index concurrently t_n on t (n); insert into t values (1)',
    })

    expect(names(await migrate(db, { folder }))).toEqual(['1', '2'])
    expect(await db.scalar('select count(*) from t')).toBe(1)
    expect(await migrate(db, { folder })).toMatchObject({ upToDate: [{ database: null, schema: null }] })
  })
})

describe('folders of drizzle-kit', () => {
  const one = 'create table a (n int);\n--> statement-breakpoint\ncreate table b (n int);'
  const two = 'create table c (n int);'

  test('with a journal are recorded as Drizzle 0.x does, and its record is read', async () => {
    const { db, database } = await place()
    const folder = await folderOf(journal(['0000_one', 1_000, one], ['0001_two', 2_000, two]))
    await database.query(
      `create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
       create table a (n int); create table b (n int);
       insert into drizzle.__drizzle_migrations (hash, created_at) values ('${hash(one)}', 1000)`,
    )

    expect(names(await migrate(db, { folder }))).toEqual(['0001_two'])
    expect(
      await database.query('select hash, created_at::int as at from drizzle.__drizzle_migrations order by id'),
    ).toEqual([
      { hash: hash(one), at: 1_000 },
      { hash: hash(two), at: 2_000 },
    ])
  })

  test('of 1.0 are recorded by name; the record of 0.x is understood', async () => {
    const { db, database } = await place()
    const folder = await folderOf({
      '20260102030405_one/migration.sql': one,
      '20260102030405_one/snapshot.json': '{}',
      '20260102030406_two/migration.sql': two,
    })

    expect(names(await migrate(db, { folder }))).toEqual(['20260102030405_one', '20260102030406_two'])
    expect(await database.query('select name from drizzle.__drizzle_migrations order by id')).toEqual([
      { name: '20260102030405_one' },
      { name: '20260102030406_two' },
    ])
    await database.query('alter table drizzle.__drizzle_migrations drop column name, drop column applied_at')
    expect(await migrate(db, { folder })).toMatchObject({ upToDate: [{ database: null, schema: null }] })
  })

  test.each(['bigint', 'string'] as const)('are found in their record when 8-byte integers are a %s', async (int8) => {
    const { db, database } = await place(undefined, { int8 })
    const journaled = await folderOf(journal(['0000_one', 1_000, one], ['0001_two', 2_000, two]))
    expect(names(await migrate(db, { folder: journaled }))).toEqual(['0000_one', '0001_two'])
    expect(await migrate(db, { folder: journaled })).toMatchObject({ applied: [], drift: [] })
    await write(journaled, journal(['0001_two', 2_000, two]))
    expect((await migrationStatus(db, { folder: journaled })).drift).toMatchObject([
      { kind: 'missing', file: '1970-01-01T00:00:01.000Z' },
    ])

    await database.query('drop schema drizzle cascade; drop table a, b, c')
    const folder = await folderOf({ '20260102030405_one/migration.sql': one, '20260102030406_two/migration.sql': two })
    await migrate(db, { folder })
    await database.query('alter table drizzle.__drizzle_migrations drop column name, drop column applied_at')
    expect(await migrate(db, { folder })).toMatchObject({ applied: [], drift: [] })
  })

  test('are applied also when they were merged late, which is told', async () => {
    const { db } = await place()
    const folder = await folderOf(journal(['0000_one', 1_000, one], ['0002_three', 3_000, 'create table d (n int)']))
    await migrate(db, { folder })
    await write(
      folder,
      journal(['0000_one', 1_000, one], ['0001_two', 2_000, two], ['0002_three', 3_000, 'create table d (n int)']),
    )
    const report = await migrate(db, { folder })

    expect(names(report)).toEqual(['0001_two'])
    expect(report.drift).toEqual([{ database: null, schema: null, file: '0001_two', kind: 'out-of-order' }])
  })

  test('stop the run when an applied one has changed or is missing, unless that is allowed', async () => {
    const { db, database } = await place()
    const folder = await folderOf(journal(['0000_one', 1_000, one], ['0001_two', 2_000, two]))
    await migrate(db, { folder })
    const more = ['0002_three', 3_000, 'create table d (n int)'] as const
    await write(folder, journal(['0000_one', 1_000, `${one} -- changed`], more))
    const error = await caught(migrate(db, { folder }))

    expect(error.message).toContain('0000_one has changed since it was applied')
    expect(error.message).toContain('was applied and is not in the folder')
    expect(await database.query("select to_regclass('d')::text as d")).toEqual([{ d: null }])
    const report = await migrate(db, { folder, allow: ['changed', 'missing'] })
    expect(report.drift.map(({ kind }) => kind).toSorted()).toEqual(['changed', 'missing'])
    expect(names(report)).toEqual(['0002_three'])
  })
})

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

describe('schemas of tenants', () => {
  const made = 'create schema a; create schema b; create schema c; create schema other'
  const files = journal(
    [
      '0000_one',
      1,
      `CREATE TYPE "public"."mood" AS ENUM ('ok');--> statement-breakpoint\nCREATE TABLE "teams" ("id" int primary key, "mood" "public"."mood");`,
    ],
    [
      '0001_two',
      2,
      'CREATE TABLE "users" ("team" int, CONSTRAINT "fk" FOREIGN KEY ("team") REFERENCES "public"."teams"("id"));',
    ],
  )

  test('each have all files and a record of their own; what drizzle-kit put into public is the tenant’s', async () => {
    const { db, database } = await place(made)
    const folder = await folderOf(files)
    const report = await migrate(db, { folder, schemas: ['a', 'b'], concurrency: 2 })

    expect(report.applied.map(({ schema, file }) => `${schema} ${file}`).toSorted()).toEqual([
      'a 0000_one',
      'a 0001_two',
      'b 0000_one',
      'b 0001_two',
    ])
    expect(
      await database.query(
        "select conrelid::regclass::text as child, confrelid::regclass::text as parent from pg_constraint where contype = 'f' order by 1",
      ),
    ).toEqual([
      { child: 'a.users', parent: 'a.teams' },
      { child: 'b.users', parent: 'b.teams' },
    ])
    expect(
      await database.query("select schemaname as s from pg_tables where tablename = '__drizzle_migrations' order by 1"),
    ).toEqual([{ s: 'a' }, { s: 'b' }])
    expect(await migrate(db, { folder, schemas: /^[abc]$/ })).toMatchObject({
      upToDate: [{ schema: 'a' }, { schema: 'b' }],
    })
    expect(await migrationStatus(db, { folder, schemas: () => ['c', 'other'] })).toMatchObject({
      pending: [{ schema: 'other' }, { schema: 'other' }],
      upToDate: [{ schema: 'c' }],
    })
  })

  test('stop at the first that fails, or go on and report it', async () => {
    const { db } = await place(`${made}; create table b.users (n int)`)
    const folder = await folderOf(files)

    const error = await caught(migrate(db, { folder, schemas: ['a', 'b', 'c'] }))
    expect(error.message).toContain('In the schema "b": Migration 0001_two failed at statement 1 of 1')
    expect(
      (await migrationStatus(db, { folder, schemas: ['a', 'b', 'c'] })).pending.map(({ schema }) => schema),
    ).toEqual(['b', 'c', 'c'])
    const report = await migrate(db, { folder, schemas: ['b', 'c'], onError: 'continue' })
    expect(report.failed.map(({ schema }) => schema)).toEqual(['b'])
    expect(names(report)).toEqual(['0000_one', '0001_two'])
  })

  test('are refused by name where a search path would pass them over, or reach what is shared', async () => {
    const { db } = await place(`${made}; create table public.plans (id int primary key)`)
    const folder = await folderOf({ '1.sql': 'create table s (plan int references "public"."plans"(id))' })

    for (const [schema, message] of [
      ['nope', 'does not exist'],
      ['pg_catalog', "PostgreSQL's own"],
      ['x'.repeat(64), 'more than the 63'],
      ['public', 'belongs to all'],
    ] as const)
      expect((await caught(migrate(db, { folder, schemas: [schema] }))).message).toContain(message)
    expect((await caught(migrate(db, { folder, schemas: ['a'] }))).message).toContain('Name public in shared')
    expect(names(await migrate(db, { folder, schemas: ['a'], shared: ['public'] }))).toEqual(['1'])
  })
})

describe('databases of tenants', () => {
  const files = { '1.sql': 'create table t (n int)', '2.sql': 'create index concurrently t_n on t (n)' }

  test('each have all files and a record of their own; what was there is not touched', async () => {
    const { db, database } = await place()
    const tenants = [await freshDatabase(), await freshDatabase()]
    const folder = await folderOf(files)
    const report = await migrate(db, { folder, databases: tenants.map(({ url }) => url), concurrency: 2 })
    const named = tenants.map(({ url, name }) => `${new URL(url).host}/${name}`)

    expect(report.applied.map(({ database: at, file }) => `${at} ${file}`).toSorted()).toEqual(
      named.flatMap((name) => [`${name} 1`, `${name} 2`]).toSorted(),
    )
    expect(await migrationStatus(db, { folder, databases: () => [new URL(tenants[0]!.url)] })).toMatchObject({
      pending: [],
      upToDate: [{ database: named[0], schema: null }],
    })
    expect(await database.query("select to_regclass('t')::text as t")).toEqual([{ t: null }])
    for (const tenant of tenants) await tenant.drop()
  })

  test('stop at the first that fails, or go on and report it; schemas are looked for in each', async () => {
    const { db } = await place()
    const [one, two] = [await freshDatabase('create schema a; create schema b'), await freshDatabase('create schema a')]
    const folder = await folderOf(files)
    const missing = one.url.replace(/[^/]*$/, 'nowhere')
    const databases = [missing, one.url, two.url]

    expect((await caught(migrate(db, { folder, databases, schemas: /^[ab]$/ }))).code).toBe('GENEVER_CONNECT')
    const report = await migrate(db, { folder, databases, schemas: /^[ab]$/, onError: 'continue' })
    expect(report.failed).toMatchObject([{ database: expect.stringContaining('/nowhere'), schema: null }])
    expect(report.applied.map(({ schema }) => schema)).toEqual(['a', 'a', 'b', 'b', 'a', 'a'])
    expect(await migrationStatus(db, { folder, databases, schemas: ['a'], onError: 'continue' })).toMatchObject({
      failed: [{}],
      upToDate: [{ schema: 'a' }, { schema: 'a' }],
    })
    await one.drop()
    await two.drop()
  })
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

test('statements are told apart by the lexer, not by their semicolons', () => {
  expect(
    statementsOf(`
      select ';' as a; -- ; a comment
      create function f() returns int language plpgsql as $$ begin return 1; end; $$;
      ;
      create function g() returns int language sql begin atomic select case when true then 1 end; select 2; end;
      /* ; */ select 1
    `).map((text) => text.split('\n')[0]?.slice(0, 40)),
  ).toEqual(["select ';' as a", '-- ; a comment', 'create function g() returns int language', '/* ; */ select 1'])
})
