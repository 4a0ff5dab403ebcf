/** The signals of Kysely 0.29: what was not sent is not sent, what runs is left alone or cancelled, as was asked. */

import { type CompiledQuery, Kysely, type QueryResult, sql } from 'kysely'
import { geneverDialect } from 'genever/kysely'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver, quiet } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { people, type Tables } from './support.ts'

interface Abortable {
  readonly signal: AbortSignal
  readonly inflightQueryAbortStrategy?: 'ignore query' | 'cancel query' | 'kill session'
}

/** Typed for 0.29; on 0.28 these tests are left out. */
const hasSignals = '$extendTables' in Kysely.prototype

const run = (k: Kysely<Tables>, query: CompiledQuery, options: Abortable): Promise<QueryResult<unknown>> =>
  k.executeQuery(query, options)

describe.skipIf(!hasSignals)('signals', () => {
  // Kysely prints what a statement comes to after its caller has gone.
  beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}))
  afterEach(() => void vi.restoreAllMocks())

  forEachDriver((driver) => {
    test('an aborted signal sends nothing', async () => {
      const { db, k, person, names } = await people(driver)
      const reason = new TypeError('gone')
      const options = { signal: AbortSignal.abort(reason) }

      expect(await caught(k.insertInto(person).values({ name: 'Ann' }).execute(options))).toBe(reason)
      expect(await caught(k.connection().execute(async () => {}, options))).toBe(reason)
      expect(await names()).toEqual([])
      expect(doing(db)).toMatch(/^0 lent/)
    })

    test('a statement that waits for a connection is withdrawn', async () => {
      const { db, k, person, names } = await people(driver, { pool: { max: 1 } })
      const plain = new Kysely<Tables>({ dialect: geneverDialect(db) })
      for (const each of [k, plain]) {
        const held = await db.acquire()
        const controller = new AbortController()
        const waiting = each.insertInto(person).values({ name: 'Ann' }).execute({ signal: controller.signal })
        await until(() => db.stats().waiting === 1)
        controller.abort(new TypeError('gone'))

        expect((await caught(waiting)).message).toBe('gone')
        await held.release()
        await quiet(db)
      }

      expect(await names()).toEqual([])
    })
  })

  forEachDriver(
    (driver) => {
      test('by default a statement that runs goes on, and "cancel query" cancels it on the server', async () => {
        const { db, k, person } = await people(driver)
        const sleeping = sql`select pg_sleep(20)`.compile(k)
        const busy = async (): Promise<boolean> =>
          Number(
            await db.scalar(
              `select count(*) from pg_stat_activity where query = 'select pg_sleep(20)' and state = 'active' and datname = current_database()`,
            ),
          ) > 0

        const controller = new AbortController()
        const cancelled = run(k, sleeping, {
          signal: controller.signal,
          inflightQueryAbortStrategy: 'cancel query',
        })
        await until(busy)
        controller.abort(new TypeError('gone'))
        expect((await caught(cancelled)).message).toBe('gone')
        await until(async () => !(await busy()))
        await quiet(db)

        const [taken, held] = [gate(), gate()]
        const left = new AbortController()
        const locked = db.transaction(async () => {
          await db.status(`lock table ${person} in access exclusive mode`)
          taken.open()
          await held.promise
        })
        await taken.promise
        const ignored = run(k, k.selectFrom(person).select('id').compile(), { signal: left.signal })
        await until(
          async () =>
            Number(
              await db.scalar(
                'select count(*) from pg_locks where not granted and pid in (select pid from pg_stat_activity where datname = current_database())',
              ),
            ) > 0,
        )
        left.abort(new TypeError('gone'))
        expect((await caught(ignored)).message).toBe('gone')
        expect(
          Number(
            await db.scalar(
              'select count(*) from pg_locks where not granted and pid in (select pid from pg_stat_activity where datname = current_database())',
            ),
          ),
        ).toBe(1)
        held.open()
        await locked
        await quiet(db)
      })

      test('"kill session" is refused', async () => {
        const { k } = await people(driver)
        const { signal } = new AbortController()

        const error = await caught(
          run(k, sql`select 1`.compile(k), { signal, inflightQueryAbortStrategy: 'kill session' }),
        )

        expect(error.message).toContain('"cancel query"')
      })

      test('a stream ends, and its cursor is closed', async () => {
        const { db, k } = await people(driver)
        const controller = new AbortController()
        const numbers = k.selectFrom(sql<{ i: number }>`generate_series(1, 100)`.as<'i'>(sql`g(i)`)).select('i')

        const error = await caught(
          (async () => {
            for await (const { i } of numbers.stream({ chunkSize: 5, signal: controller.signal }))
              if (i === 7) controller.abort(new TypeError('gone'))
          })(),
        )

        expect(error.message).toBe('gone')
        await quiet(db)
      })
    },
    { connections: 3 },
  )
})
