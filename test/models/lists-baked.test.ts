/** A query with lists that is baked, or given to an executor, is written as the query that is awaited; a cursor reads it in another form. */

import { desc, eq, gt } from 'drizzle-orm'
import { many } from 'genever/models'
import { expect, test } from 'vitest'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { blog, titles } from './support/blog.ts'

type WithPosts = { readonly posts: readonly { readonly title: string }[] }

const seen = (found: unknown): string[] =>
  titles((Array.isArray(found) ? found : found === undefined ? [] : [found]) as WithPosts[])

forEachDriver((driver) => {
  test.each([true, false])(
    'is the same statement as the query that is not baked, whenever it was baked (index: %s)',
    async (index) => {
      const name = `baked ${driver.name} ${index}`
      const { db, Author, Post } = await blog(driver, { name, index })
      const query = Author.query()
        .load(Author.load({ posts: many(Post) }))
        .orderBy(Author.c.id)
      const above = (id: number) => query.where(gt(Author.c.id, id))
      const one = (id: number) => query.where({ id })
      const baked = db.bake(query)
      const bakedAbove = db.bake((p: { id: number }) => query.where(gt(Author.c.id, p.id)))
      const bakedOne = db.bake((p: { id: number }) => query.where(eq(Author.c.id, p.id)))
      const bakedByName = db.bake((p: { id: number }) => query.where({ id: p.id }))
      const loaded = db.bake(query, { loader: (row) => seen(row) })
      // Nothing is known of the relation yet.
      expect(seen(await baked.all())).toEqual(['a1 a2 a3', 'b1', ''])
      await query
      using heard = hear(name)
      const pairs: readonly (readonly [() => Promise<unknown>, () => Promise<unknown>])[] = [
        [() => query.all(), () => baked.all()],
        [() => query.all(), () => db.all(query)],
        [() => query.all(), () => db.all(baked.bind())],
        [() => query.first(), () => baked.first()],
        [() => query.first(), () => db.first(query)],
        [() => above(1).all(), () => bakedAbove.all({ id: 1 })],
        [() => above(1).first(), () => bakedAbove.first({ id: 1 })],
        [() => above(2).one(), () => bakedAbove.one({ id: 2 })],
        [() => above(9).oneOrNone(), () => bakedAbove.oneOrNone({ id: 9 })],
        [() => one(2).all(), () => bakedOne.all({ id: 2 })],
        [() => one(2).first(), () => bakedOne.first({ id: 2 })],
        [() => one(2).one(), () => bakedByName.one({ id: 2 })],
        [() => one(2).firstOr404(), () => bakedOne.bind({ id: 2 }).firstOr404()],
        [() => one(9).oneOrNone(), () => db.transaction((tx) => tx.oneOrNone(bakedOne.bind({ id: 9 })))],
      ]
      for (const [plain, other] of pairs) {
        const start = heard.statements.length
        const wanted = seen(await plain())
        expect(seen(await other())).toEqual(wanted)
        expect(seen(await other())).toEqual(wanted)
        const [first, ...others] = heard.statements.slice(start).map((statement) => statement.sql)
        const selects = others.filter((text) => !/^(begin|commit)/i.test(text))
        expect(selects).toEqual([first, first])
        expect(first).toContain(' union all ')
      }
      expect((await loaded.all()).flat()).toEqual(['a1 a2 a3', 'b1', ''])
      expect((await loaded.all()).flat()).toEqual(['a1 a2 a3', 'b1', ''])
    },
  )

  test('counts objects, gives their first column and goes through a cursor as it did', async () => {
    const name = `baked cursor ${driver.name}`
    const { db, Author, Post } = await blog(driver, { name, index: true })
    const query = Author.query()
      .load(Author.load({ posts: many(Post) }))
      .orderBy(desc(Author.c.id))
    const baked = db.bake(query)
    for (let n = 0; n < 3; n++) {
      expect(seen(await baked.all())).toEqual(['', 'b1', 'a1 a2 a3'])
      for (const status of [await baked.status(), await db.status(query)]) {
        expect(status.rowCount).toBe(3)
        expect(seen(status.rows)).toEqual(['', 'b1', 'a1 a2 a3'])
      }
      expect(await baked.scalar()).toBe(3)
      using heard = hear(name)
      const read: unknown[] = []
      for await (const row of baked.iterate({}, { batchSize: 1 })) read.push(row)
      expect(seen(read)).toEqual(['', 'b1', 'a1 a2 a3'])
      expect(heard.statements.some(({ sql }) => sql.includes(' union all '))).toBe(false)
      await query
    }
  })

  test('keeps the values it was bound to', async () => {
    const { db, Author, Post } = await blog(driver)
    const query = Author.query().load(Author.load({ posts: many(Post) }))
    const byId = db.bake((p: { id: number }) => query.where(eq(Author.c.id, p.id)))
    const given = { id: 1 }
    const bound = byId.bind(given)
    given.id = 2
    expect(seen(await bound.one())).toEqual(['a1 a2 a3'])
    expect(seen(await db.all(bound))).toEqual(['a1 a2 a3'])
    expect(seen(await bound.first())).toEqual(['a1 a2 a3'])
  })
})
