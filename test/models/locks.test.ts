/** Every lock with every method that asks for objects: it locks the rows of what it gives, or it is refused. */

import { asc, eq } from 'drizzle-orm'
import type { Db } from 'genever'
import { many, type ModelQuery } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { blog } from './support/blog.ts'

interface Found {
  readonly id: number
}
type Call = (query: ModelQuery<Found>, db: Db) => Promise<readonly unknown[]>

const ids = (found: readonly (Found | undefined)[]): number[] => found.map((one) => one?.id ?? 0)

/** What it gives of the objects 1, 2 and 3, and the rows that are then locked. */
const calls: Readonly<Record<string, { readonly call: Call; readonly locks: readonly number[] }>> = {
  await: { call: async (query) => ids(await query), locks: [1, 2, 3] },
  'all()': { call: async (query) => ids(await query.all()), locks: [1, 2, 3] },
  'limit()': { call: async (query) => ids(await query.limit(2)), locks: [1, 2] },
  'first()': { call: async (query) => ids([await query.first()]), locks: [1] },
  'firstOr404()': { call: async (query) => ids([await query.firstOr404()]), locks: [1] },
  'one()': { call: async (query) => ids([await query.limit(1).one()]), locks: [1] },
  'oneOrNone()': { call: async (query) => ids([await query.limit(1).oneOrNone()]), locks: [1] },
  'page()': { call: async (query) => ids((await query.limit(1).page()).rows), locks: [1, 2] },
  'iterate()': {
    call: async (query) => {
      const found: Found[] = []
      for await (const one of query.iterate({ batchSize: 1 })) found.push(one)
      return ids(found)
    },
    locks: [1, 2, 3],
  },
  'iterate() of a limit': {
    call: async (query) => {
      const found: Found[] = []
      for await (const one of query.limit(2).iterate({ batchSize: 1 })) found.push(one)
      return ids(found)
    },
    locks: [1, 2],
  },
  'read()': {
    call: async (query) => {
      await using cursor = query.iterate({ batchSize: 2 })
      return ids(await cursor.read(3))
    },
    locks: [1, 2, 3],
  },
}
/** The same by methods that know nothing of further statements. */
const oneStatement: typeof calls = {
  'scalar()': { call: async (query) => [await query.scalar()], locks: [1] },
  'status()': { call: async (query) => ids((await query.status()).rows), locks: [1, 2, 3] },
  'db.all()': { call: async (query, db) => ids(await db.all(query)), locks: [1, 2, 3] },
  'db.first()': { call: async (query, db) => ids([await db.first(query)]), locks: [1] },
}

const waits = { 'forUpdate()': {}, nowait: { nowait: true }, skipLocked: { skipLocked: true } } as const

forEachDriver(
  (driver) => {
    for (const [name, lock] of Object.entries(waits))
      for (const form of ['rows', 'joined', 'select-in'] as const)
        describe(`${name}, ${form === 'rows' ? 'without lists' : `lists by '${form}'`}`, () => {
          const asked = async () => {
            const { db, Author, Post } = await blog(driver, { index: true })
            const plain = Author.query().orderBy(asc(Author.c.id))
            const loaded = form === 'rows' ? plain : plain.load(Author.load({ posts: many(Post) }), { strategy: form })
            const free = (): Promise<number[]> =>
              db.detached(async () => ids(await db.transaction(() => plain.forUpdate({ skipLocked: true }).all())))
            return { db, Author, free, query: loaded.forUpdate(lock) as unknown as ModelQuery<Found> }
          }
          const all = Object.entries(form === 'select-in' ? calls : { ...calls, ...oneStatement })

          test('each method locks the rows of what it gives', async () => {
            const { db, query, free } = await asked()
            for (const [method, { call, locks }] of all) {
              await db.transaction(async () => {
                expect((await call(query, db))[0], method).toBe(1)
                expect(await free(), method).toEqual([1, 2, 3].filter((id) => !locks.includes(id)))
              })
              expect(await free(), method).toEqual([1, 2, 3])
            }
          })

          test('each method meets a row that another transaction has', async () => {
            const { db, Author, query } = await asked()
            for (const [method, { call }] of all) {
              const apart = (): Promise<readonly unknown[]> => db.detached(() => db.transaction(() => call(query, db)))
              let waiting: Promise<readonly unknown[]> | undefined
              await db.transaction(async () => {
                await Author.where({ id: 1 }).forUpdate()
                if (name === 'nowait') expect(await caught(apart()), method).toMatchObject({ name: 'LockTimeoutError' })
                else if (name === 'skipLocked') expect((await apart())[0], method).toBe(2)
                else {
                  waiting = apart()
                  await until(() => isBlocked(db), { what: `${method} waits` })
                }
              })
              if (waiting !== undefined) expect((await waiting)[0], method).toBe(1)
            }
          })

          test('what reads no rows is refused', async () => {
            const { db, Author, query } = await asked()
            const refusal = (message: RegExp): object => ({
              name: 'UsageError',
              message: expect.stringMatching(message),
            })
            for (const each of [query, query.limit(1), query.offset(1)]) {
              expect(await caught(each.count())).toMatchObject(refusal(/^count\(\) .* forUpdate\(\)/))
              expect(await caught(each.exists())).toMatchObject(refusal(/^exists\(\) .* forUpdate\(\)/))
            }
            const { id } = Author.c
            await db.transaction(async () => {
              for (const each of [query.groupBy(id), query.having(eq(id, 1))])
                for (const { call } of all.map(([, of]) => of))
                  expect(await caught(call(each, db))).toMatchObject(refusal(/forUpdate\(\) and groupBy\(\)/))
              const distinct = query.load(Author.distinct()) as unknown as typeof query
              for (const { call } of all.map(([, of]) => of))
                expect(await caught(call(distinct, db))).toMatchObject(refusal(/forUpdate\(\) and distinct\(\)/))
            })
          })

          test('a loop holds its locks until its end, or is refused outside of a transaction', async () => {
            const { query, free } = await asked()
            if (form === 'select-in') {
              expect(thrownBy(() => query.iterate())).toMatchObject({
                name: 'UsageError',
                message: expect.stringMatching(/db\.transaction/),
              })
              return
            }
            const seen: number[][] = []
            for await (const { id } of query.iterate({ batchSize: 1 })) seen.push([id, ...(await free())])
            expect(seen.map(([id]) => id)).toEqual([1, 2, 3])
            expect(seen.at(-1)).toEqual([3])
            expect(await free()).toEqual([1, 2, 3])
          })
        })
  },
  { connections: 3 },
)

function isBlocked(db: Db): Promise<boolean | undefined> {
  return db.detached(() =>
    db.scalar<boolean>(
      "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())",
    ),
  )
}
