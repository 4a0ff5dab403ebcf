/** Lists: a property of their object, whatever is asked of the query. */

import { and, desc, eq, gt, sql } from 'drizzle-orm'
import {
  bigint,
  integer,
  jsonb,
  pgTable,
  pgView,
  primaryKey,
  serial,
  smallint,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import { every, literal, many, Model, none, plain, some } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { toStatement, type ToStatement } from '../../src/sql/statement.ts'
import { caught, thrownBy } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { blog, titles } from './support/blog.ts'

const strategies = ['joined', 'select-in'] as const

forEachDriver((driver) => {
  for (const index of [true, false])
    describe(index ? 'with an index' : 'without an index', () => {
      test('a list has its own condition, order and limit, the first time and later', async () => {
        const { Author, Post } = await blog(driver, { index })
        const best = Author.load({ posts: many(Post.where(gt(Post.c.score, 1)).orderBy(desc(Post.c.score)).limit(1)) })
        for (let n = 0; n < 2; n++)
          for (const strategy of strategies) {
            expect(titles(await Author.query().load(best, { strategy }).orderBy(Author.c.id))).toEqual(['a1', 'b1', ''])
            const all = Author.load({ posts: many(Post.query().orderBy(Post.c.score)) })
            expect(titles(await Author.query().load(all, { strategy }).orderBy(Author.c.id))).toEqual([
              'a2 a3 a1',
              'b1',
              '',
            ])
          }
      })

      test('limit, offset, order, count and pages are of objects', async () => {
        const { Author, Post } = await blog(driver, { index })
        for (let n = 0; n < 2; n++)
          for (const strategy of strategies) {
            const query = Author.query()
              .load(Author.load({ posts: many(Post) }), { strategy })
              .orderBy(desc(Author.c.id))
            expect(titles(await query.offset(1).limit(2))).toEqual(['b1', 'a1 a2 a3'])
            expect(titles(await query.offset(1))).toEqual(['b1', 'a1 a2 a3'])
            expect(await query.offset(1).count()).toBe(2)
            expect(await query.limit(0).exists()).toBe(false)
            const seen: string[] = []
            let cursor: string | null = null
            do {
              const page: { rows: { posts: { title: string }[] }[]; cursor: string | null } = await query
                .limit(1)
                .after(cursor)
                .page()
              seen.push(...titles(page.rows))
              cursor = page.cursor
            } while (cursor !== null)
            expect(seen).toEqual(['', 'b1', 'a1 a2 a3'])
            const iterated: string[] = []
            for await (const author of query.iterate({ batchSize: 1 })) iterated.push(...titles([author]))
            expect(iterated).toEqual(seen)
            const batches: string[][] = []
            for await (const authors of query.iterate({ batchSize: 2 }).batches()) batches.push(titles(authors))
            expect(batches).toEqual([['', 'b1'], ['a1 a2 a3']])
          }
      })

      test('lists in lists, beside each other, and in what is loaded one to one', async () => {
        const { Author, Post, Comment } = await blog(driver, { index })
        const Other = Post.alias('other')
        const loader = Author.load({ posts: many(Post.load({ comments: many(Comment) })), others: many(Other) })
        for (let n = 0; n < 2; n++)
          for (const strategy of strategies) {
            const authors = await Author.query().load(loader, { strategy }).orderBy(Author.c.id)
            expect(
              authors.map(({ posts, others }) => [
                posts.map(({ comments }) => comments.map(({ line }) => line)),
                others.length,
              ]),
            ).toEqual([
              [[['x', 'back\\slash "quoted" {1,2} (ü 💧)'], [], []], 3],
              [[[null]], 1],
              [[], 0],
            ])
            const Sibling = Post.alias('sibling')
            const post = await Post.where({ id: 2 })
              .load(Post.load({ author: Author.on(eq(Post.c.authorId, Author.c.id)) }))
              .one()
            expect(post.author?.name).toBe('A')
            const nested = Post.load({ author: Author.load({ posts: many(Sibling) }) })
            const found = await Post.where({ id: 2 }).load(nested, { strategy }).one()
            expect(found.author?.posts.map(({ title }) => title)).toEqual(['a1', 'a2', 'a3'])
          }
      })
    })

  test('a list in one object of the same table needs no alias', async () => {
    const { Author, Post } = await blog(driver)
    const loader = Post.load({ author: Author.load({ posts: many(Post) }) })

    const posts = await Post.query().load(loader).orderBy(Post.c.id)

    expect(posts.map(({ author }) => author?.posts.length)).toEqual([3, 3, 3, 1])
    expect(posts[0]?.author?.posts[0]).not.toBe(posts[1]?.author?.posts[0])
    expect(await caught(Post.query().load(Post.load({ more: many(Post) })))).toMatchObject({
      message: expect.stringMatching(/use alias/),
    })
  })

  test('some, every and none ask for objects by what belongs to them, and leave lists whole', async () => {
    const { Author, Post } = await blog(driver)
    const query = Author.query()
      .load(Author.load({ posts: many(Post) }))
      .orderBy(Author.c.id)

    expect(titles(await query.where(some(Author, Post, gt(Post.c.score, 2))))).toEqual(['a1 a2 a3', 'b1'])
    expect(titles(await query.where(every(Author, Post, gt(Post.c.score, 2))))).toEqual(['b1', ''])
    expect(titles(await query.where(none(Author, Post)))).toEqual([''])
    expect(await query.where(some(Author, Post, gt(Post.c.score, 2))).count()).toBe(2)
    const Own = Post.alias('own')
    expect(
      await Author.where(some(Author, Own.on(and(eq(Own.c.authorId, Author.c.id), gt(Own.c.id, 3))!))).count(),
    ).toBe(1)
    expect(thrownBy(() => some(Author, Author))).toMatchObject({ message: expect.stringMatching(/itself: use alias/) })
    expect(thrownBy(() => some(Author, sql`1`))).toMatchObject({ message: expect.stringMatching(/takes a model/) })
  })

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

  test('an object that a condition finds by chance has its list', async () => {
    const { Author, Post } = await blog(driver)
    await Author.createMany(Array.from({ length: 200 }, () => ({ name: 'D' })))
    const ids = (await Author.query()).map(({ id }) => id)
    await Post.createMany(ids.map((id) => ({ authorId: id, title: 'more' })))
    const query = Author.query().load(Author.load({ posts: many(Post) }))
    for (const condition of [sql`random() < 0.5`, sql`(${Author.c.id} > 0) and (random() < 0.5)`]) {
      const found = await query.where(condition)
      expect(found.filter(({ posts }) => posts.at(-1)?.title !== 'more')).toEqual([])
    }
  })

  test('an object that comes several times, by what is loaded beside, has its list each time', async () => {
    const { Author, Post } = await blog(driver)
    const One = Post.alias('one of them')
    const loader = Author.load({ one: One.on(eq(One.c.authorId, Author.c.id)), posts: many(Post) })
    for (const query of [Author.query(), Author.where({ id: [1, 2, 3] }), Author.where({ name: ['A', 'B', 'C'] })]) {
      const found = await query.load(loader).orderBy(Author.c.id, One.c.id)
      expect(found.map(({ one, posts }) => [one?.title, posts.length])).toEqual([
        ['a1', 3],
        ['a2', 3],
        ['a3', 3],
        ['b1', 1],
        [undefined, 0],
      ])
    }
    expect((await Author.where({ id: 1 }).load(loader).orderBy(desc(One.c.id)).first())?.one?.title).toBe('a3')
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

  test('many to many goes through the model of the table between', async () => {
    const { db, Post } = await blog(driver)
    const tags = pgTable(await driver.table('id serial primary key, name text'), {
      id: serial().primaryKey(),
      name: text(),
    })
    const links = pgTable(
      await driver.table('post_id int, tag_id int, primary key (post_id, tag_id)'),
      {
        postId: integer('post_id').references(() => Post.table.id),
        tagId: integer('tag_id').references(() => tags.id),
      },
      (table) => [primaryKey({ columns: [table.postId, table.tagId] })],
    )
    class Tag extends Model(db, tags) {}
    class PostTag extends Model(db, links) {}
    await Tag.createMany([{ name: 'red' }, { name: 'blue' }])
    await PostTag.createMany([
      { postId: 1, tagId: 2 },
      { postId: 1, tagId: 1 },
      { postId: 2, tagId: 2 },
    ])
    const loader = Post.load({ tags: many(Tag, { through: PostTag }) })
    for (let n = 0; n < 2; n++)
      for (const strategy of strategies) {
        const posts = await Post.query().load(loader, { strategy }).orderBy(Post.c.id)
        expect(posts.map(({ tags: of }) => of.map(({ name }) => name).join())).toEqual(['red,blue', 'blue', '', ''])
      }
    expect(thrownBy(() => many(Tag, { through: 1 as never }))).toMatchObject({ name: 'UsageError' })
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

  test('objects of a view without a key are its rows, NULLs and duplicates included', async () => {
    const { db, Author, Post } = await blog(driver)
    const name = await driver.table('x int')
    await db.status(
      `create view ${name}_v as select 1 as author union all select 1 union all select null union all select 2`,
    )
    const view = pgView(`${name}_v`, { author: integer() }).existing()
    class Row extends Model(db, view) {}
    const rows = await Row.query()
      .load(Row.load({ posts: many(Post).on(eq(Post.c.authorId, Row.c.author)) }))
      .orderBy(Row.c.author)
    expect(titles(rows)).toEqual(['a1 a2 a3', 'a1 a2 a3', 'b1', ''])
    expect(await Author.query().count()).toBe(3)
    await db.status(`drop view ${name}_v`)
  })

  test('a view with pk: [] has no key, also if it has a column id', async () => {
    const { db, Post } = await blog(driver)
    const name = await driver.table('x int')
    await db.status(
      `create view ${name}_v as select n as id, a as author from (values (null, 1), (7, 2), (7, 1), (null, null)) as v (n, a)`,
    )
    const view = pgView(`${name}_v`, { id: integer(), author: integer() }).existing()
    class Row extends Model(db, view, { pk: [] }) {}
    const list = many(Row).on(eq(Row.c.author, Post.c.authorId))
    const posts = await Post.where({ id: [1, 4] })
      .load(Post.load({ rows: list }))
      .orderBy(Post.c.id)
    expect(posts.map(({ rows }) => rows.map(({ id }) => String(id)).toSorted((a, b) => a.localeCompare(b)))).toEqual([
      ['7', 'null'],
      ['7'],
    ])
    const loader = Row.load({ posts: many(Post).on(eq(Post.c.authorId, Row.c.author)) })
    expect(titles(await Row.query().load(loader)).toSorted()).toEqual(['', 'a1 a2 a3', 'a1 a2 a3', 'b1'])
    const joined = await Post.where({ id: 4 })
      .load(Post.load({ row: Row.on(eq(Row.c.author, Post.c.authorId)) }))
      .one()
    expect(joined.row?.id).toBe(7)
    const lost = await Post.where({ id: 1 })
      .load(Post.load({ row: Row.on(sql`${Row.c.author} = 1 and ${Row.c.id} is null`) }))
      .one()
    expect(lost.row?.author).toBe(1)
    expect(thrownBy(() => Row.query().limit(1).page())).toMatchObject({
      message: expect.stringMatching(/needs a primary key/),
    })
    // @ts-expect-error there is no key to get one by
    expect(await caught((async () => Row.get(7))())).toMatchObject({ message: expect.stringMatching(/no primary key/) })
    await db.status(`drop view ${name}_v`)
  })

  test('JSON has the shape that the loader says', async () => {
    const { Author, Post } = await blog(driver)
    const author = await Author.where({ id: 3 })
      .load(Author.load({ posts: many(Post) }))
      .one()
    expect(plain(author)).toEqual({ id: 3, name: 'C', posts: [] })
    const post = await Post.where({ id: 4 })
      .load(Post.load({ author: Author.load({ posts: many(Post) }) }))
      .one()
    expect(JSON.parse(JSON.stringify(post))).toEqual({
      id: 4,
      authorId: 2,
      title: 'b1',
      score: 9,
      author: { id: 2, name: 'B', posts: [{ id: 4, authorId: 2, title: 'b1', score: 9 }] },
    })
  })

  test('JSON has null for an object that is not there, and values that were attached', async () => {
    const { Post, Author } = await blog(driver)
    const { id } = await Post.create({ authorId: null, title: 'lost' })
    const post = await Post.where({ id })
      .load(Post.load({ author: Author, letters: sql<number>`length(${Post.c.title})`, from: literal('db') }))
      .one()
    const shape = { id, authorId: null, title: 'lost', score: 0, author: null, letters: 4, from: 'db' }

    expect(plain(post)).toEqual(shape)
    expect(JSON.parse(JSON.stringify(post))).toEqual(shape)
  })

  test('plain() has the members that its type has', async () => {
    const { Author, Post } = await blog(driver)
    class Entry extends Post {
      readonly by: InstanceType<typeof Author>[] = []
      add(author: InstanceType<typeof Author>): void {
        this.by.push(author)
      }
    }
    const counted = sql<bigint>`count(*) over ()`.mapWith((value: unknown) => BigInt(value as string))
    const loader = Author.load({ posts: many(Post.load({ author: Author })), counted, since: literal(7) })
    const author = plain(await Author.where({ id: 2 }).load(loader).one())
    const entry = plain(
      await Entry.where({ id: 4 })
        .load(Entry.load({ add: Author }))
        .one(),
    )

    const names: Record<keyof typeof author, true> = { id: true, name: true, posts: true, counted: true, since: true }
    const ofPost: Record<keyof (typeof author.posts)[number], true> = {
      id: true,
      authorId: true,
      title: true,
      score: true,
      author: true,
    }
    const ofEntry: Record<keyof typeof entry, true> = { id: true, authorId: true, title: true, score: true, by: true }
    expect(Object.keys(author).toSorted()).toEqual(Object.keys(names).toSorted())
    expect(author.posts.map((post) => Object.keys(post).toSorted())).toEqual([Object.keys(ofPost).toSorted()])
    expect(Object.keys(entry).toSorted()).toEqual(Object.keys(ofEntry).toSorted())
    const counts: string = author.counted
    const since: number | null = author.since
    const authors: (string | undefined)[] = author.posts.map((post) => post.author?.name)
    expect([counts, since, authors, entry.by?.map(({ name }) => name)]).toEqual(['1', 7, ['B'], ['B']])
  })

  test('toJSON() has the members that its type has', async () => {
    const { Author, Post } = await blog(driver)
    class Entry extends Post {
      by?: InstanceType<typeof Author> | null
      readonly all: InstanceType<typeof Author>[] = []
      add(author: InstanceType<typeof Author>): void {
        this.all.push(author)
      }
    }
    const counted = sql<bigint>`count(*) over ()`.mapWith((value: unknown) => BigInt(value as string))
    const loader = Author.load({ posts: many(Post.load({ author: Author })), counted, since: literal(7) })
    const author = await Author.where({ id: 2 }).load(loader).one()
    const lone = await Post.where({ id: 4 })
      .load(Post.load({ author: Author.load({ posts: many(Post) }) }))
      .one()
    const entry = await Entry.where({ id: 4 })
      .load(Entry.load({ add: Author }))
      .one()

    const json = author.toJSON()
    const names: Record<keyof typeof json, true> = { id: true, name: true, posts: true, counted: true, since: true }
    expect(Object.keys(json).toSorted()).toEqual(Object.keys(names).toSorted())
    expectTypeOf(json.counted).toEqualTypeOf<string>()
    expectTypeOf(json.since).toEqualTypeOf<number | null>()
    const inner: string | undefined = json.posts[0]?.author?.name
    // @ts-expect-error what is in it is plain, too
    expect([inner, json.posts[0]?.update]).toEqual(['B', undefined])
    const plainPost = new Post().toJSON()
    expectTypeOf(lone.toJSON()).toEqualTypeOf<{
      id: number
      authorId: number | null
      title: string
      score: number
      author: { id: number; name: string; posts: (typeof plainPost)[] } | null
    }>()
    expect(lone.toJSON().author?.posts).toMatchObject([{ title: 'b1' }])
    expectTypeOf(plain(lone)).toEqualTypeOf(lone.toJSON())
    // As clients of frameworks infer it.
    type Sent<T> = T extends { toJSON(): infer J } ? J : never
    expectTypeOf<Sent<typeof lone>>().toEqualTypeOf(lone.toJSON())

    const made = entry.toJSON()
    const ofEntry: Record<keyof typeof made, true> = {
      id: true,
      authorId: true,
      title: true,
      score: true,
      by: true,
      all: true,
    }
    expect(Object.keys(ofEntry)).toEqual(expect.arrayContaining(Object.keys(made)))
    expectTypeOf(made.by).toEqualTypeOf<{ id: number; name: string } | undefined>()
    expect([made.by, made.all?.map(({ name }) => name)]).toEqual([undefined, ['B']])
    expect('all' in new Entry().toJSON()).toBe(false)
  })

  test('a class that overrides toJSON() says what it gives, also to what is loaded', async () => {
    const { Author, Post } = await blog(driver)
    class Longer extends Author {
      override toJSON() {
        return { ...super.toJSON(), letters: this.name.length }
      }
    }
    class Other extends Author {
      override toJSON() {
        return { id: this.id, name: `<${this.name}>` }
      }
    }
    const longer = await Longer.where({ id: 2 })
      .load(Longer.load({ posts: many(Post) }))
      .one()
    const json = longer.toJSON()
    const titled: string[] = json.posts.map(({ title }) => title)
    expect([json.letters, titled]).toEqual([1, ['b1']])
    const other = await Other.where({ id: 2 })
      .load(Other.load({ posts: many(Post) }))
      .one()
    expect(plain({ other }).other.name).toBe('<B>')
    expectTypeOf(plain(other)).toEqualTypeOf<{ id: number; name: string }>()
  })

  test('what a list cannot have is refused', async () => {
    const { Author, Post } = await blog(driver)
    for (const query of [
      Post.query().offset(1),
      Post.query().forUpdate(),
      Post.query().leftJoin(Author),
      Post.select('id'),
    ])
      expect(thrownBy(() => many(query as never))).toMatchObject({ name: 'UsageError' })
    expect(thrownBy(() => Author.load({ posts: Post.query() as never }))).toMatchObject({
      message: expect.stringMatching(/many\(query\)/),
    })
    for (const lock of [{}, { nowait: true }, { skipLocked: true }])
      expect(await caught(Author.query().load(Author.distinct()).forUpdate(lock))).toMatchObject({
        message: expect.stringMatching(/forUpdate\(\) and distinct\(\)/),
      })
    expect(await caught(Author.query().load(Author.distinct()).forUpdate({ skipLocked: true }))).toMatchObject({
      message: expect.stringMatching(/forUpdate\(\) and distinct\(\)/),
    })
  })

  test('pages of distinct objects are of objects, or refused', async () => {
    const { Author, Post } = await blog(driver)
    const joined = Author.query().join(Post).load(Author.distinct()).limit(1)
    const first = await joined.orderBy(Author.c.id).page()
    expect(first.rows.map(({ id }) => id)).toEqual([1])
    const second = await joined.orderBy(Author.c.id).after(first.cursor).page()
    expect([second.rows.map(({ id }) => id), second.cursor]).toEqual([[2], null])

    const several = Author.query().join(Post).load(Author.distinct()).orderBy(Post.c.score).limit(1)
    expect(thrownBy(() => several.after('[]'))).toMatchObject({ message: expect.stringMatching(/one place each/) })
    expect(thrownBy(() => several.page())).toMatchObject({ message: expect.stringMatching(/one place each/) })
    const named = Author.query().load(Author.distinct(Author.c.name)).limit(1)
    expect(thrownBy(() => named.page())).toMatchObject({ message: expect.stringMatching(/the primary key/) })
    expect(await caught(Author.query().groupBy(Author.c.id).forUpdate())).toMatchObject({
      name: 'UsageError',
      message: expect.stringMatching(/forUpdate\(\) and groupBy\(\)/),
    })
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
    return statement.includes('"genever n"') ? 'numbered' : statement.includes('"g0"') ? 'kept' : 'by key'
  return statement.includes('array(select') ? 'array' : statement.includes('array_agg') ? 'grouped' : ''
}

describe('a lock that waits', () => {
  forEachDriver((driver) => {
    test.skipIf(driver.most === 1)(
      'gives lists as new as their objects, and skip locked takes the next free object with its list',
      async () => {
        const { db, Author, Post } = await blog(driver, { index: true })
        const locked = Author.where({ id: 2 })
          .load(Author.load({ posts: many(Post) }))
          .forUpdate()
        const waiting = async (): Promise<string[]> =>
          titles(await db.detached(() => db.transaction(() => locked.all())))
        let found: Promise<string[]> | undefined
        await db.transaction(async () => {
          await Author.where({ id: 2 }).forUpdate()
          await Post.create({ authorId: 2, title: 'b2' })
          found = waiting()
          await blocked(db)
        })
        expect(await found).toEqual(['b1 b2'])

        await db.transaction(async () => {
          const next = Author.query()
            .load(Author.load({ posts: many(Post) }))
            .orderBy(Author.c.id)
            .limit(1)
            .forUpdate({ skipLocked: true })
          expect(titles(await next)).toEqual(['a1 a2 a3'])
          expect(titles(await db.detached(() => db.transaction(() => next.all())))).toEqual(['b1 b2'])
        })
      },
    )
  })
})

/** Waits until a statement waits for a lock. */
async function blocked(db: Db): Promise<void> {
  for (;;) {
    const waits = await db.detached(() =>
      db.scalar<boolean>(
        "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())",
      ),
    )
    if (waits === true) return
  }
}
