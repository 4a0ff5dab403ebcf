/** The text of a query that is like one before it is not written again: what differs is no part of it. */

import { asc, desc } from 'drizzle-orm'
import { many } from 'genever/models'
import { expect, test } from 'vitest'
import { fc } from '../support/fast-check.ts'
import { forEachDriver } from '../support/matrix.ts'
import { blog } from './support/blog.ts'

interface Row {
  readonly id: number
  readonly authorId: number | null
  readonly title: string
  readonly score: number
}

const rows: readonly Row[] = [
  { id: 1, authorId: 1, title: 'a1', score: 3 },
  { id: 2, authorId: 1, title: 'a2', score: 1 },
  { id: 3, authorId: 1, title: 'a3', score: 2 },
  { id: 4, authorId: 2, title: 'b1', score: 9 },
]
const lines: Readonly<Record<number, readonly (string | null)[]>> = {
  1: ['x', 'back\\slash "quoted" {1,2} (ü 💧)'],
  4: [null],
}

const asked = fc.record({
  where: fc.record(
    {
      id: fc.integer({ min: 1, max: 5 }),
      authorId: fc.constantFrom(null, 1, 2),
      title: fc.constantFrom('a1', 'b1'),
    },
    { requiredKeys: [] },
  ),
  falling: fc.boolean(),
  limit: fc.option(fc.integer({ min: 1, max: 3 })),
  offset: fc.option(fc.integer({ min: 0, max: 2 })),
  one: fc.boolean(),
  loads: fc.boolean(),
})

type Asked = typeof asked extends fc.Arbitrary<infer T> ? T : never

forEachDriver((driver) => {
  test('a query gives its own rows, whatever queries were like it before', async () => {
    const { Post, Comment } = await blog(driver, { index: true })
    const withComments = Post.load({ comments: many(Comment) })
    const ask = async ({ where, falling, limit, offset, one, loads }: Asked): Promise<unknown[]> => {
      let query = Post.where(where).orderBy(falling ? desc(Post.c.id) : asc(Post.c.id))
      if (limit !== null) query = query.limit(limit)
      if (offset !== null) query = query.offset(offset)
      if (!loads) {
        const found = one ? [await query.first()] : await query.all()
        return found.flatMap((post) => (post === undefined ? [] : [[post.id, null]]))
      }
      const loaded = query.load(withComments)
      const found = one ? [await loaded.first()] : await loaded.all()
      return found.flatMap((post) => (post === undefined ? [] : [[post.id, post.comments.map(({ line }) => line)]]))
    }

    await fc.assert(
      fc.asyncProperty(fc.array(asked, { minLength: 4, maxLength: 12 }), async (queries) => {
        for (const query of queries) {
          const { where, falling, limit, offset, one, loads } = query
          const fit = rows.filter((row) =>
            Object.entries(where).every(([key, value]) => row[key as keyof Row] === value),
          )
          const from = offset ?? 0
          const most = Math.min(limit ?? rows.length, one ? 1 : rows.length)
          const some = (falling ? fit.toReversed() : fit).slice(from, from + most)
          expect(await ask(query)).toEqual(some.map(({ id }) => [id, loads ? (lines[id] ?? []) : null]))
        }
      }),
      { numRuns: 40 },
    )
  })

  test('a query without an order, too: by its key, by others, and with another limit', async () => {
    const { Post, Comment } = await blog(driver, { index: true })
    const withComments = Post.load({ comments: many(Comment) })
    const query = Post.query().load(withComments)

    for (const id of [1, 2, 4, 5]) {
      const found = await query.where({ id }).all()
      expect(found.map((post) => [post.id, post.comments.map(({ line }) => line)])).toEqual(
        id === 5 ? [] : [[id, lines[id] ?? []]],
      )
      expect((await query.where({ id }).first())?.comments.length).toEqual(
        id === 5 ? undefined : (lines[id] ?? []).length,
      )
    }
    for (const authorId of [1, 2, 3])
      for (const limit of [1, 2, 3])
        expect(await query.where({ authorId }).limit(limit)).toHaveLength(
          Math.min(limit, rows.filter((row) => row.authorId === authorId).length),
        )
    for (const title of ['b1', 'a1', 'c1']) expect(await query.where({ title })).toHaveLength(title === 'c1' ? 0 : 1)
  })
})
