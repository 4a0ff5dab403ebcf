/** Drizzle's builders on MySQL: on the ambient connection and in the transaction around, with the results that they have on mysql2 itself. */

import { eq, gt, sql, TransactionRollbackError } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  date,
  datetime,
  decimal,
  double,
  float,
  int,
  json,
  mysqlTable,
  time,
  timestamp,
  varbinary,
  varchar,
} from 'drizzle-orm/mysql-core'
import { drizzle as mysqlProxy } from 'drizzle-orm/mysql-proxy'
import { drizzle, type MySql2Database } from 'drizzle-orm/mysql2'
import { migrate } from 'drizzle-orm/mysql2/migrator'
import { drizzle as nodePg } from 'drizzle-orm/node-postgres'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { drizzle as singlestoreProxy } from 'drizzle-orm/singlestore-proxy'
import { drizzle as sqliteProxy } from 'drizzle-orm/sqlite-proxy'
import { npmVersion } from 'drizzle-orm/version'
import { createDb, type Db, UniqueViolationError, UsageError } from 'genever'
import { ambient } from 'genever/drizzle'
import { migrate as migrateOurs } from 'genever/migrations'
import { sandboxed } from 'genever/testing'
import { createPool, type Pool } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type Files, folderOf, journalFor } from '../support/migration-folders.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'

const people = mysqlTable('people', {
  id: int().autoincrement().primaryKey(),
  name: varchar({ length: 40 }).notNull().unique(),
})
const notes = mysqlTable('notes', {
  id: int().autoincrement().primaryKey(),
  personId: int('person_id').references(() => people.id),
  text: varchar({ length: 40 }).notNull(),
})
const bytes = customType<{ data: Buffer }>({ dataType: () => 'varbinary(20)' })
const values = mysqlTable('vals', {
  id: int().autoincrement().primaryKey(),
  exact: bigint({ mode: 'bigint', unsigned: true }),
  big: bigint({ mode: 'number' }),
  money: decimal({ precision: 30, scale: 10 }),
  yes: boolean(),
  at: datetime({ fsp: 3 }),
  micros: datetime('micros', { mode: 'string', fsp: 6 }),
  stamp: timestamp({ fsp: 3 }),
  day: date(),
  dayText: date('day_text', { mode: 'string' }),
  clock: time(),
  real: double(),
  small: float(),
  data: json(),
  code: varbinary({ length: 20 }),
  raw: bytes(),
})
const is1 = npmVersion.startsWith('1.')
const elsewhere = pgTable('people', { id: integer().primaryKey() })

const ddl = [
  'create table people (id int primary key auto_increment, name varchar(40) not null unique)',
  'create table notes (id int primary key auto_increment, person_id int references people (id), text varchar(40) not null)',
  `create table vals (id int primary key auto_increment, exact bigint unsigned, big bigint, money decimal(30, 10), yes boolean,
     at datetime(3), micros datetime(6), stamp timestamp(3) null, day date, day_text date, clock time, \`real\` double, small float,
     data json, code varbinary(20), raw varbinary(20))`,
]

