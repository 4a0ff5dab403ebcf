/** Migrations of PostgreSQL: folders of numbered files and of drizzle-kit, each file applied once, in its order. */

import { createHash } from 'node:crypto'
import { createDb, MigrationError, TransactionStateError } from 'genever'
import { migrate, type MigrateReport, migrationStatus } from 'genever/migrations'
import { describe, expect, test } from 'vitest'
import { statementsOf } from '../../src/postgres/lexer.ts'
import { caught } from '../support/caught.ts'
import { wantedDrivers } from '../support/extent.ts'
import { type Files, folderOf, journalFor, type JournalEntry, place, write } from '../support/migration-folders.ts'
import { pgliteStart } from '../support/patience.ts'

const journal = (...entries: readonly JournalEntry[]): Files => journalFor('postgresql', entries)

const names = ({ applied }: MigrateReport): string[] => applied.map(({ file }) => file)
const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

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
