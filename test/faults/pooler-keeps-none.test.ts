/** Poolers that keep no prepared statements for their clients, with `prepare: true`: it is noticed, and statements run unnamed. */

import { ConnectionLostError, createDb, type EngineOptions, InvalidOptionError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { hasPgBouncer, pgBouncerVersion, startPooler } from '../support/pooler.ts'
import { issueTogether, placeBehind, placeOf, preparedBehind, sessions } from './prepared-behind.ts'

let names = 0

for (const driver of ['pg', 'socket'] as const) {
  describe.skipIf(!hasPgBouncer)(`a PgBouncer that keeps none, ${pgBouncerVersion}, by ${driver}`, () => {
    test('is noticed before anything runs: statements run unnamed, none is refused, and it is told once', async () => {
      const name = `old ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name }, 0)
      const baked = at.db.bake<{ n: number }, [number]>('select $1::int as n')
      const ask = async (n: number): Promise<unknown> => [
        await at.db.scalar('select $1::int + 1', [n]),
        await at.db.transaction(async (tx) => [
          await tx.scalar('select $1::int + 1', [n]),
          await tx.scalar('select 7'),
        ]),
        await baked.scalar([n]),
      ]
      const asked = Array.from({ length: 60 }, (_, n) => n)
      expect(await Promise.all(asked.map(ask))).toEqual(asked.map((n) => [n + 1, [n + 1, 7], n]))

      expect(heard.notices.map(({ code, places }) => [code, places.length])).toEqual([['statements-unprepared', 1]])
      expect(heard.notices[0]?.message).toContain('max_prepared_statements')
      expect(await preparedBehind(at.db)).toEqual([])
    })

    test.runIf(driver === 'socket')(
      'is not known to hold its session, so what a scope issues waits for the answer in front of it',
      async () => {
        await using at = await placeBehind(driver, {}, 0)
        await at.direct.query('create table numbers as select n from generate_series(1, 5) as s (n)')
        await issueTogether(at.direct, at.pooler, false)
      },
    )

    test('prebake prepares nothing there', async () => {
      await using at = await placeBehind(driver, { prebake: true }, 0)
      const baked = at.db.bake<{ n: number }, [number]>('select $1::int as n')
      expect(await baked.scalar([1])).toBe(1)
      expect(await preparedBehind(at.db)).toEqual([])
    })
  })

  describe(`a pooler that ends connections over names, by ${driver}`, () => {
    test('is noticed when the first connection is opened, which is opened again', async () => {
      const name = `refusing ${++names}`
      using heard = hear(name)
      await using at = await placeOf((target) => startPooler(target, sessions), { driver, name, pool: { max: 3 } })
      await at.db.open()
      const ask = (): Promise<unknown> => at.db.scalar('select $1::int + 1', [1])
      expect(await Promise.all([ask(), ask(), ask()])).toEqual([2, 2, 2])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })
  })
}

test('a server without a pooler says the same, because it has the names as they were given', async () => {
  const name = `direct ${++names}`
  using heard = hear(name)
  await using direct = await freshDatabase()
  await using db = createDb(direct.url, { name, pooler: 'transaction', prepare: true })
  expect(await db.scalar('select 1')).toBe(1)
  expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
  expect(await db.scalar('select count(*)::int from pg_prepared_statements')).toBe(0)
})

test('a lost server is no pooler that keeps nothing', async () => {
  const name = `gone ${++names}`
  using heard = hear(name)
  await using direct = await freshDatabase()
  const pooler = await startPooler(direct.url, 1)
  await pooler[Symbol.asyncDispose]()
  await using db = createDb(pooler.url, { name, pooler: 'transaction', prepare: true })
  expect(await caught(db.open())).not.toBeInstanceOf(ConnectionLostError)
  expect(heard.notices).toEqual([])
})

test('it is refused where nothing can be prepared by name, and prebake without it', async () => {
  const refusal = async (options: EngineOptions): Promise<string> => {
    const error = await caught(createDb({ pooler: 'transaction', ...options }).open())
    expect(error).toBeInstanceOf(InvalidOptionError)
    return error.message
  }
  expect(await refusal({ prebake: true })).toContain('"prebake" of the engine contradicts pooler without prepare: true')
  expect(await refusal({ prepare: true, memory: true })).toContain(
    '"prepare" of the engine is not possible with pooler',
  )
})
