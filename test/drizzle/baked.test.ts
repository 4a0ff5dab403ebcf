/** Drizzle's builders, baked: built and compiled once, with Drizzle's placeholders or those of a function. */

import { desc, eq, gt, inArray, sql } from 'drizzle-orm'
import { type Baked, ParameterError } from 'genever'
import { beforeEach, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { full, kinds, kindsDdl } from './kinds.ts'
import { onBoth } from './support.ts'
import { posts, rowsSql, tablesDdl, users } from './tables.ts'

onBoth(`${tablesDdl}; ${kindsDdl}`, (bench) => {
  beforeEach(() => bench.both(`${rowsSql}; truncate kinds restart identity`))

  test('a function gets placeholders that are typed as its values', async () => {
    const byName = bench.db.bake((p: { name: string }) => bench.ours.select().from(users).where(eq(users.name, p.name)))

    expectTypeOf(byName).toExtend<Baked<typeof users.$inferSelect, { name: string }>>()
    expect(await byName.one({ name: 'ann' })).toEqual({
      id: 1,
      name: 'ann',
      nick: null,
      born: new Date('1990-01-02T03:04:05Z'),
    })
    expect(await byName.all({ name: 'nobody' })).toEqual([])
    expect(await byName.scalar({ name: 'bob' })).toBe(2)
    expect(await bench.db.transaction((tx) => tx.first(byName.bind({ name: 'bob' })))).toMatchObject({ nick: 'b' })
    expect(await byName.iterate({ name: 'cid' }).read()).toMatchObject({
      id: 3,
      born: new Date('2000-02-29T00:00:00Z'),
    })
  })

  test("Drizzle's own placeholders have names too", async () => {
    const query = bench.ours
      .select({ title: posts.title, author: users.name })
      .from(posts)
      .leftJoin(users, eq(posts.authorId, users.id))
      .where(gt(posts.id, sql.placeholder('after')))
      .orderBy(desc(posts.id))
      .limit(sql.placeholder('most'))
    const page = bench.db.bake(query)

    expect(await page.all({ after: 1, most: 5 })).toEqual([
      { title: 'third', author: null },
      { title: 'second', author: 'ann' },
    ])
    expect(await page.all({ after: 0, most: 1 })).toHaveLength(1)
    expect(await caught(page.all({ after: 0 }))).toBeInstanceOf(ParameterError)
    expect(await caught(bench.db.all(query))).toMatchObject({
      message: expect.stringContaining('db.bake(query)') as string,
    })
  })

  test('values go through their columns, and rows come as Drizzle decodes them', async () => {
    const add = bench.db.bake((p: { at: Date; data: unknown; big: bigint; name: string | null }) =>
      bench.ours.insert(kinds).values({ at: p.at, data: p.data, big: p.big, name: p.name, shout: 'Loud' }).returning(),
    )
    const find = bench.db.bake((p: { at: Date }) => bench.ours.select().from(kinds).where(eq(kinds.at, p.at)))
    const at = full.at as Date

    const added = await add.one({ at, data: { a: [1, 'x'] }, big: 9_007_199_254_740_993n, name: null })
    expect(added).toMatchObject({ at, data: { a: [1, 'x'] }, big: 9_007_199_254_740_993n, name: null, shout: 'LOUD' })
    expect(await add.one({ at, data: ['json', 'array'], big: 1n, name: 'x' })).toMatchObject({
      data: ['json', 'array'],
    })
    expect(await find.all({ at })).toHaveLength(2)
    expect(String(await add.executeMany([{ at, data: null, big: 2n, name: 'y' }]))).toBe('INSERT 0 1')
  })

  test('a value its column cannot take is a ParameterError that does not show it', async () => {
    const add = bench.db.bake((p: { shout: string }) => bench.ours.insert(kinds).values({ shout: p.shout }))
    expect(String(await add.status({ shout: 'Hey' }))).toBe('INSERT 0 1')
    const error = await caught(add.status({ shout: 4_711 as never }))

    expect(error).toBeInstanceOf(ParameterError)
    expect(String(error)).toContain(':shout')
    expect(String(error)).not.toContain('4711')
  })

  test('fragments of Drizzle and of Genever mix', async () => {
    const { db } = bench
    const ofDrizzle = db.bake(sql`select ${sql.placeholder('n')}::int + 1 as n`)
    const inside = db.bake(
      (p: { ids: number[] }) => sql`select name from users where id = any(${p.ids}::int[]) order by id`,
    )
    const list = db.bake((p: { a: number; b: number }) =>
      bench.ours
        .select()
        .from(users)
        .where(inArray(users.id, [p.a, p.b]))
        .orderBy(users.id),
    )

    expect(await ofDrizzle.scalar({ n: 41 })).toBe(42)
    expect(await inside.all({ ids: [3, 1] })).toEqual([{ name: 'ann' }, { name: 'cid' }])
    expect(await list.with({ loader: ({ name }) => name }).all({ a: 1, b: 2 })).toEqual(['ann', 'bob'])
  })
})