describeMysql('Drizzle on MySQL', () => {
  let server: FreshMysql
  let db: Db
  let q: MySql2Database
  let pool: Pool
  let theirs: MySql2Database
  beforeAll(async () => {
    server = await freshMysql(...ddl)
    db = createDb(server.url)
    q = ambient(db, (client) => drizzle({ client }))
    const { hostname, port, username, password, pathname } = new URL(server.url)
    pool = createPool({
      host: hostname,
      port: Number(port || 3306),
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: pathname.slice(1),
      timezone: 'Z',
      supportBigNumbers: true,
    })
    // The session of a pool has the time zone of the server.
    pool.on('connection', (connection) => void connection.query("set time_zone = '+00:00'"))
    theirs = drizzle({ client: pool })
  })
  beforeEach(async () => {
    for (const table of ['notes', 'vals', 'people']) await server.query(`delete from ${table}`)
  })
  afterAll(async () => {
    await db.close()
    await pool.end()
    await server[Symbol.asyncDispose]()
  })

  const names = async (): Promise<unknown[]> =>
    (await server.query('select name from people order by id')).map((row) => row['name'])

  test('builders insert, select, update and delete, with the answers of mysql2', async () => {
    const [made] = await q.insert(people).values([{ name: 'Ada' }, { name: 'Bob' }])
    expect(made).toMatchObject({ affectedRows: 2, insertId: expect.any(Number) as number })
    const [ada] = await q.select().from(people).where(eq(people.name, 'Ada'))
    expect(ada).toEqual({ id: made.insertId, name: 'Ada' })
    const [renamed] = await q.update(people).set({ name: 'Eve' }).where(eq(people.id, made.insertId))
    expect(renamed.affectedRows).toBe(1)
    await q.insert(notes).values({ personId: made.insertId, text: 'first' })
    const joined = await q.select().from(people).leftJoin(notes, eq(notes.personId, people.id)).orderBy(people.id)
    expect(joined).toEqual(
      await theirs.select().from(people).leftJoin(notes, eq(notes.personId, people.id)).orderBy(people.id),
    )
    expect(joined[1]).toEqual({ people: { id: made.insertId + 1, name: 'Bob' }, notes: null })
    expect(await q.$count(people)).toBe(2)

    expect((await q.delete(people).where(gt(people.id, made.insertId)))[0].affectedRows).toBe(1)
    expect(await names()).toEqual(['Eve'])
  })

  test('ids that the database gave come back by $returningId', async () => {
    const ids = await q
      .insert(people)
      .values([{ name: 'a' }, { name: 'b' }])
      .$returningId()
    const rows = await q.select({ id: people.id }).from(people).orderBy(people.id)

    expect(ids).toEqual(rows)
    const error = await caught(db.all(q.insert(people).values({ name: 'c' }).$returningId() as never))
    expect(error.message).toContain('$returningId()')
    expect(await names()).toEqual(['a', 'b'])
  })

  test('values come as on mysql2, and exact', async () => {
    const row = {
      exact: 18446744073709551615n,
      big: 9007199254740991,
      money: '12345678901234567890.1234567890',
      yes: true,
      at: new Date('2026-02-28T23:59:59.123Z'),
      micros: '2026-02-28 23:59:59.123456',
      stamp: new Date('2026-03-01T00:00:00.001Z'),
      day: new Date('2026-03-01T00:00:00Z'),
      dayText: '2026-03-02',
      clock: '-12:30:00',
      real: 0.1,
      small: 0.5,
      data: { list: [1, 'ü', null], text: 'x' },
      code: 'abc',
      raw: Buffer.from([0, 255]),
    }
    const nothing = Object.fromEntries(Object.keys(row).map((key) => [key, null]))
    await q.insert(values).values([row, nothing])
    const [first, second] = await q.select().from(values).orderBy(values.id)

    expect(first).toEqual({ ...row, id: first?.id })
    expect(second).toEqual({ ...nothing, id: second?.id })
    expect(await theirs.select().from(values).orderBy(values.id)).toEqual([first, second])
    expect(await db.all(q.select().from(values).orderBy(values.id))).toEqual([first, second])
    expect(await q.select({ id: values.id }).from(values).where(eq(values.at, row.at))).toEqual([{ id: first?.id }])
  })

  test('a statement joins the transaction around, and one of Drizzle is a transaction of the database', async () => {
    await caught(
      db.transaction(async () => {
        await q.insert(people).values({ name: 'lost' })
        throw new Error('no')
      }),
    )
    await q.transaction(async (tx) => {
      await tx.insert(people).values({ name: 'kept' })
      await db.status('insert into people (name) values (?)', ['beside'])
      const error = await caught(
        tx.transaction(async (inner) => {
          await inner.insert(people).values({ name: 'inner' })
          inner.rollback()
        }),
      )
      expect(error).toBeInstanceOf(TransactionRollbackError)
    })

    expect(await names()).toEqual(['kept', 'beside'])
  })

  test('a level and a mode of a transaction hold, and a snapshot is refused by name', async () => {
    const readOnly = await caught(
      q.transaction((tx) => tx.insert(people).values({ name: 'x' }), {
        isolationLevel: 'read committed',
        accessMode: 'read only',
      }),
    )
    const snapshot = await caught(
      q.transaction((tx) => tx.select().from(people), { withConsistentSnapshot: true } as never),
    )

    expect(readOnly.name).toBe('ReadOnlyError')
    expect(snapshot.name).toBe('UsageError')
    expect(snapshot.message).toContain('withConsistentSnapshot')
  })

  test('what was built in a transaction does not run behind its end', async () => {
    let built: PromiseLike<unknown> | undefined
    await q.transaction(async (tx) => {
      built = tx.select().from(people)
      await tx.select().from(people)
    })

    expect((await caught(built as Promise<unknown>)).name).toBe('TransactionEndedError')
  })

  test('errors are those of the database, with the constraint', async () => {
    await q.insert(people).values({ name: 'Ada' })
    const error = await caught(
      q
        .insert(people)
        .values({ name: 'Ada' })
        .then(() => undefined),
    )

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect((error as UniqueViolationError).errno).toBe(1062)
  })

  test('every method of the database takes its builders, and its SQL', async () => {
    await q.insert(people).values([{ name: 'Ada' }, { name: 'Bob' }])
    const byName = (name: string): ReturnType<typeof q.select> =>
      q.select().from(people).where(eq(people.name, name)) as never

    expect(await db.one(byName('Ada') as never)).toMatchObject({ name: 'Ada' })
    expect(await db.scalar(q.select({ name: people.name }).from(people).orderBy(people.id) as never)).toBe('Ada')
    expect((await db.status(q.update(people).set({ name: 'Eve' }).where(eq(people.name, 'Bob')))).rowCount).toBe(1)
    const read: unknown[] = []
    for await (const { name } of db.iterate(q.select().from(people).orderBy(people.id))) read.push(name)
    expect(read).toEqual(['Ada', 'Eve'])
    const baked = db.bake((p: { name: string }) => q.select().from(people).where(eq(people.name, p.name)))
    expect(await baked.all({ name: 'Eve' })).toMatchObject([{ name: 'Eve' }])
    const own = db.bake(
      q
        .select()
        .from(people)
        .where(eq(people.name, sql.placeholder('name'))),
    )
    expect(await own.all({ name: 'Ada' })).toMatchObject([{ name: 'Ada' }])
    expect(await db.all(sql`select ${people.name} as name from ${people} where ${eq(people.name, 'Ada')}`)).toEqual([
      { name: 'Ada' },
    ])
    const within = db.sql`select name from ${people} where ${eq(people.name, 'Eve')} and exists (${q.select().from(people)})`
    expect(await db.all(within)).toEqual([{ name: 'Eve' }])
    const [rows] = await q.execute(sql`select ${1} as one, count(*) as n from ${people}`)
    expect(rows).toEqual([{ one: 1, n: 2 }])
  })

  test('migrate() of Drizzle is refused with its first file: DDL would end its transaction, or that around it, or the sandbox', async () => {
    const tag = '20260101000000_other'
    const files: Files = is1
      ? { [`${tag}/migration.sql`]: 'create table other (id int)' }
      : journalFor('mysql', [[tag, Date.UTC(2026, 0, 1), 'create table other (id int)']])
    const migrationsFolder = await folderOf(files)
    const run = (): Promise<unknown> => migrate(q, { migrationsFolder })
    const errors = [
      await caught(db.transaction(run)),
      await caught(sandboxed(db, run)),
      await caught(run()),
      await caught(db.scope(run)),
    ]

    expect(errors.map(({ name }) => name)).toEqual(Array.from({ length: 4 }, () => 'TransactionStateError'))
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('commits the transaction around it on MySQL'),
      expect.stringContaining('a sandbox could not take it back'),
      expect.stringContaining('commits the transaction around it on MySQL'),
      expect.stringContaining('commits the transaction around it on MySQL'),
    ])
    expect(await server.query("show tables like 'other'")).toEqual([])
    // Drizzle has made its table of records before its transaction.
    expect(await server.query('select * from __drizzle_migrations')).toEqual([])
    await migrateOurs(db, { folder: migrationsFolder })
    expect(await server.query("show tables like 'other'")).toHaveLength(1)
    await run()
  })

  test('a Drizzle that speaks to MySQL by another entry, or to another database, is refused by name', async () => {
    const entries: readonly (readonly [drizzle: (client: never) => object, says: RegExp])[] = [
      [mysqlProxy, /entry drizzle-orm\/mysql2: the other entries .* class MySqlRemoteSession/],
      [singlestoreProxy, /for another database \(.* class SingleStoreRemoteSession\)/],
      [sqliteProxy, /for another database \(.* class SQLiteRemoteSession\)/],
    ]
    for (const [other, says] of entries) {
      const error = await caught((async () => ambient(db, (client) => other(client as never)))())
      expect([error.constructor, error.message]).toEqual([UsageError, expect.stringMatching(says)])
    }
  })

  test('iterator() of Drizzle is refused by name', async () => {
    const iterate = async (): Promise<void> => {
      for await (const each of q.select().from(people).iterator()) void each
    }

    expect((await caught(iterate())).message).toContain('db.iterate(query)')
  })

  test.each<readonly [string, () => Promise<unknown>]>([
    [
      'a builder of another database',
      () =>
        nodePgOn()
          .select()
          .from(elsewhere)
          .then(() => undefined),
    ],
    ['a builder of another database, given to all()', () => db.all(nodePgOn().select().from(elsewhere))],
    ['a table in SQL', () => db.all(sql`select * from ${elsewhere}`)],
    ['a column in SQL', () => db.all(sql`select ${elsewhere.id} from people`)],
    ['a condition in db.sql', async () => db.all(db.sql`select * from people where ${eq(elsewhere.id, 1)}`)],
    ['a table in db.sql', async () => db.all(db.sql`select * from ${elsewhere}`)],
  ])('%s is refused before anything is sent', async (_, use) => {
    const error = await caught(Promise.resolve().then(use))

    expect(error.name).toBe('UsageError')
    expect(error.message).toContain('MySQL')
  })

  const nodePgOn = () => ambient(db, (client) => nodePg({ client }))
})
