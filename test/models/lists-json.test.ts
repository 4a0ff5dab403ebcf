/** What JSON and `plain()` make of objects with lists, and the types of both. */

import { desc, eq, gt, sql } from 'drizzle-orm'
import { literal, many, plain } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
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
})
