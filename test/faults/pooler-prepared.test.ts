/**
 * Statements prepared by name through PgBouncer 1.21 and newer, with `pooler: 'transaction'` and `prepare: true`: what stays prepared, and
 * a pooler that stops keeping them. PGBOUNCER names another program than that of the system.
 */

import { QueryError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { keepsStatements, pgBouncerVersion, wrongAnswers } from '../support/pooler.ts'
import { issueTogether, placeBehind, preparedBehind } from './prepared-behind.ts'

let names = 0

for (const driver of ['pg', 'socket'] as const) {
  const title = keepsStatements
    ? `PgBouncer ${pgBouncerVersion}, by ${driver}`
    : `PgBouncer 1.21 or newer, by ${driver}: not here, set PGBOUNCER to run it`
  describe.skipIf(!keepsStatements)(title, () => {
    test('statements of many callers on two sessions are prepared, and each is answered by its own parameters', async () => {
      await using at = await placeBehind(driver)

      expect(await wrongAnswers(at.db, 20)).toEqual([])
      expect(await at.direct.query(`select count(*)::int as n from t where who = 'b'`)).toEqual([{ n: 400 }])
      expect(await preparedBehind(at.db)).toEqual(
        expect.arrayContaining([
          'PGBOUNCER: select $1::int + 0',
          'PGBOUNCER: select who from t where n = $1',
          'PGBOUNCER: insert into t values ($1, $2)',
        ]),
      )
    })

    test('nothing is told, and the probe stays nowhere', async () => {
      const name = `kept ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name })
      await at.db.open()
      expect(await at.db.scalar('select 1')).toBe(1)
      expect(heard.notices).toEqual([])
      expect((await preparedBehind(at.db)).filter((text) => !text.startsWith('PGBOUNCER'))).toEqual([])
    })

    test('more texts than are kept, here and by the pooler', async () => {
      await using at = await placeBehind(driver, { statementCacheSize: 3 }, 2)
      const ask = async (n: number): Promise<unknown> => [
        await at.db.scalar(`select $1::int + ${n % 9}`, [n]),
        await at.db.transaction((tx) =>
          Promise.all([tx.scalar(`select $1::int * ${n % 7}`, [n]), tx.scalar(`select $1::int - ${n % 5}`, [n])]),
        ),
      ]
      const asked = Array.from({ length: 120 }, (_, n) => n)
      expect(await Promise.all(asked.map(ask))).toEqual(asked.map((n) => [n + (n % 9), [n * (n % 7), n - (n % 5)]]))
    })

    test('cursors, several statements in one text and nested transactions stand beside it', async () => {
      await using at = await placeBehind(driver)
      for (let n = 0; n < 3; n++) {
        const rows: unknown[] = []
        for await (const row of at.db.iterate('select n from generate_series(1, $1::int) as s (n)', [7], {
          batchSize: 3,
        }))
          rows.push(row['n'])
        expect(rows).toEqual([1, 2, 3, 4, 5, 6, 7])
        expect((await at.db.status('select 1; select 2 as n')).rows).toEqual([{ n: 2 }])
        await at.db.transaction(async (tx) => {
          await tx.transaction(async (inner) => {
            await inner.scalar('select $1::int', [n])
            inner.raiseRollback()
          })
          expect(await tx.scalar('select $1::int', [n])).toBe(n)
          expect(await tx.first('select n from generate_series(1, 3) as s (n)')).toEqual({ n: 1 })
        })
      }
    })

    test('prebake prepares what was baked, and tells what the server refuses', async () => {
      const name = `prebaked ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name, prebake: true, pool: { max: 1 } })
      const one = at.db.bake<{ n: number }, [number]>(`select $1::int as n, 'prebaked'`)
      const list = at.db.bake<{ n: boolean }, [number[]]>('select 1 = any($1::int[]) as n')
      const missing = at.db.bake<{ n: number }>('select n from later')
      await at.db.open()
      expect(await preparedBehind(at.db)).toContain(`PGBOUNCER: select $1::int as n, 'prebaked'`)
      expect(heard.notices.map(({ code }) => code)).toEqual(['prebake-failed'])
      for (let n = 0; n < 3; n++) {
        expect(await one.scalar([n])).toBe(n)
        expect(await list.scalar([[n]])).toBe(n === 1)
        expect(await caught(missing.all())).toMatchObject({ sqlState: '42P01' })
      }
      await at.direct.query('create table later as select 1 as n')
      expect(await missing.scalar()).toBe(1)
    })

    test('DEALLOCATE ALL takes all away, and they are prepared again', async () => {
      const name = `taken ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name, pool: { max: 2 } })
      for (let n = 0; n < 4; n++) {
        expect(await Promise.all([1, 2].map((each) => at.db.scalar('select $1::int + 1', [each])))).toEqual([2, 3])
        await at.db.status(n % 2 === 0 ? 'deallocate all' : 'discard all')
      }
      expect(await Promise.all([1, 2].map((each) => at.db.scalar('select $1::int + 1', [each])))).toEqual([2, 3])
      // PgBouncer 1.21 does not see that they are gone.
      if (!pgBouncerVersion.startsWith('1.21.')) expect(heard.notices).toEqual([])
    })

    const text = 'select $1::int + 1'

    test('a pooler that stops keeping them: what runs alone goes on, unnamed, and it is told once', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name, pool: { max: 1 } })
      expect(await at.db.scalar(text, [1])).toBe(2)
      await at.pooler.keep(0)
      expect(await Promise.all([1, 2, 3].map((n) => at.db.scalar(text, [n])))).toEqual([2, 3, 4])
      for (let n = 0; n < 5; n++) expect(await at.db.transaction((tx) => tx.scalar(text, [1]))).toBe(2)
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })

    test.runIf(driver === 'socket')(
      'what a scope issues outside of a transaction goes out without waiting for the answer in front of it',
      async () => {
        await using at = await placeBehind(driver)
        await at.direct.query('create table numbers as select n from generate_series(1, 5) as s (n)')
        await issueTogether(at.direct, at.pooler, true)
      },
    )

    test('a pooler that stops keeping them inside a transaction: it fails with the advice, the next runs unnamed', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name, pool: { max: 1 } })
      const work = (between: () => Promise<void>): Promise<unknown> =>
        at.db.transaction(async (tx) => {
          await tx.status('insert into t values (1)')
          await between()
          return tx.scalar(text, [1])
        })
      const nothing = async (): Promise<void> => {}
      expect(await work(nothing)).toBe(2)
      const error = await caught(work(() => at.pooler.keep(0)))
      expect(error).toBeInstanceOf(QueryError)
      expect(error).toMatchObject({ sqlState: '26000', outcome: 'rolled_back' })
      expect(error.message).toContain('prepare: true only if')
      for (let n = 0; n < 3; n++) expect(await work(nothing)).toBe(2)
      expect(await at.direct.query('select count(*)::int as n from t')).toEqual([{ n: 4 }])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })

    test('a pooler that stops keeping them between two transactions: the next one begins again, unnamed', async () => {
      const name = `stopped ${++names}`
      using heard = hear(name)
      await using at = await placeBehind(driver, { name, pool: { max: 1 } })
      const work = (): Promise<unknown> =>
        at.db.transaction(async (tx) => {
          await tx.status('insert into t values (1)')
          return tx.scalar(text, [1])
        })
      expect(await work()).toBe(2)
      await at.pooler.keep(0)
      for (let n = 0; n < 3; n++) expect(await work()).toBe(2)
      expect(await at.direct.query('select count(*)::int as n from t')).toEqual([{ n: 4 }])
      expect(heard.notices.map(({ code }) => code)).toEqual(['statements-unprepared'])
    })
  })
}
