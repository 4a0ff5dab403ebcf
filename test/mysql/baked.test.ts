/** Baked statements on MySQL: texts, SQL of the tag, builders and queries of models, prepared when a connection opens. */

import { eq, sql as drizzleSql } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { createDb, ParameterError, sql } from 'genever'
import 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql } from '../support/mysql.ts'

const users = d.mysqlTable('users', {
  id: d.int().autoincrement().primaryKey(),
  name: d.varchar({ length: 40 }),
  seen: d.datetime(),
})
const ddl = [
  'create table users (id int primary key auto_increment, name varchar(40), seen datetime)',
  "insert into users (name, seen) values ('Ada', '2026-01-02 03:04:05'), ('Bob', null)",
]

describeMysql('baked statements on MySQL', () => {
  test('a text, SQL of the tag, a builder and a query of a model run with values', async () => {
    await using server = await freshMysql(...ddl)
    await using db = createDb(server.url)
    class User extends Model(db, users) {}
    const text = db.bake<{ name: string }, { id: number }>('select name from users where id = :id or id = :id')
    const tagged = db.bake((p: { id: number }) => sql<{ name: string }>`select name from users where id = ${p.id}`)
    const k = kysely<{ users: { id: number; name: string } }>(db)
    const built = db.bake((p: { id: number }) => k.selectFrom('users').select('name').where('id', '=', p.id))
    const bare = db.bake(
      drizzleSql`select ${users.name} as name from ${users} where ${eq(users.id, drizzleSql.placeholder('id'))}`,
    )
    const modelled = db.bake((p: { id: number }) => User.where(eq(users.id, p.id as never)))

    for (const baked of [text, tagged, built, bare]) expect(await baked.all({ id: 1 })).toEqual([{ name: 'Ada' }])
    const [ada] = await modelled.all({ id: 1 })
    expect(ada).toBeInstanceOf(User)
    expect(ada).toMatchObject({ id: 1, name: 'Ada', seen: new Date('2026-01-02T03:04:05Z') })
    expect(await modelled.first({ id: 7 })).toBeUndefined()
    expect(await caught(tagged.all({} as never))).toBeInstanceOf(ParameterError)
    await db.transaction(async (tx) => {
      expect(await tx.scalar(tagged.bind({ id: 2 }))).toBe('Bob')
    })
  })

  test('many sets of values are all or nothing', async () => {
    await using server = await freshMysql(...ddl)
    await using db = createDb(server.url)
    const insert = 'insert into users (id, name) values (:id, :name)'

    expect(
      (
        await db.executeMany(insert, [
          { id: 3, name: 'c' },
          { id: 4, name: 'd' },
        ])
      ).rowCount,
    ).toBe(2)
    const error = await caught(
      db.executeMany(insert, [
        { id: 5, name: 'e' },
        { id: 4, name: 'x' },
      ]),
    )
    expect(error.name).toBe('UniqueViolationError')
    expect(await db.scalar('select count(*) from users')).toBe(4)
  })

  test('what was baked is prepared when a connection opens, and only once', async () => {
    await using server = await freshMysql(...ddl)
    await using db = createDb(server.url, { prebake: true, pool: { max: 1 } })
    const name = db.bake<{ name: string }, { id: number }>('select name from users where id = :id')
    await db.open()
    const prepared = async (): Promise<number> => {
      const row = await db.one<{ Value: string }>("show session status like 'com_stmt_prepare'")
      return Number(row.Value)
    }
    await prepared()
    const before = await prepared()

    expect(await name.scalar({ id: 1 })).toBe('Ada')
    expect(await name.scalar({ id: 2 })).toBe('Bob')
    expect(await prepared()).toBe(before)
  })
})
