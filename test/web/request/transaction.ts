/** A transaction around a request: committed before the answer is sent, or rolled back. */

import { type Db, NotFoundError, TransactionStateError } from 'genever'
import { describe, expect, test } from 'vitest'
import { hear } from '../../support/events.ts'
import { gate } from '../../support/gate.ts'
import { quiet } from '../../support/matrix.ts'
import { type Answer, type Route } from '../adapter.ts'
import { ask, head, send } from '../client.ts'
import { answers, get, never, post, type RequestTest } from './request-test.ts'

export function transactions({ adapter, driver, several, open, start, count }: RequestTest): void {
  describe('a transaction around a request', () => {
    const insert = (db: Db, table: string, text: string): Promise<unknown> =>
      db.status(`insert into ${table} values ($1)`, [text])

    const transactional = (db: Db, table: string): Route['work'] => {
      return async ({ query }) => {
        const end = query.get('end')
        await insert(db, table, end ?? '')
        if (end === 'throw') throw new TransactionStateError('boom')
        if (end === 'swallow') await db.scalar('select 1 / 0').catch(() => {})
        if (end === 'missing') throw new NotFoundError('Bottle is not found')
        return answers({ end }, { status: end === 'conflict' ? 409 : 201 })
      }
    }

    test('is committed before the answer is sent, and rolled back on a throw and on the status of an error', async () => {
      const { db, name } = await open()
      const table = await driver.table('text text')
      const routes = [post('/orders', transactional(db, table), { transaction: true })]
      await using app = await start({ db, routes })
      using heard = hear(name)
      const statuses: number[] = []
      for (const end of ['ok', 'throw', 'conflict', 'missing', 'swallow'])
        statuses.push((await ask(app.port, `POST /orders?end=${end}`)).status)
      await quiet(db)

      expect(statuses).toEqual([201, 500, 409, 404, 500])
      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'ok' }])
      const ends = heard.transactions.map(({ event }) => event).filter((event) => event !== 'begin')
      expect(ends).toEqual(['commit', 'rollback', 'rollback', 'rollback', 'rollback'])
    })

    test.skipIf(!several)('that takes its time to commit, or fails to, is never answered as done before', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      await db.status(`
        create function ${table}_check() returns trigger language plpgsql as $$ begin
          perform pg_sleep(0.2);
          if new.text = 'refused' then raise exception 'refused at commit'; end if;
          return null;
        end $$`)
      await db.status(`
        create constraint trigger checked after insert on ${table} deferrable initially deferred
        for each row execute function ${table}_check()`)
      const routes = [post('/orders', transactional(db, table), { transaction: true })]
      await using app = await start({ db, routes })
      const committed = await head(send(app.port, 'POST /orders?end=slow'))
      const seen = await count(db, table)
      committed.resume()
      const refused = await ask(app.port, 'POST /orders?end=refused')

      expect([committed.statusCode, seen]).toEqual([201, 1])
      expect([refused.status, await count(db, table)]).toEqual([500, 1])
      expect(JSON.stringify(refused.body)).not.toContain('"end"')
      await quiet(db)
    })

    test('borrows nothing without a statement, and is one transaction with those inside', async () => {
      const { db, name } = await open()
      const table = await driver.table('text text')
      const routes = [
        get('/none', () => answers('nothing'), { transaction: true }),
        get(
          '/nested',
          async () => {
            await db.transaction((tx) => insert(db, table, 'inner').then(() => tx.raiseRollback()))
            return answers(db.transaction(() => insert(db, table, 'kept').then(() => 'done')))
          },
          { transaction: true },
        ),
      ]
      await using app = await start({ db, routes })
      using heard = hear(name)

      expect((await ask(app.port, 'GET /none')).status).toBe(200)
      expect(heard.leases).toEqual([])
      expect((await ask(app.port, 'GET /nested')).status).toBe(200)
      await quiet(db)
      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'kept' }])
    })

    test('of a handler that never answers is rolled back when the client leaves, if the option cancels', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const begun = gate()
      const work = async (): Promise<Answer> => {
        await insert(db, table, 'lost')
        begun.open()
        return never()
      }
      const routes = [post('/orders', work, { transaction: true })]
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes })
      const sent = send(app.port, 'POST /orders')
      await begun.promise
      sent.destroy()
      await quiet(db)

      expect(await count(db, table)).toBe(0)
    })

    test.skipIf(adapter.general === false)('can be had for every request by option', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const routes = [post('/orders', transactional(db, table))]
      await using app = await start({ db, options: { transaction: true }, routes })
      for (const end of ['ok', 'throw', 'conflict']) await ask(app.port, `POST /orders?end=${end}`)
      await quiet(db)

      expect(await db.all(`select text from ${table}`)).toEqual([{ text: 'ok' }])
    })

    test.skipIf(adapter.general === false)('has the options of a transaction', async () => {
      const { db } = await open()
      const options = {
        isolation: 'repeatable read',
        idleTimeoutMs: 40_000,
        resolveCommitMs: 500,
        readOnly: true,
      } as const
      const work = (): Promise<Answer> =>
        answers(
          db.one(`select current_setting('transaction_isolation') as isolation,
          current_setting('transaction_read_only') as "readOnly", current_setting('idle_in_transaction_session_timeout') as idle`),
        )
      await using app = await start({ db, options: { transaction: options }, routes: [get('/settings', work)] })

      const { body } = await ask(app.port, 'GET /settings')
      // PGlite has no limit for idle transactions: nobody else waits for their locks.
      const idle = driver.name === 'pglite' ? '0' : '40s'
      expect(body).toEqual({ isolation: 'repeatable read', readOnly: 'on', idle })
    })
  })
}
