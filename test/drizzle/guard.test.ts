/** What `make` may return, and other ways to build Drizzle: PGlite's entry and the proxy, and no `pg` at all. */

import { eq, sql, TransactionRollbackError } from 'drizzle-orm'
import * as nodePg from 'drizzle-orm/node-postgres'
import { drizzle as onPglite } from 'drizzle-orm/pglite'
import { drizzle as onProxy } from 'drizzle-orm/pg-proxy'
import { UsageError } from 'genever'
import { ambient } from 'genever/drizzle'
import pg from 'pg'
import { beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { full, kinds, kindsDdl, odd } from './kinds.ts'
import { type Drizzle, onBoth } from './support.ts'

const { drizzle } = nodePg
/** The proxy of 1.0 has none of its own. */
const { nodePgCodecs: codecs } = nodePg as { nodePgCodecs?: unknown }

const session = { prepareQuery: () => {}, client: null }

onBoth(kindsDdl, (bench) => {
  test.each([
    ['nothing', undefined],
    ['no Drizzle', {}],
    ['a builder without a session', { _: {} }],
    ['an older or newer Drizzle', { _: { session } }],
    ['a pre-release of 1.0', { _: { session: { ...session, all: () => {}, prepareRelationalQuery: () => {} } } }],
  ])('%s is refused, naming the versions', (_, made) => {
    const error = thrownBy(() => ambient(bench.db, () => made as object))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toMatch(/0\.36\.4 up to 0\.45, and 1\.0\.0-rc\.5.*Found: (?:0\.45|1)\./)
  })

  test('a Drizzle on another client is refused', async () => {
    const pool = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' })
    const error = thrownBy(() => ambient(bench.db, () => drizzle({ client: pool })))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('on the client it gets')
    await pool.end()
  })

  test('the type of the instance is that of drizzle(), its own client included', () => {
    const q = ambient(bench.db, (client) => drizzle({ client }))

    expectTypeOf(q).toEqualTypeOf(drizzle({ client: {} as any }))
  })

  const entries: Readonly<Record<string, () => Drizzle>> = {
    'drizzle-orm/pglite': () => ambient(bench.db, (client) => onPglite({ client })) as unknown as Drizzle,
    'drizzle-orm/pg-proxy': () =>
      ambient(bench.db, (client) => onProxy(client, { codecs } as object)) as unknown as Drizzle,
  }

  describe.each(Object.keys(entries))('%s', (name) => {
    beforeEach(() => bench.both('truncate kinds restart identity'))

    test('reads and writes every kind of column', async () => {
      const q = entries[name]!()
      for (const values of [full, odd]) {
        const [mine] = await q.insert(kinds).values(values).returning()
        const [other] = await bench.theirs.insert(kinds).values(values).returning()
        expect(mine).toEqual(other)
      }
      expect(await q.select().from(kinds).orderBy(kinds.id)).toEqual(
        await bench.theirs.select().from(kinds).orderBy(kinds.id),
      )
      expect(await bench.db.all(q.select().from(kinds).orderBy(kinds.id))).toEqual(
        await bench.theirs.select().from(kinds).orderBy(kinds.id),
      )
      expect(await q.$count(kinds)).toBe(2)
      expect(await bench.db.status(q.delete(kinds).where(eq(kinds.id, 1)))).toMatchObject({ rowCount: 1 })
    })

    test('has transactions, nested and rolled back by rollback()', async () => {
      const q = entries[name]!()
      const error = await caught(
        q.transaction(async (tx) => {
          await tx.insert(kinds).values(odd)
          await tx
            .transaction(async (inner) => {
              await inner.insert(kinds).values(odd)
              expect(await bench.db.scalar('select count(*) from kinds')).toBe(2)
              inner.rollback()
            })
            .catch(() => {})
          expect(await tx.$count(kinds)).toBe(1)
          tx.rollback()
        }),
      )

      expect(error).toBeInstanceOf(TransactionRollbackError)
      expect(await q.$count(kinds)).toBe(0)
    })

    test('text answers as that entry does', async () => {
      const answer: unknown = await entries[name]!().execute(sql`select 1::int8 as big`)
      const rows = Array.isArray(answer) ? answer : (answer as { rows: unknown }).rows

      expect(rows).toEqual([{ big: '1' }])
    })
  })
})
