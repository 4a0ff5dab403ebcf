/** Columns and tables that are declared for another database: they are refused by name wherever a model takes SQL, before anything is sent. */

import { desc, eq, exists, inArray, max, or, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { int, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { integer, pgTable, pgView, text } from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import { ambient } from 'genever/drizzle'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

const users = mysqlTable('users', { id: int().autoincrement().primaryKey(), name: varchar({ length: 40 }) })
const pgUsers = pgTable('users', { id: integer().primaryKey(), name: text() })
const pgNames = pgView('names', { name: text() }).as(sql`select name from users`)

describeMysql('what is declared for PostgreSQL', () => {
  let server: FreshMysql
  let db: Db
  onFreshMysql(
    [
      'create table users (id int primary key auto_increment, name varchar(40))',
      "insert into users (name) values ('Ada')",
    ],
    (made) => void ({ server, db } = made),
  )

  const modelled = () => class User extends Model(db, users) {}

  test.each<readonly [string, () => PromiseLike<unknown>]>([
    ['a condition', () => modelled().where(eq(pgUsers.id, 1)).all()],
    [
      'one of two conditions',
      () =>
        modelled()
          .where(or(eq(users.id, 1), eq(pgUsers.id, 1)))
          .all(),
    ],
    [
      'a list',
      () =>
        modelled()
          .where(inArray(pgUsers.id, [1, 2]))
          .all(),
    ],
    [
      'a table in a text',
      () =>
        modelled()
          .where(sql`exists (select 1 from ${pgUsers})`)
          .all(),
    ],
    [
      'a view in a text',
      () =>
        modelled()
          .where(sql`exists (select 1 from ${pgNames})`)
          .all(),
    ],
    ['an order', () => modelled().where({ id: 1 }).orderBy(desc(pgUsers.name)).all()],
    ['a delete', () => modelled().delete().where(eq(pgUsers.id, 1))],
    [
      'an update',
      () =>
        modelled()
          .update({ name: sql`upper(${pgUsers.name})` })
          .where({ id: 1 }),
    ],
    ['a new instance', () => modelled().create({ name: sql`(select max(name) from ${pgUsers})` })],
    [
      'a subquery',
      () => {
        const q = ambient(db, (client) => drizzle({ client }))
        const inside = q
          .select({ most: max(users.id) })
          .from(users)
          .where(eq(pgUsers.id, 1))
        return modelled().where(exists(inside)).all()
      },
    ],
  ])('%s with it is refused by name', async (_, use) => {
    const error = await caught(Promise.resolve().then(use))

    expect(error.name).toBe('UsageError')
    expect(error.message).toContain('declared for PostgreSQL')
    expect(await server.query('select name from users')).toEqual([{ name: 'Ada' }])
  })

  test('the same for MySQL is taken', async () => {
    const found = await modelled()
      .where(exists(sql`(select 1 from ${users} where ${inArray(users.id, [1, 2])})`))
      .orderBy(desc(users.name))
      .all()

    expect(found.map(({ name }) => name)).toEqual(['Ada'])
  })
})
