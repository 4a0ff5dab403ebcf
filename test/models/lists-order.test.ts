/** How lists come: as rows or as arrays, by an index or in one pass, in order, each value of its type. */

import { and, desc, eq, gt, sql } from 'drizzle-orm'
import { bigint, integer, jsonb, pgTable, primaryKey, serial, smallint, text, timestamp } from 'drizzle-orm/pg-core'
import { many, Model, plain } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { toStatement, type ToStatement } from '../../src/sql/statement.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { blog } from './support/blog.ts'

forEachDriver((driver) => {
  test('lists come as rows where all are read, and as arrays where an index orders them, or a cursor reads', async () => {
    for (const index of [true, false]) {
      const name = `spelled ${driver.name} ${index}`
      const { Author, Post } = await blog(driver, { index, name })
      const query = Author.query().load(Author.load({ posts: many(Post) }))
      const ordered = Author.query().load(Author.load({ posts: many(Post.query().orderBy(desc(Post.c.score))) }))
      await query
      await ordered
      using heard = hear(name)
      await query
      await query.limit(1)
      await ordered
      await query.where({ id: [1, 2] }).orderBy(desc(Author.c.name))
      await query.where({ name: 'A' })
      await query.offset(1)
      for await (const author of query) expect(author.posts.length).toBeGreaterThan(-1)
      const written = heard.statements.map(({ sql: statement }) => spelling(statement)).filter((shape) => shape !== '')
      expect(written).toEqual(
        index
          ? ['kept', 'kept', 'array', 'kept', 'kept', 'kept', 'array']
          : ['kept', 'kept', 'kept', 'kept', 'kept', 'kept', 'grouped'],
      )
    }
  })

  test('lists by whole numbers: beyond 2 ** 53, of several objects, of NULL, of columns of two sizes, of two modes', async () => {
    const db = await driver.db()
    const parents = pgTable(await driver.table('id serial primary key, code bigint, small smallint, big bigint'), {
      id: serial().primaryKey(),
      code: bigint({ mode: 'bigint' }),
      small: smallint(),
      big: bigint({ mode: 'bigint' }),
    })
    const coded = pgTable(await driver.table('id serial primary key, code bigint'), {
      id: serial().primaryKey(),
      code: bigint({ mode: 'bigint' }).references(() => parents.code),
    })
    const sized = pgTable(await driver.table('id serial primary key, small int'), {
      id: serial().primaryKey(),
      small: integer().references(() => parents.small),
    })
    const moded = pgTable(await driver.table('id serial primary key, big int'), {
      id: serial().primaryKey(),
      big: integer().references(() => parents.big),
    })
    class Parent extends Model(db, parents) {}
    class Coded extends Model(db, coded) {}
    class Sized extends Model(db, sized) {}
    class Moded extends Model(db, moded) {}
    const codes = [2n ** 53n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 53n + 1n, null]
    await Parent.createMany(codes.map((code, n) => ({ code, small: n % 2, big: BigInt(n % 2) })))
    await Coded.createMany([2n ** 53n + 2n, ...codes].map((code) => ({ code })))
    await Sized.createMany([0, 1, null, 0, 40_000].map((small) => ({ small })))
    await Moded.createMany([1, null, 1].map((big) => ({ big })))
    const loaders = [{ coded: many(Coded), sized: many(Sized) }, { moded: many(Moded) }]
    const found: unknown[][] = [[], [], []]
    for (const parts of loaders)
      for (const row of await Parent.query().load(Parent.load(parts)).orderBy(Parent.c.id)) {
        const lists = row as unknown as Readonly<Record<string, readonly { readonly id: number }[] | undefined>>
        for (const [at, member] of ['coded', 'sized', 'moded'].entries())
          if (lists[member] !== undefined) found[at]?.push(lists[member].map(({ id }) => id))
      }
    expect(found).toEqual([
      [[2], [3, 5], [4], [3, 5], []],
      [[1, 4], [2], [1, 4], [2], [1, 4]],
      [[], [1, 3], [], [1, 3], []],
    ])
  })

  describe('an index is asked for once', () => {
    const isQuestion = ({ sql: statement }: { readonly sql: string }): boolean => statement.includes('pg_index')
    type Rows = Awaited<ReturnType<typeof blog>>
    type Call = (query: ReturnType<Rows['Author']['query']>, rows: Rows) => PromiseLike<unknown>
    const calls: Record<string, Call> = {
      'all()': (query) => query,
      'first()': (query) => query.first(),
      'one()': (query, { Author }) => query.where(eq(Author.c.id, 1)).one(),
      'oneOrNone()': (query, { Author }) => query.where(eq(Author.c.id, 1)).oneOrNone(),
      'page()': (query) => query.limit(2).page(),
      'status()': (query) => query.status(),
      'iterate()': async (query) => {
        for await (const row of query.iterate({ batchSize: 2 })) if ((row as { id: number }).id > 1) break
      },
      'read() of a cursor': async (query) => {
        await using cursor = query.iterate()
        await cursor.read(10)
      },
      'all() of an executor': (query, { db }) => db.all(query),
      'iterate() of an executor': async (query, { db }) => {
        for await (const row of db.iterate(query)) void row
        // Its rows came while the cursor held the only connection.
        if (db.stats().max === 1) await db.all(query)
      },
      'a transaction': (query, { db }) => db.transaction((tx) => tx.all(query)),
      'one() in a transaction': (query, { db, Author }) =>
        db.transaction(() => query.where(eq(Author.c.id, 1)).one(), { isolation: 'serializable' }),
      'iterate() in a scope': (query, { db }) =>
        db.scope(async () => {
          for await (const row of query.iterate()) void row
        }),
    }

    test.each(Object.entries(calls))('by %s, for all lists by one statement', async (how, call) => {
      const name = `asked ${driver.name} ${how}`
      const rows = await blog(driver, { index: true, name })
      const { Author, Post, Comment } = rows
      const deep = Author.load({ posts: many(Post.load({ comments: many(Comment) })), more: many(Post) })
      const query = Author.query().load(deep).orderBy(Author.c.id)
      using heard = hear(name)

      await call(query, rows)
      await until(() => heard.statements.filter(isQuestion).length === 1)
      await until(() => (query as unknown as ToStatement)[toStatement]().sql.includes(' array('))
      await call(query, rows)
      expect(heard.statements.filter(isQuestion)).toHaveLength(1)
      expect(await query.where({ id: 1 }).one()).toMatchObject({ posts: { length: 3 }, more: { length: 3 } })
    })

    test('not while a cursor holds the only connection, but after its end', async () => {
      const name = `asked ${driver.name} alone`
      const { db, Author, Post } = await blog(driver, { index: true, name, max: 1 })
      const query = Author.query().load(Author.load({ posts: many(Post) }))
      using heard = hear(name)

      for await (const row of db.iterate(query)) void row
      expect([heard.statements.filter(isQuestion), heard.notices]).toEqual([[], []])
      for await (const row of query) void row
      await until(() => heard.statements.filter(isQuestion).length === 1)
      expect(heard.notices).toEqual([])
    })
  })

  test('lists are in the order of the key, however the table has them, whether the server or Genever sorts them', async () => {
    const db = await driver.db()
    const ownerTable = await driver.table('id int primary key')
    const owners = pgTable(ownerTable, { id: integer().primaryKey() })
    const owner = (): ReturnType<ReturnType<typeof integer>['notNull']> =>
      integer()
        .notNull()
        .references(() => owners.id)
    const wholeTable = await driver.table('a int8, b int, owner int not null')
    const wholes = pgTable(wholeTable, { a: bigint({ mode: 'bigint' }), b: integer(), owner: owner() }, (of) => [
      primaryKey({ columns: [of.a, of.b] }),
    ])
    const textTable = await driver.table('id text primary key, owner int not null')
    const texts = pgTable(textTable, { id: text().primaryKey(), owner: owner() })
    await db.status(
      `insert into ${ownerTable} values (2), (1), (3);
       insert into ${wholeTable} values (9007199254740993, -1, 1), (9007199254740992, 5, 1), (null, 0, 1), (9007199254740993, -20, 1),
         (10, 0, 2), (9, 0, 2), (-9223372036854775808, 100, 1), (9007199254740993, null, 1);
       insert into ${textTable} values ('b', 1), ('10', 1), ('9', 1), ('a', 2)`,
    )
    class Owner extends Model(db, owners) {}
    class Whole extends Model(db, wholes) {}
    class Text extends Model(db, texts) {}
    const query = Owner.query()
      .load(Owner.load({ wholes: many(Whole), texts: many(Text) }))
      .orderBy(desc(Owner.c.id))
    const expected = [
      [3, [], []],
      [2, ['9 0', '10 0'], ['a']],
      [
        1,
        [
          '-9223372036854775808 100',
          '9007199254740992 5',
          '9007199254740993 -20',
          '9007199254740993 -1',
          '9007199254740993 null',
          'null 0',
        ],
        ['10', '9', 'b'],
      ],
    ]
    type Lists = { id: number; wholes: { a: bigint | null; b: number | null }[]; texts: { id: string }[] }
    const shown = (all: readonly Lists[]): unknown[] =>
      all.map((one) => [one.id, one.wholes.map(({ a, b }) => `${a} ${b}`), one.texts.map(({ id }) => id)])

    for (let n = 0; n < 2; n++) {
      expect(shown(await query)).toEqual(expected)
      const iterated: Lists[] = []
      for await (const one of query) iterated.push(one)
      expect(shown(iterated)).toEqual(expected)
      const first = await query.where(eq(Owner.c.id, 1)).first()
      expect(shown(first === undefined ? [] : [first])).toEqual(expected.slice(2))
      expect(shown((await query.limit(2).page()).rows)).toEqual(expected.slice(0, 2))
      await db.status(`create index on ${wholeTable} (owner); create index on ${textTable} (owner)`)
    }
  })

  test('rows of lists have their types beside objects whose columns are domains, arrays, JSON and expressions', async () => {
    const db = await driver.db()
    const strict = `strict_${process.pid}_${driver.name}`
    await db.status(`create domain ${strict} as text not null check (value <> '')`)
    const firstTable = await driver.table(`id int primary key, word ${strict}, tags text[], data jsonb`)
    const secondTable = await driver.table(
      `id int primary key, first int not null, word ${strict}, tags text[], data jsonb, at timestamptz`,
    )
    const firsts = pgTable(firstTable, {
      id: integer().primaryKey(),
      word: text().notNull(),
      tags: text().array(),
      data: jsonb(),
    })
    const seconds = pgTable(secondTable, {
      id: integer().primaryKey(),
      first: integer()
        .notNull()
        .references(() => firsts.id),
      word: text().notNull(),
      tags: text().array(),
      data: jsonb(),
      at: timestamp({ withTimezone: true }),
    })
    await db.status(
      `insert into ${firstTable} values (1, 'one', '{a,NULL}', 'null'), (2, 'two', null, null);
       insert into ${secondTable} values (1, 1, 'x', '{}', '[1]', '2025-01-01Z'), (2, 1, 'y', null, null, null)`,
    )
    class First extends Model(db, firsts) {}
    class Second extends Model(db, seconds) {}
    const Other = Second.alias('other')
    const loader = First.load({
      upper: sql<string>`upper(${First.c.word})`,
      seconds: many(Second),
      others: many(Other.on(and(eq(Other.c.first, First.c.id), gt(Other.c.id, 1))!)),
    })
    const all = await First.query().load(loader).orderBy(First.c.id)
    const [one, other] = plain(all)
    expect(one).toEqual({
      ...{ id: 1, word: 'one', tags: ['a', null], data: null, upper: 'ONE' },
      seconds: [
        { id: 1, first: 1, word: 'x', tags: [], data: [1], at: new Date('2025-01-01Z') },
        { id: 2, first: 1, word: 'y', tags: null, data: null, at: null },
      ],
      others: [{ id: 2, first: 1, word: 'y', tags: null, data: null, at: null }],
    })
    expect(other).toMatchObject({ tags: null, data: null, upper: 'TWO', seconds: [], others: [] })
    await db.status(`alter table ${secondTable} alter column first type bigint, alter column at type text`)
    const altered = await First.query().load(loader).orderBy(First.c.id)
    expect(altered.map(({ seconds: list }) => list.length)).toEqual([2, 0])
  })

  test('a thousand objects without an index have their lists in one pass', async () => {
    const { db, table, Author, Post } = await blog(driver)
    const names = Array.from({ length: 997 }, (_, n) => ({ name: `N${n}` }))
    await Author.createMany(names)
    await db.status(
      `insert into ${table} (author_id, title, score) select 3 + n % 997, 't' || n, n from generate_series(1, 4000) n`,
    )
    const query = Author.query()
      .load(Author.load({ posts: many(Post) }))
      .orderBy(Author.c.id)
    for (let n = 0; n < 2; n++) {
      const authors = await query
      expect(authors).toHaveLength(1000)
      expect(authors.reduce((sum, { posts }) => sum + posts.length, 0)).toBe(4004)
      expect(authors.every(({ id, posts }) => posts.every(({ authorId }) => authorId === id))).toBe(true)
    }
  })

  test('a list of many megabytes comes whole', async () => {
    const { db, table, Author, Post } = await blog(driver, { index: true })
    await db.all(
      `insert into ${table} (author_id, title) select 3, repeat(n::text, 1000) from generate_series(1000, 7499) n`,
    )
    const author = await Author.where({ id: 3 })
      .load(Author.load({ posts: many(Post) }))
      .one()
    expect(author.posts).toHaveLength(6500)
    expect(author.posts[6499]?.title).toBe('7499'.repeat(1000))
  })
})

/** How a statement has its lists. */
function spelling(statement: string): string {
  if (statement.includes(' union all '))
    return statement.includes('"genever n"') ? 'numbered' : statement.includes('"genever g0"') ? 'kept' : 'by key'
  return statement.includes('array(select') ? 'array' : statement.includes('array_agg') ? 'grouped' : ''
}
