/** What a statement of Kysely does on Genever: where it runs, what comes back, what errors look like. */

import { pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { isGeneverError, SqlSyntaxError, TransactionStateError, UniqueViolationError, UsageError } from 'genever'
import { geneverDialect, kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { CamelCasePlugin, Kysely, sql, type LogEvent } from 'kysely'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'
import { people, type Tables } from './support.ts'

forEachDriver((driver) => {
  test('a select gives typed rows, with values as Genever decodes them', async () => {
    const { k, person } = await people(driver)
    await k
      .insertInto(person)
      .values({ name: 'Ann', age: 41, born_on: '1985-02-03', seen_at: new Date(0), extra: JSON.stringify({ a: [1] }) })
      .execute()

    const row = await k.selectFrom(person).selectAll().where('age', '>', 40).executeTakeFirstOrThrow()
    const { count } = await k
      .selectFrom(person)
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()

    expect(row).toEqual({
      id: 1,
      name: 'Ann',
      age: 41,
      born_on: '1985-02-03',
      seen_at: new Date(0),
      extra: { a: [1] },
    })
    expect(count).toBe(1)
  })

  test('the option into makes instances of the rows of a builder, by columns or by what a plug-in calls them', async () => {
    const { db, k, person } = await people(driver)
    const table = pgTable(person, { id: serial().primaryKey(), name: text().notNull(), seenAt: timestamp('seen_at') })
    class Person extends Model(db, table) {}
    const camel = new Kysely<Tables>({ dialect: geneverDialect(db), plugins: [new CamelCasePlugin()] })
    await k
      .insertInto(person)
      .values({ name: 'Ann', seen_at: new Date(0) })
      .execute()

    const [ann] = await db.all(k.selectFrom(person).selectAll(), { into: Person })
    const again = await db.one(camel.selectFrom(person).selectAll(), { into: Person })

    expect(ann).toBeInstanceOf(Person)
    expect(ann?.toJSON()).toEqual({ id: 1, name: 'Ann', seenAt: new Date(0) })
    expect(again).toEqual(ann)
    expect(await db.first(k.selectFrom(person).select('name'), { into: (row: { name: string }) => row.name })).toBe(
      'Ann',
    )
    expect(await caught(db.all(k.selectFrom(person).select('name'), { into: Person }))).toBeInstanceOf(UsageError)
  })

  test('counts are given for insert, update, delete and merge, and an insertId for none', async () => {
    const { k, person } = await people(driver)

    const inserted = await k
      .insertInto(person)
      .values([{ name: 'Ann' }, { name: 'Bob' }])
      .executeTakeFirstOrThrow()
    const updated = await k.updateTable(person).set({ age: 1 }).executeTakeFirstOrThrow()
    const merged = await k
      .mergeInto(person)
      .using(sql<{ name: string }>`(values ('Ann'))`.as<'v'>(sql`v(name)`), (join) =>
        join.onRef(sql<string>`v.name`, '=', `${person}.name`),
      )
      .whenMatched()
      .thenUpdateSet({ age: 2 })
      .executeTakeFirstOrThrow()
    const deleted = await k.deleteFrom(person).where('age', '=', 9).executeTakeFirstOrThrow()
    const raw = await sql`select 1 as one`.execute(k)

    expect(inserted.numInsertedOrUpdatedRows).toBe(2n)
    expect(inserted.insertId).toBeUndefined()
    expect(updated.numUpdatedRows).toBe(2n)
    expect(merged.numChangedRows).toBe(1n)
    expect(deleted.numDeletedRows).toBe(0n)
    expect(raw).toEqual({ rows: [{ one: 1 }] })
  })

  test('returning gives the rows', async () => {
    const { k, person } = await people(driver)

    expect(await k.insertInto(person).values({ name: 'Ann' }).returning(['id', 'name']).execute()).toEqual([
      { id: 1, name: 'Ann' },
    ])
  })

  test('errors are those of Genever, unwrapped, with the line of the caller', async () => {
    const { k, person } = await people(driver)
    await k.insertInto(person).values({ name: 'Ann' }).execute()

    const error = await caught(insertAgain())

    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(isGeneverError(error, 'UNIQUE_VIOLATION')).toBe(true)
    expect(error.stack).toContain('insertAgain')
    expect(await caught(sql`selec 1`.execute(k))).toBeInstanceOf(SqlSyntaxError)

    async function insertAgain(): Promise<unknown> {
      const row = await k.insertInto(person).values({ name: 'Ann' }).returningAll().executeTakeFirstOrThrow()
      return row
    }
  })

  test('nothing is borrowed before the first statement, and everything is given back after it', async () => {
    const { db, k, person } = await people(driver)
    const quiet = doing(db)
    const query = k.selectFrom(person).selectAll()
    query.compile()

    expect(doing(db)).toBe(quiet)
    await query.execute()
    expect(doing(db)).toMatch(/^0 lent/)
  })

  test('in a scope statements share its connection with plain Genever', async () => {
    const { db, k } = await people(driver)

    const pids = await db.scope(async () => [
      await pid(db),
      await pidOf(k),
      await pidOf(new Kysely<Tables>({ dialect: geneverDialect(db) })),
    ])

    expect(new Set(pids).size).toBe(1)
  })

  test('a connection or a transaction given as the source runs all statements', async () => {
    const { db, person, names } = await people(driver)
    const connection = await db.acquire()
    const k = kysely<Tables>(connection)
    expect(await pidOf(k)).toBe(await pid(connection))

    const tx = await connection.begin()
    await kysely<Tables>(tx).insertInto(person).values({ name: 'Ann' }).execute()
    await new Kysely<Tables>({ dialect: geneverDialect(tx) }).insertInto(person).values({ name: 'Bob' }).execute()
    await tx.rollback()
    await connection.release()

    expect(await names()).toEqual([])
  })

  test('a statement that would change a session nobody holds, or begin a transaction, is refused', async () => {
    const { k } = await people(driver)
    const plain = new Kysely<Tables>({ dialect: geneverDialect((await people(driver)).db) })

    expect(await caught(sql`set timezone = 'UTC'`.execute(k))).toBeInstanceOf(UsageError)
    for (const text of [sql`begin`, sql`commit`, sql`savepoint a`]) {
      expect(await caught(text.execute(k))).toBeInstanceOf(TransactionStateError)
      expect(await caught(text.execute(plain))).toBeInstanceOf(TransactionStateError)
    }
  })

  test('connection() keeps one connection for its callback, and plain Genever inside uses it too', async () => {
    const { db, k } = await people(driver)

    const pids = await k.connection().execute(async (c) => {
      await sql`set application_name = 'kept'`.execute(c)
      const { rows } = await sql<{ name: string }>`select current_setting('application_name') as name`.execute(c)
      expect(rows).toEqual([{ name: 'kept' }])
      return [await pidOf(c), await pidOf(k), await pid(db)]
    })

    expect(new Set(pids).size).toBe(1)
    expect(doing(db)).toMatch(/^0 lent/)
  })

  test('a Kysely from connection() is refused after its callback', async () => {
    const { k, person } = await people(driver)
    const kept = await k.connection().execute(async (c) => c)

    expect(isGeneverError(await caught(kept.selectFrom(person).selectAll().execute()), 'RELEASED_CONNECTION')).toBe(
      true,
    )
  })

  test('the dialect alone keeps one connection for connection() as well', async () => {
    const { db } = await people(driver)
    const k = new Kysely<Tables>({ dialect: geneverDialect(db) })

    const pids = await k.connection().execute(async (c) => {
      await sql`set application_name = 'kept'`.execute(c)
      const { rows } = await sql<{ name: string }>`select current_setting('application_name') as name`.execute(c)
      expect(rows).toEqual([{ name: 'kept' }])
      return [await pidOf(c), await pidOf(c)]
    })

    expect(new Set(pids).size).toBe(1)
    expect(doing(db)).toMatch(/^0 lent/)
  })

  test('connection() of a Kysely on a connection or a transaction stays there', async () => {
    const { db, person, names } = await people(driver)
    const connection = await db.acquire()
    const tx = await connection.begin()

    await kysely<Tables>(tx)
      .connection()
      .execute((c) => c.insertInto(person).values({ name: 'Ann' }).execute())
    await kysely<Tables>(tx)
      .transaction()
      .execute((trx) => trx.insertInto(person).values({ name: 'Bob' }).execute())
    await tx.rollback()
    await kysely<Tables>(connection)
      .connection()
      .execute(async (c) => expect(await pidOf(c)).toBe(await pid(connection)))
    await connection.release()

    expect(await names()).toEqual([])
  })

  test('with the dialect alone a session is clean again after each statement', async () => {
    const { db } = await people(driver, { pool: { max: 1 } })
    const k = new Kysely<Tables>({ dialect: geneverDialect(db) })
    await sql`set application_name = 'left'`.execute(k)

    expect(await db.scalar('show application_name')).not.toBe('left')
  })

  test('destroy() leaves the database open', async () => {
    const { db, k } = await people(driver)
    await sql`select 1`.execute(k)
    await k.destroy()

    expect(await db.scalar('select 1')).toBe(1)
  })

  test('names of statements are left to the engine, which prepares a text once', async () => {
    const { db, k, person } = await people(driver)

    await db.scope(async () => {
      const query = (age: number): Promise<unknown> => k.selectFrom(person).selectAll().where('age', '=', age).execute()
      for (let age = 0; age < 9; age++) await query(age)
      const prepared = await db.all(
        'select name from pg_prepared_statements where statement like $1 and statement like $2',
        [`%${person}%`, '%"age" =%'],
      )
      expect(prepared).toEqual([{ name: expect.stringMatching(/^(?:c\d+_)?g\d+$/) }])
    })
  })

  test('introspection sees the tables', async () => {
    const { k, person } = await people(driver)

    const tables = await k.introspection.getTables()
    const found = tables.find(({ name }) => name === person)

    expect(found?.columns.map(({ name }) => name)).toEqual(['id', 'name', 'age', 'born_on', 'seen_at', 'extra'])
  })

  test('plug-ins change queries and results, also in transactions and connections', async () => {
    const { db, person } = await people(driver)
    const k = kysely<{ person: { name: string; bornOn: string | null } }>(db, { plugins: [new CamelCasePlugin()] })
    await k.insertInto(person).values({ name: 'Ann', bornOn: '1985-02-03' }).execute()
    const query = (on: typeof k): Promise<unknown> => on.selectFrom(person).select('bornOn').execute()
    const rows = [{ bornOn: '1985-02-03' }]

    expect(await query(k)).toEqual(rows)
    expect(await k.transaction().execute(query)).toEqual(rows)
    expect(await k.connection().execute(query)).toEqual(rows)
    expect(await k.connection().execute((c) => c.transaction().execute(query))).toEqual(rows)
    expect(
      await query(kysely<{ person: { name: string; bornOn: string | null } }>(db).withPlugin(new CamelCasePlugin())),
    ).toEqual(rows)
  })

  test('withSchema reaches transactions', async () => {
    const { k, person } = await people(driver)
    const inPublic = k.withSchema('public')

    expect(inPublic.selectFrom(person).selectAll().compile().sql).toBe(`select * from "public"."${person}"`)
    await inPublic.transaction().execute(async (trx) => {
      expect(trx.selectFrom(person).selectAll().compile().sql).toBe(`select * from "public"."${person}"`)
      await trx.selectFrom(person).selectAll().execute()
    })
  })

  test('the log of Kysely has statements of transactions too', async () => {
    const { db, person } = await people(driver)
    const events: LogEvent[] = []
    const k = kysely<Tables>(db, { log: (event) => void events.push(event) })

    await k.transaction().execute((trx) => trx.selectFrom(person).selectAll().execute())
    await caught(sql`selec 1`.execute(k))

    expect(events.map(({ level, query }) => [level, query.sql])).toEqual([
      ['query', `select * from "${person}"`],
      ['error', 'selec 1'],
    ])
  })
})

async function pidOf(k: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(k)
  return rows[0]?.pid ?? 0
}
