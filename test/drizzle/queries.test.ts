/** Queries of every shape, awaited: as the same Drizzle answers them on a pool of its own. */

import { and, count, desc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import { alias, union } from 'drizzle-orm/pg-core'
import { beforeEach, expect, test } from 'vitest'
import { hear } from '../support/events.ts'
import { ambientOn, type Drizzle, onBoth, same } from './support.ts'
import { posts, rowsSql, tablesDdl, titles, users } from './tables.ts'

const shapes: Readonly<Record<string, (q: Drizzle) => PromiseLike<unknown>>> = {
  'a whole table': (q) => q.select().from(users).orderBy(users.id),
  'no rows': (q) => q.select().from(users).where(eq(users.id, -1)),
  'conditions and a page': (q) =>
    q
      .select()
      .from(users)
      .where(and(gt(users.id, 0), or(isNull(users.nick), lt(users.id, 3))))
      .orderBy(desc(users.id))
      .limit(2)
      .offset(1),
  'a left join': (q) =>
    q.select().from(users).leftJoin(posts, eq(posts.authorId, users.id)).orderBy(users.id, posts.id),
  'a right join': (q) => q.select().from(users).rightJoin(posts, eq(posts.authorId, users.id)).orderBy(posts.id),
  'a full join': (q) =>
    q.select().from(users).fullJoin(posts, eq(posts.authorId, users.id)).orderBy(users.id, posts.id),
  'an inner join': (q) => q.select().from(users).innerJoin(posts, eq(posts.authorId, users.id)).orderBy(posts.id),
  'a join of a table with itself': (q) => {
    const other = alias(users, 'other')
    return q.select().from(users).leftJoin(other, gt(other.id, users.id)).orderBy(users.id, other.id)
  },
  'a part of the columns': (q) => q.select({ who: users.name, when: users.born }).from(users).orderBy(users.id),
  'nested parts': (q) =>
    q
      .select({ id: users.id, post: { title: posts.title, at: posts.at } })
      .from(users)
      .leftJoin(posts, eq(posts.authorId, users.id))
      .orderBy(users.id, posts.id),
  'tables as parts': (q) =>
    q.select({ user: users, post: posts }).from(users).leftJoin(posts, eq(posts.authorId, users.id)).orderBy(posts.id),
  'expressions that are decoded': (q) =>
    q
      .select({
        n: count(),
        upper: sql<string>`max(upper(${users.name}))`,
        twice: sql`sum(${users.id}) * 2`.mapWith(Number),
      })
      .from(users),
  groups: (q) =>
    q
      .select({ author: posts.authorId, n: count(posts.id) })
      .from(posts)
      .groupBy(posts.authorId)
      .orderBy(posts.authorId),
  distinct: (q) => q.selectDistinct({ author: posts.authorId }).from(posts).orderBy(posts.authorId),
  'a CTE': (q) => {
    const written = q.$with('written').as(
      q
        .select({ author: posts.authorId, n: count().as('n') })
        .from(posts)
        .groupBy(posts.authorId),
    )
    return q
      .with(written)
      .select({ name: users.name, n: written.n })
      .from(users)
      .innerJoin(written, eq(written.author, users.id))
  },
  'a subquery': (q) => {
    const latest = q
      .select({ author: posts.authorId, at: sql`max(${posts.at})`.mapWith(posts.at).as('latest') })
      .from(posts)
      .groupBy(posts.authorId)
      .as('l')
    return q
      .select({ name: users.name, latest: latest.at })
      .from(users)
      .leftJoin(latest, eq(latest.author, users.id))
      .orderBy(users.id)
  },
  'a union': (q) =>
    union(q.select({ text: users.name }).from(users), q.select({ text: posts.title }).from(posts)).orderBy(sql`1`),
  'a view': (q) => q.select().from(titles).orderBy(titles.id),
  'a dynamic query': (q) => {
    const query = q.select().from(users).$dynamic()
    return query.where(gt(users.id, 1)).orderBy(users.id)
  },
  $count: (q) => q.$count(users),
  '$count with a condition': (q) => q.$count(users, gt(users.id, 1)),
  '$count as a column': (q) =>
    (q as any)
      .select({ name: users.name, n: q.$count(posts, eq(posts.authorId, users.id)) })
      .from(users)
      .orderBy(users.id),
  'an insert with returning': (q) =>
    q
      .insert(users)
      .values([{ name: 'dan' }, { name: 'eve', born: new Date(0) }])
      .returning(),
  'an insert with a part returned': (q) => q.insert(users).values({ name: 'dan' }).returning({ key: users.id }),
  'an upsert': (q) =>
    q
      .insert(users)
      .values({ name: 'ann' })
      .onConflictDoUpdate({ target: users.name, set: { nick: 'a' } })
      .returning(),
  'an insert that does nothing': (q) => q.insert(users).values({ name: 'ann' }).onConflictDoNothing().returning(),
  'an update with returning': (q) => q.update(users).set({ nick: 'x' }).where(lt(users.id, 3)).returning(),
  'a delete with returning': (q) => q.delete(posts).where(eq(posts.id, 3)).returning(),
  'a prepared query': (q) =>
    q
      .select()
      .from(users)
      .where(eq(users.id, sql.placeholder('id')))
      .prepare('by_id')
      .execute({ id: 2 }),
  'a prepared insert': (q) =>
    q
      .insert(users)
      .values({ name: sql.placeholder('name') })
      .returning()
      .prepare('new')
      .execute({ name: 'dan' }),
}

onBoth(tablesDdl, (bench) => {
  beforeEach(() => bench.both(rowsSql))

  test.each(Object.keys(shapes))('%s', async (name) => {
    const query = shapes[name]!

    expect(await same(bench, query)).toBeDefined()
  })

  test.each(Object.keys(shapes).filter((name) => !/count|prepared/.test(name)))('%s, given to db.all', async (name) => {
    const query = shapes[name]!
    const all = (await bench.db.all(query(bench.ours) as any)) as unknown

    expect(all).toEqual(await query(bench.theirs))
  })

  test.each(['an insert', 'an update', 'a delete'])('%s without returning says how many rows', async (what) => {
    const run = async (q: Drizzle): Promise<unknown> => {
      const { command, rowCount, rows } = await (what === 'an insert'
        ? q.insert(users).values([{ name: 'dan' }, { name: 'eve' }])
        : what === 'an update'
          ? q.update(users).set({ nick: 'x' })
          : q.delete(posts))
      return { command, rowCount, rows }
    }

    expect(await run(bench.ours)).toEqual(await run(bench.theirs))
  })

  test('a prepared query runs in whatever transaction there is when it is executed', async () => {
    const { db, ours } = bench
    const byName = ours
      .select()
      .from(users)
      .where(eq(users.name, sql.placeholder('name')))
      .prepare('by_name')
    const made = await db.transaction(() => ours.insert(users).values({ name: 'tom' }).prepare('tom'))

    await db.transaction(async (tx) => {
      await made.execute()
      expect(await byName.execute({ name: 'tom' })).toHaveLength(1)
      tx.raiseRollback()
    })
    expect(await byName.execute({ name: 'tom' })).toEqual([])
  })

  test('statements are named by the engine, whatever a builder calls them', async () => {
    const db = await bench.open({ name: `names_${bench.driver}` })
    const q = ambientOn(db)
    using heard = hear(`names_${bench.driver}`)
    for (const id of [1, 2]) {
      await q.select({ id: users.id }).from(users).where(eq(users.id, id)).prepare('same').execute()
      await q.select({ name: users.name }).from(users).where(eq(users.id, id)).prepare('same').execute()
    }
    const names = await db.all<{ name: string }>('select name from pg_prepared_statements')

    expect(heard.statements.filter(({ error }) => error !== undefined)).toEqual([])
    expect(names.map(({ name }) => name)).not.toContain('same')
  })

  test('many builders at once', async () => {
    const ids = await Promise.all([1, 2, 3].map((id) => bench.ours.select().from(users).where(eq(users.id, id))))

    expect(ids.map(([row]) => row?.id)).toEqual([1, 2, 3])
  })
})
