/** Builders on a real MySQL or MariaDB: Kysely in its own words; what writes for PostgreSQL is refused before anything is sent. */

import { createDb, type Db } from 'genever'
import { kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { createAll } from 'genever/schema'
import { sandboxed } from 'genever/testing'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { type Generated, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { quiet } from '../support/matrix.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

interface Tables {
  readonly users: { readonly id: Generated<number>; readonly name: string }
}

describeMysql('builders on MySQL', () => {
  let server: FreshMysql
  let db: Db
  onFreshMysql(
    ['create table users (id int primary key auto_increment, name varchar(40))'],
    (made) => void ({ server, db } = made),
  )

  test('Kysely writes for MySQL also before the database is open, and joins the transaction around', async () => {
    await using lazy = createDb(server.url)
    const q = kysely<Tables>(lazy)
    const added = await q.insertInto('users').values({ name: 'Ada' }).executeTakeFirstOrThrow()
    expect(Number(added.insertId)).toBeGreaterThan(0)
    await caught(
      lazy.transaction(async () => {
        await q.insertInto('users').values({ name: 'Bob' }).execute()
        throw new Error('no')
      }),
    )

    expect(await q.selectFrom('users').select('name').execute()).toEqual([{ name: 'Ada' }])
    const renamed = await q.updateTable('users').set({ name: 'Eve' }).executeTakeFirstOrThrow()
    expect(renamed.numUpdatedRows).toBe(1n)
    const all = await lazy.all(q.selectFrom('users').selectAll().where('name', '=', 'Eve'))
    expect(all).toHaveLength(1)
    const { rows } = await sql<{ one: number }>`select ${1} as one`.execute(q)
    expect(rows).toEqual([{ one: 1 }])
  })

  test("Kysely's Migrator goes up and down, also several at once; DDL in a transaction or a sandbox is refused", async () => {
    const step = (table: string): Migration => ({
      up: (k) => k.schema.createTable(table).addColumn('id', 'integer').execute(),
      down: (k) => k.schema.dropTable(table).execute(),
    })
    const provider = { getMigrations: async () => ({ one: step('one'), two: step('two') }) }
    const run = async (move: 'migrateToLatest' | 'migrateDown' = 'migrateToLatest'): Promise<number | undefined> => {
      const { error, results } = await new Migrator({ db: kysely<unknown>(db), provider })[move]()
      if (error instanceof Error) throw error
      return results?.length
    }
    const made = async (): Promise<number> =>
      (await server.query(`show tables where Tables_in_${server.name} in ('one', 'two')`)).length

    expect((await caught(db.transaction(() => run()))).message).toContain('commits the transaction around it on MySQL')
    expect((await caught(sandboxed(db, () => run()))).message).toContain('a sandbox could not take it back')
    expect(await made()).toBe(0)
    expect([await run(), await made()]).toEqual([2, 2])
    expect([await run('migrateDown'), await made()]).toEqual([1, 1])
    const several = await Promise.all([run(), run(), run()])
    expect([several.toSorted(), await made()]).toEqual([[0, 0, 1], 2])
    // Nothing is to be done: a sandbox takes it.
    expect(await sandboxed(db, () => run())).toBe(0)
    await quiet(db)
  })

  test('the answer of an INSERT has the first number that it made', async () => {
    const { insertId } = await db.status('insert into users (name) values (?), (?)', ['a', 'b'])
    const { insertId: next } = await db.status('insert into users (name) values (?)', ['c'])

    expect(Number(next) - Number(insertId)).toBe(2)
    expect((await db.status('delete from users')).insertId).toBeUndefined()
  })

  test.each<readonly [string, () => Promise<unknown>]>([
    ['a model', () => modelled().get(1)],
    ['a query of a model', () => modelled().where({ id: 1 }).all()],
    ['a new instance', () => modelled().create({ id: 1 })],
    ['createAll()', () => createAll(db, { things })],
  ])('%s is refused by name before anything is sent', async (_, use) => {
    const error = await caught(use())

    expect(error.name).toBe('UsageError')
    expect(error.message).toContain('MySQL')
  })

  const things = pgTable('things', { id: integer().primaryKey() })
  const modelled = () => class Thing extends Model(db, things) {}
})
