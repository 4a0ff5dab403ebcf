/** What JSON and `plain()` make of objects with lists, and the types of both. */

import { sql } from 'drizzle-orm'
import { literal, many, plain } from 'genever/models'
import { expect, expectTypeOf, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'
import { blog } from './support/blog.ts'

forEachDriver((driver) => {
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
