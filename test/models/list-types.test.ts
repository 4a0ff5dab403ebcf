/** Names, fields and keys of lists: each type is what it is outside of a list, and keys pair as the server compares them. */

import { eq, getTableName, sql } from 'drizzle-orm'
import { char, customType, integer, jsonb, numeric, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { many, Model, plain } from 'genever/models'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import { blog } from './support/blog.ts'

const strategies = ['joined', 'select-in'] as const

forEachDriver((driver) => {
  test('objects of a list have an object of the table that has the list', async () => {
    for (const index of [true, false]) {
      const { Author, Post, Comment } = await blog(driver, { index })
      const back = Author.load({ posts: many(Post.load({ author: Author })) })
      const named = Author.load({ posts: many(Post.load({ by: Author.c.name })) })
      const deep = Author.load({ posts: many(Post.load({ comments: many(Comment.load({ post: Post })) })) })
      for (let n = 0; n < 2; n++)
        for (const strategy of strategies) {
          const authors = await Author.query().load(back, { strategy }).orderBy(Author.c.id)
          expect(authors.map(({ posts }) => posts.map(({ title, author }) => [title, author?.id]))).toEqual([
            ['a1', 'a2', 'a3'].map((title) => [title, 1]),
            [['b1', 2]],
            [],
          ])
          const posts = await Post.query()
            .load(Post.load({ author: back }), { strategy })
            .orderBy(Post.c.id)
          expect(posts.map(({ author }) => author?.posts.map((post) => post.author?.id))).toEqual([
            [1, 1, 1],
            [1, 1, 1],
            [1, 1, 1],
            [2],
          ])
          const found = await Author.query().load(deep, { strategy }).orderBy(Author.c.id)
          expect(
            found.map((author) =>
              author.posts.map(({ comments }) => comments.map(({ id, post }) => [id, post?.title])),
            ),
          ).toEqual([
            [
              [
                [1, 'a1'],
                [2, 'a1'],
              ],
              [],
              [],
            ],
            [[[3, 'b1']]],
            [],
          ])
          const names = await Author.query().load(named).orderBy(Author.c.id)
          expect(names.map((author) => author.posts.map(({ by }) => by))).toEqual([['A', 'A', 'A'], ['B'], []])
        }
    }
  })

  test('an object whose key is read as null is there', async () => {
    const db = await driver.db()
    const code = customType<{ data: string | null; driverData: string }>({
      dataType: () => 'text',
      fromDriver: (value) => (value === '-' ? null : value),
    })
    const codes = pgTable(await driver.table('code text primary key'), { code: code().primaryKey() })
    const uses = pgTable(await driver.table('id serial primary key, owner int, code text'), {
      id: serial().primaryKey(),
      owner: integer(),
      code: code().references(() => codes.code),
    })
    class Code extends Model(db, codes) {}
    class Use extends Model(db, uses) {}
    await db.status(`insert into ${getTableName(codes)} values ('-'), ('x')`)
    await db.status(`insert into ${getTableName(uses)} (owner, code) values (null, '-'), (1, 'x'), (1, '-'), (1, null)`)
    const loader = Use.load({ of: Code })
    const Own = Use.alias('own')
    const expected = [{ code: null }, { code: 'x' }, { code: null }, null]

    for (const strategy of strategies) {
      const found = await Use.query().load(loader, { strategy }).orderBy(Use.c.id)
      expect(found.map(({ of }) => of && plain(of))).toEqual(expected)
    }
    const owned = many(Own.load({ of: Code })).on(eq(Own.c.owner, Use.c.id))
    const [first] = await Use.query().load(Use.load({ owned })).orderBy(Use.c.id)
    expect(first?.owned.map(({ of }) => of && plain(of))).toEqual(expected.slice(1))
  })

  test('every kind of field is what it is beside a list', async () => {
    const db = await driver.db()
    await db.status(`create domain pg_temp.unused as int`).catch(() => undefined)
    const domain = `d_${process.pid}_${Math.trunc(performance.now())}`
    await db.status(`create domain ${domain} as int check (value > 0); create domain ${domain}t as timestamptz`)
    const parents = pgTable(await driver.table('id serial primary key'), { id: serial().primaryKey() })
    const inet = customType<{ data: string }>({ dataType: () => 'inet' })
    const odd = customType<{ data: string }>({ dataType: () => 'aclitem' })
    const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })
    const table = await driver.table(
      `id serial primary key, parent_id int, small smallint, big bigint, f float8, r real, ok bool, n numeric(12,3), c char(5), v varchar, at timestamptz, local timestamp, ip inet, acl aclitem, b bytea, j jsonb, a int[], ips inet[], d ${domain}, dt ${domain}t`,
    )
    const kids = pgTable(table, {
      id: serial().primaryKey(),
      parentId: integer('parent_id').references(() => parents.id),
      small: integer(),
      big: customType<{ data: number }>({ dataType: () => 'bigint' })(),
      f: customType<{ data: number }>({ dataType: () => 'double precision' })(),
      r: customType<{ data: number }>({ dataType: () => 'real' })(),
      ok: customType<{ data: boolean }>({ dataType: () => 'boolean' })(),
      n: integer(),
      numeric: numeric('n'),
      c: char({ length: 5 }),
      v: text(),
      at: timestamp({ withTimezone: true }),
      atText: timestamp('at', { withTimezone: true, mode: 'string' }),
      local: timestamp(),
      ip: inet(),
      acl: odd(),
      b: bytea(),
      j: jsonb(),
      a: integer().array(),
      ips: inet().array(),
      d: integer(),
      dt: timestamp(),
    })
    class Parent extends Model(db, parents) {}
    class Kid extends Model(db, kids) {}
    await Parent.createMany([{}, {}])
    const me = await db.scalar<string>('select current_user')
    await db.all(
      `insert into ${table} (parent_id, small, big, f, r, ok, n, c, v, at, local, ip, acl, b, j, a, ips, d, dt) values
      (1, -7, 9007199254740991, 1e300, 0.1, true, -12.500, 'ü', 'x', '2020-02-29 01:02:03.999999+02', '1969-12-31 23:59:59.999999', '1.2.3.4', '${me}=r/${me}', '\\x00ff5c', '{"a": null}', '{1,NULL}', '{::1,10.0.0.0/8}', 5, '0044-03-15 BC'),
      (1, null, -9007199254740991, '-Infinity', 'NaN', false, 0.001, 'abcde', '', 'infinity', '-infinity', '::1/64', null, '', 'null', '{}', null, null, '12345-01-01'),
      (1, 32767, 0, 'NaN', 3.4e38, null, 98765432.1, '', 'back\\slash', '1900-01-01', '2262-04-11 23:47:16.854775', '10.0.0.0/8', null, null, '"t"', null, '{}', 1, null)`,
    )
    const flat = await Kid.query().orderBy(Kid.c.id)
    for (let n = 0; n < 2; n++)
      for (const strategy of strategies) {
        const [parent] = await Parent.query()
          .load(Parent.load({ kids: many(Kid) }), { strategy })
          .orderBy(Parent.c.id)
        expect(parent?.kids).toEqual(flat)
      }
    expect(flat[0]?.c).toBe('ü    ')
    expect(flat[0]?.ip).toBe('1.2.3.4')
  })

  test('an altered column is read as what it became', async () => {
    const { db, table, Author, Post } = await blog(driver, { index: true })
    const query = Author.query()
      .load(Author.load({ posts: many(Post) }))
      .orderBy(Author.c.id)
    for (let n = 0; n < 3; n++) await query
    await db.status(`alter table ${table} alter column score type bigint using score + 4294967296`)
    expect((await query)[1]?.posts[0]?.score).toBe(4_294_967_305)
    await db.status(`alter table ${table} alter column score type numeric(20,1)`)
    expect((await query)[1]?.posts[0]?.score).toBe(4_294_967_305)
  })

  test('keys that are equal to the server alone pair, and equal ones in JavaScript do not', async () => {
    const db = await driver.db()
    const events = pgTable(await driver.table('at timestamptz primary key'), {
      at: timestamp({ withTimezone: true }).primaryKey(),
    })
    const notes = pgTable(await driver.table('id serial primary key, at timestamptz'), {
      id: serial().primaryKey(),
      at: timestamp({ withTimezone: true }).references(() => events.at),
    })
    class Event extends Model(db, events) {}
    class Note extends Model(db, notes) {}
    await db.status(`insert into "${getTableName(events)}" values ('2020-01-01 00:00:00.123456+00'), ('2020-01-01 00:00:00.123457+00');
      insert into "${getTableName(notes)}" (at) values ('2020-01-01 00:00:00.123456+00'), ('2020-01-01 00:00:00.123457+00'), ('2020-01-01 00:00:00.123457+00')`)
    for (const strategy of strategies) {
      const found = await Event.query()
        .load(Event.load({ notes: many(Note) }), { strategy })
        .orderBy(Event.c.at)
      expect(found.map(({ notes: of }) => of.map(({ id }) => id))).toEqual([[1], [2, 3]])
    }
  })

  test('a key without case pairs by what it is compared with', async () => {
    const db = await driver.db()
    const there = await db.scalar("select 1 from pg_available_extensions where name = 'citext'")
    if (there === undefined) return
    await db.status('create extension if not exists citext')
    const citext = customType<{ data: string }>({ dataType: () => 'citext' })
    const users = pgTable(await driver.table('name text primary key'), { name: text().primaryKey() })
    const notes = pgTable(await driver.table('id serial primary key, name citext'), {
      id: serial().primaryKey(),
      name: citext().references(() => users.name),
    })
    class User extends Model(db, users) {}
    class Note extends Model(db, notes) {}
    await User.createMany([{ name: 'ADA' }, { name: 'ada' }, { name: 'bob' }])
    await Note.createMany([{ name: 'Ada' }, { name: 'ada' }, { name: 'BOB' }])
    const loader = User.load({ notes: many(Note) })
    const lists = async (strategy: 'joined' | 'select-in'): Promise<unknown> =>
      (
        await User.query()
          .load(loader, { strategy })
          .orderBy(sql`${User.c.name} collate "C"`)
      ).map((user) => user.notes.map(({ id }) => id))
    // As the database joins them.
    const joins = await db.all<{ ids: number[] }>(
      `select array(select n.id from "${getTableName(notes)}" n where u.name = n.name order by n.id) as ids
       from "${getTableName(users)}" u order by u.name collate "C"`,
    )
    for (const strategy of strategies) expect(await lists(strategy)).toEqual(joins.map(({ ids }) => ids))
  })

  test('types that have no binary form are read as text, NULL and not', async () => {
    const db = await driver.db()
    const there = await db.scalar("select 1 from pg_available_extensions where name = 'isn'")
    if (there !== undefined) await db.status('create extension if not exists isn')
    const type = there === undefined ? 'aclitem' : 'isbn'
    const me = await db.scalar<string>('select current_user')
    const value = there === undefined ? `${me}=r/${me}` : '0-393-04002-X'
    const column = customType<{ data: string }>({ dataType: () => type })
    const parents = pgTable(await driver.table('id serial primary key'), { id: serial().primaryKey() })
    const books = pgTable(await driver.table(`id serial primary key, parent_id int, odd ${type}`), {
      id: serial().primaryKey(),
      parentId: integer('parent_id').references(() => parents.id),
      odd: column(),
    })
    class Shelf extends Model(db, parents) {}
    class Book extends Model(db, books) {}
    await Shelf.create({})
    await db.all(`insert into "${getTableName(books)}" (parent_id, odd) values (1, null), (1, $1::text::${type})`, [
      value,
    ])
    const odd = async (strategy: 'joined' | 'select-in'): Promise<unknown> =>
      (
        await Shelf.query()
          .load(Shelf.load({ books: many(Book) }), { strategy })
          .one()
      ).books.map((book) => book.odd)
    for (const strategy of strategies) for (let n = 0; n < 2; n++) expect(await odd(strategy)).toEqual([null, value])
  })
})
