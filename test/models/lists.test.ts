/** Lists of objects, whole whatever the query asks for beside them: `many`, `some`, `every`, `none`. */

import { and, desc, eq, gt, sql } from 'drizzle-orm'
import { integer, pgTable, pgView, primaryKey, serial, text } from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import { every, many, Model, none, some } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
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
    expect(await caught(Row.query().limit(1).page())).toMatchObject({
      message: expect.stringMatching(/needs a primary key/),
    })
    // @ts-expect-error there is no key to get one by
    expect(await caught((async () => Row.get(7))())).toMatchObject({ message: expect.stringMatching(/no primary key/) })
    await db.status(`drop view ${name}_v`)
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
    expect(await caught(several.page())).toMatchObject({ message: expect.stringMatching(/one place each/) })
    const named = Author.query().load(Author.distinct(Author.c.name)).limit(1)
    expect(await caught(named.page())).toMatchObject({ message: expect.stringMatching(/the primary key/) })
    expect(await caught(Author.query().groupBy(Author.c.id).forUpdate())).toMatchObject({
      name: 'UsageError',
      message: expect.stringMatching(/forUpdate\(\) and groupBy\(\)/),
    })
  })
})

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
