/** Relational queries: `relations` of 0.45, `defineRelations` of 1.0. */

import * as orm from 'drizzle-orm'
import { eq, sql } from 'drizzle-orm'
import { TransactionEndedError } from 'genever'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { is1, onBoth } from './support.ts'
import { posts, rowsSql, tablesDdl, users } from './tables.ts'

const anyOrm = orm as any

/** What both versions' configurations come to. */
const config: object = is1 ? relationsOf1() : relationsOf045()

function relationsOf1(): object {
  const relations = anyOrm.defineRelations({ users, posts }, (r: any) => ({
    users: { posts: r.many.posts() },
    posts: { author: r.one.users({ from: r.posts.authorId, to: r.users.id }) },
  }))
  return { relations }
}

function relationsOf045(): object {
  const userRelations = anyOrm.relations(users, ({ many }: any) => ({ posts: many(posts) }))
  const postRelations = anyOrm.relations(posts, ({ one }: any) => ({
    author: one(users, { fields: [posts.authorId], references: [users.id] }),
  }))
  return { schema: { users, posts, userRelations, postRelations } }
}

const byId = is1 ? { id: 'asc' } : (table: any, { asc }: any) => [asc(table.id)]
const only = (id: number): unknown => (is1 ? { id } : (table: any) => eq(table.id, id))

const shapes: Readonly<Record<string, (query: any) => PromiseLike<unknown>>> = {
  'many with many': (query) => query.users.findMany({ with: { posts: { orderBy: byId } }, orderBy: byId }),
  'many with one': (query) => query.posts.findMany({ with: { author: true }, orderBy: byId }),
  'both ways': (query) =>
    query.users.findMany({ with: { posts: { with: { author: true }, orderBy: byId } }, orderBy: byId }),
  'a part of the columns': (query) =>
    query.users.findMany({
      columns: { name: true },
      with: { posts: { columns: { at: true }, orderBy: byId } },
      orderBy: byId,
    }),
  'the first': (query) => query.users.findFirst({ where: only(1), with: { posts: { orderBy: byId } } }),
  'the first of none': (query) => query.users.findFirst({ where: only(-1) }),
  'an expression beside': (query) =>
    query.users.findMany({ extras: { loud: is1 ? sql`upper('x')` : sql`upper('x')`.as('loud') }, orderBy: byId }),
}

describe.each(['await', 'db.all'])('%s', (way) => {
  onBoth(
    tablesDdl,
    (bench) => {
      beforeEach(() => bench.both(rowsSql))

      test.each(Object.keys(shapes))('%s', async (name) => {
        const shape = shapes[name]!
        const theirs = await shape((bench.theirs as any).query)
        const made = shape((bench.ours as any).query)
        const ours = way === 'await' ? await made : await bench.db.all(made as any)

        const expected = way === 'await' || Array.isArray(theirs) ? theirs : theirs === undefined ? [] : [theirs]
        expect(ours).toEqual(expected)
      })
    },
    config,
  )
})

onBoth(
  tablesDdl,
  (bench) => {
    beforeEach(() => bench.both(rowsSql))
    const query = (): any => (bench.ours as any).query

    test('first and iterate take them too', async () => {
      const all = await query().users.findMany({ with: { posts: { orderBy: byId } }, orderBy: byId })
      const make = () => query().users.findMany({ with: { posts: { orderBy: byId } }, orderBy: byId })
      const seen: unknown[] = []
      for await (const row of bench.db.iterate(make(), { batchSize: 2 })) seen.push(row)

      expect(await bench.db.first(make())).toEqual(all[0])
      expect(seen).toEqual(all)
      expect(await bench.db.scalar(make())).toBe(1)
    })

    test('in a transaction they see what it wrote, through tx and through the instance', async () => {
      await bench.ours
        .transaction(async (tx) => {
          await tx.insert(users).values({ name: 'dan' })
          expect(await (tx as any).query.users.findMany()).toHaveLength(4)
          expect(await query().users.findMany()).toHaveLength(4)
          expect((tx as any).query).toBe((tx as any).query)
          tx.rollback()
        })
        .catch(() => {})

      expect(await query().users.findMany()).toHaveLength(3)
    })

    test('prepared, they run where they are executed', async () => {
      const prepared = query()
        .users.findFirst({ where: is1 ? { id: sql.placeholder('id') } : eq(users.id, sql.placeholder('id')) })
        .prepare('one')

      expect(await prepared.execute({ id: 2 })).toMatchObject({ name: 'bob' })
    })

    test('made in a transaction and awaited after it, they are refused', async () => {
      const kept = await bench.db.transaction(() => ({
        many: query().users.findMany(),
        first: query().users.findFirst(),
      }))

      expect(await caught(kept.many)).toBeInstanceOf(TransactionEndedError)
      expect(await caught(kept.first)).toBeInstanceOf(TransactionEndedError)
    })
  },
  config,
)
