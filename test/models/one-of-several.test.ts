/** What a query has joined several times to an object is no single object or value of it. */

import { and, count, desc, eq, gt, max, sql } from 'drizzle-orm'
import { integer, pgTable, primaryKey, serial, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { UsageError } from 'genever'
import { many, Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { blog } from './support/blog.ts'

forEachDriver((driver) => {
  describe('an object that a join of the query repeats', () => {
    test('has none of the others as one object, whatever asks for it', async () => {
      const { Author, Post, Comment } = await blog(driver)
      const Again = Post.alias('again')
      const fk = eq(Post.c.authorId, Author.c.id)
      const joined = Author.query().leftJoin(Post)
      const wrong = {
        plain: joined.load(Author.load({ addPost: Post })),
        distinct: joined.load(Author.distinct().load({ addPost: Post })),
        'distinct by the key': joined.load(Author.distinct(Author.c.id).load({ post: Post })),
        'an inner join': Author.query()
          .join(Post)
          .load(Author.distinct().load({ post: Post })),
        'a condition, turned': Author.query()
          .leftJoin(Post, eq(Author.c.id, Post.c.authorId))
          .load(Author.load({ post: Post })),
        'the same by text': Author.query()
          .leftJoin(Post, sql`(${Post.c.authorId} = ${Author.c.id})`)
          .load(Author.load({ post: Post })),
        'a shorter query': joined.load(Author.load({ post: Post })).limit(2),
        'an alias': Author.query()
          .leftJoin(Again)
          .load(Author.load({ post: Again })),
        'a column': joined.load(Author.load({ title: Post.c.title })),
        'a column of a distinct one': joined.load(Author.distinct().load({ title: Post.c.title })),
        'in a tuple': joined.load([Author.load({ post: Post }), sql`1`] as const),
        'two joins away': joined
          .leftJoin(Comment, eq(Comment.c.postId, Post.c.id))
          .load(Author.load({ comment: Comment })),
        nested: Comment.query()
          .leftJoin(Post)
          .leftJoin(Author, eq(Author.c.id, Post.c.authorId))
          .leftJoin(Again, eq(Again.c.authorId, Author.c.id))
          .load(Comment.load({ post: Post.load({ author: Author.load({ other: Again }) }) })),
        'by on() in a distinct one': Author.query().load(Author.distinct().load({ post: Post.on(fk) })),
      }
      for (const [name, query] of Object.entries(wrong))
        for (const call of [() => query, () => query.first(), () => query.count(), () => query.exists()])
          expect([name, String(await caught(call()))]).toEqual([
            name,
            expect.stringMatching(/^UsageError: load\(\{ \w+ \}\).* (one|several) .*Use many\((Post|Comment)\)/),
          ])
      const pages = joined.load(Author.load({ post: Post })).limit(2)
      expect(await caught(pages.page())).toBeInstanceOf(UsageError)
      expect(thrownBy(() => pages.iterate())).toBeInstanceOf(UsageError)

      const right = await joined.load(Author.distinct().load({ posts: many(Post) })).orderBy(Author.c.id)
      expect(right.map(({ posts }) => posts.length)).toEqual([3, 1, 0])
    })

    test('takes no value of one of them, unless groups make one', async () => {
      const { Author, Post } = await blog(driver)
      const upper = sql<string>`upper(${Post.c.title})`
      const joined = Author.query().leftJoin(Post).orderBy(Author.c.id)
      const lost = /^UsageError: load\(\{ title \}\) of a distinct\(\) Author: .*several of Post.*many\(Post\)/

      expect(String(await caught(joined.load(Author.distinct().load({ title: upper }))))).toMatch(lost)
      expect(String(await caught(joined.load([Author.distinct().load({ title: upper })] as const)))).toMatch(lost)
      const grouped = joined.groupBy(Author.c.id, Post.c.title)
      expect(String(await caught(grouped.load(Author.distinct().load({ title: upper }))))).toMatch(lost)
      expect(await grouped.load(Author.load({ title: Post.c.title }))).toHaveLength(5)
      expect(await joined.load(Author.load({ title: upper }))).toHaveLength(5)
      const counted = joined.groupBy(Author.c.id)
      const aggregates = { posts: count(Post.c.id), best: max(Post.c.score) }
      for (const loader of [Author.load(aggregates), Author.distinct().load(aggregates)]) {
        const found = await counted.load(loader)
        expect(found.map(({ posts, best }) => [posts, best])).toEqual([
          [3, 3],
          [1, 9],
          [0, null],
        ])
      }
      const best = sql<number>`(select max(s.score) from ${Post.c.id.table} s where s.author_id = ${Author.c.id})`
      const single = await joined.load(Author.distinct().load({ best }))
      expect(single.map((author) => author.best)).toEqual([3, 9, null])
    })

    test('comes once by distinct() only with what there is one of', async () => {
      const { Author, Post } = await blog(driver)
      const [Best, Other] = [Post.alias('best'), Post.alias('other')]
      const condition = and(eq(Post.c.authorId, Author.c.id), gt(Post.c.score, 1))
      const narrow = Author.query().leftJoin(Post, condition).orderBy(Author.c.id)
      expect(await narrow.load(Author.load({ post: Post }))).toHaveLength(4)
      expect(String(await caught(narrow.load(Author.distinct().load({ post: Post }))))).toMatch(
        /^UsageError: load\(\{ post \}\) of a distinct\(\) Author: the query may join one Author with several of Post/,
      )
      expect(await narrow.load(Author.distinct().load({ post: Post.on(condition!) }))).toHaveLength(3)

      const first = sql`${Best.c.authorId} = ${Author.c.id} and ${Best.c.title} like '%1'`
      const chosen = await Author.query()
        .join(Post)
        .load(Author.distinct().load({ best: Best.load({ author: Author.alias('by') }).on(first) }))
        .orderBy(Author.c.id)
      expect(chosen.map(({ best }) => [best?.title, best?.author?.name])).toEqual([
        ['a1', 'A'],
        ['b1', 'B'],
      ])

      // The key of what is joined is compared: there is one, whatever else the condition says.
      const keyed = await Author.query()
        .join(Post)
        .leftJoin(Other, and(eq(Other.c.id, Author.c.id), gt(Other.c.score, 1)))
        .load(Author.distinct().load({ other: Other, title: Other.c.title }))
        .orderBy(Author.c.id)
      expect(keyed.map(({ other, title }) => [other?.title, title])).toEqual([
        ['a1', 'a1'],
        [undefined, null],
      ])
      for (const either of [
        sql`${Other.c.id} = ${Author.c.id} or ${Other.c.score} = 1`,
        sql`not (${Other.c.id} = ${Author.c.id})`,
        sql`(${Other.c.id} = ${Author.c.id}) is not true`,
        sql`${Other.c.id} = ${Post.c.id}`,
        sql`${Other.c.id} between 1 and ${Other.c.id} = ${Author.c.id}`,
        sql`${Other.c.id} >= ${Author.c.id}`,
      ])
        expect(
          await caught(
            Author.query()
              .join(Post)
              .leftJoin(Other, either)
              .load(Author.distinct().load({ other: Other })),
          ),
        ).toMatchObject({ message: expect.stringMatching(/(several|many) of Post/) })
    })

    test('is shared at any place only with what there is one of', async () => {
      const { Author, Post, Comment } = await blog(driver)
      const posts = Post.query().orderBy(Post.c.id)
      const shared = (author: Parameters<typeof Author.load>[0]) =>
        posts.load(Post.load({ author: Author.distinct().load(author) }))
      expect(String(await caught(shared({ title: sql`upper(${Post.c.title})` })))).toMatch(/several of Post/)
      const peers = many(Post.alias('peer')).on(sql`"peer".score < ${Post.c.score}`)
      expect(String(await caught(shared({ peers })))).toMatch(/several of Post.*compare with the object alone/)
      expect(
        String(
          await caught(
            posts
              .leftJoin(Comment)
              .load([Post.distinct().load({ line: sql`lower(${Comment.c.line})` }), Comment] as const),
          ),
        ),
      ).toMatch(/several of Comment/)
      const fine = await shared({ name2: sql`upper(${Author.c.name})`, posts: many(Post.alias('own')) })
      expect(fine[0]?.author).toBe(fine[1]?.author)
      expect(fine.map(({ author }) => (author as unknown as { posts: unknown[] }).posts.length)).toEqual([3, 3, 3, 1])
    })
  })

  test('a single object over a join of the query is that object', async () => {
    const { Author, Post, Comment } = await blog(driver)
    const rows = await Comment.query()
      .leftJoin(Post)
      .leftJoin(Author, eq(Post.c.authorId, Author.c.id))
      .load(Comment.load({ post: Post.load({ author: Author, name2: Author.c.name }) }))
      .orderBy(Comment.c.id)
    expect(rows.map(({ post }) => [post?.title, post?.author?.name, post?.name2])).toEqual([
      ['a1', 'A', 'A'],
      ['a1', 'A', 'A'],
      ['b1', 'B', 'B'],
    ])
    const turned = await Author.query()
      .leftJoin(Post)
      .load(Post.load({ author: Author }))
      .orderBy(desc(Post.c.id))
    expect(turned.map((post) => post.author?.name)).toEqual(['C', 'B', 'A', 'A', 'A'])
    expect(
      await Author.query()
        .leftJoin(Post)
        .load([Author, Post] as const),
    ).toHaveLength(5)
    expect(await Author.query().join(Post).load(Author.distinct()).where(gt(Post.c.score, 0)).count()).toBe(2)
  })

  test('a unique foreign key that the query joins by is one object, and the table in between one row of a list', async () => {
    const db = await driver.db()
    const users = pgTable(await driver.table('id serial primary key, name text'), {
      id: serial().primaryKey(),
      name: text(),
    })
    const owner = () => integer('user_id').references(() => users.id)
    const badges = pgTable(
      await driver.table('id serial primary key, user_id int unique'),
      { id: serial().primaryKey(), userId: owner() },
      (table) => [uniqueIndex().on(table.userId)],
    )
    const tags = pgTable(await driver.table('id serial primary key, name text'), {
      id: serial().primaryKey(),
      name: text(),
    })
    const links = pgTable(
      await driver.table('user_id int, tag_id int, weight int, primary key (user_id, tag_id)'),
      {
        userId: owner(),
        tagId: integer('tag_id').references(() => tags.id),
        weight: integer(),
      },
      (table) => [primaryKey({ columns: [table.userId, table.tagId] })],
    )
    class User extends Model(db, users) {}
    class Badge extends Model(db, badges) {}
    class Tag extends Model(db, tags) {}
    class Link extends Model(db, links) {}
    await User.createMany([{ name: 'a' }, { name: 'b' }])
    await Badge.create({ userId: 2 })
    await Tag.create({ name: 'x' })
    await Link.createMany([
      { userId: 1, tagId: 1, weight: 10 },
      { userId: 2, tagId: 1, weight: 20 },
    ])

    const joined = User.query().leftJoin(Badge).orderBy(User.c.id)
    for (const loader of [User.load({ badge: Badge }), User.distinct().load({ badge: Badge })])
      expect((await joined.load(loader)).map(({ badge }) => badge?.id)).toEqual([undefined, 1])
    const weight = { weight: Link.c.weight }
    const weighed = (tag: ReturnType<typeof Tag.load<typeof Tag, typeof weight>>) =>
      User.query()
        .load(User.load({ tags: many(tag, { through: Link }) }))
        .orderBy(User.c.id)
    expect((await weighed(Tag.load(weight))).map((user) => user.tags.map((tag) => tag.weight))).toEqual([[10], [20]])
    expect(await caught(weighed(Tag.distinct().load(weight)))).toMatchObject({
      message: expect.stringMatching(/several of Link/),
    })
  })
})
