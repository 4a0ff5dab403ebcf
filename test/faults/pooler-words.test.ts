/**
 * What a pooler in between says by itself when it has lost its session of the server, or got none: behind the words of the server, in
 * their place, or with a ReadyForQuery behind as pgcat and PgDog do it. A proxy says it in the way that each of them does.
 */

import { ConnectionLostError, type EngineOptions, QueryError } from 'genever'
import { describe, expect, test } from 'vitest'
import { behind, type Behind } from '../support/behind.ts'
import { caught } from '../support/caught.ts'
import { freshDatabase, onServer } from '../support/database.ts'
import { type Link, type Moment, type Proxy, startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { errorResponse } from './messages.ts'

interface Place extends Behind {
  readonly proxy: Proxy
}

async function place(options: EngineOptions): Promise<Place> {
  const direct = await freshDatabase('create table t (n int)')
  const proxy = await startProxy(direct.url)
  const at = behind(direct, proxy, { pooler: 'transaction', pool: { max: 1 }, ...options })
  expect(await at.db.scalar('select 1')).toBe(1)
  return { ...at, proxy }
}

const insertDone: Moment = { to: 'client', type: 'C', text: 'INSERT 0 1', when: 'before' }
const says =
  (...words: readonly [severity: string, code: string, text: string]) =>
  (link: Link): void =>
    link.toClient.write(errorResponse(...words))

for (const driver of ['pg', 'socket'] as const)
  describe(driver, () => {
    test.each([
      ['Odyssey', 'ERROR', '08006', 'remote server read/write error'],
      ['PgBouncer', 'FATAL', '08P01', 'server conn crashed?'],
    ])('behind the words of a server that ends the session, those of %s change nothing', async (_, ...words) => {
      await using at = await place({ driver })
      at.proxy.on({ to: 'client', type: 'E', text: '57P01', when: 'after' }, (link) => {
        says(...words)(link)
        link.break('finish')
      })
      const told = caught(at.db.status('insert into t select 1 from pg_sleep(60)'))
      const sleeping = `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and wait_event = 'PgSleep'`
      await until(async () => (await onServer(sleeping, [at.direct.name])).length > 0)

      const error = await told

      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ outcome: 'unknown', retryable: false })
      expect(error.message).toContain('(SQLSTATE 57P01): terminating connection due to administrator command;')
      expect(await at.db.scalar('select 7')).toBe(7)
    })

    test('what the server has refused is refused, also if the pooler ends the connection before the server is ready', async () => {
      await using at = await place({ driver })
      at.proxy.on({ to: 'client', type: 'E', text: '22012', when: 'after' }, (link) => {
        says('FATAL', '08P01', 'unexpected message type from client')(link)
        link.break('finish')
      })
      const error = await caught(at.db.status('insert into t values (1 / $1::int)', [0]))

      expect(error).toBeInstanceOf(QueryError)
      expect(error).toMatchObject({ sqlState: '22012', outcome: 'rolled_back' })
      expect(await at.db.scalar('select 7')).toBe(7)
    })

    test('so is the statement of a transaction, whose other statements did run', async () => {
      await using at = await place({ driver })
      at.proxy.cut({ to: 'client', type: 'E', text: '22012', when: 'after' }, 'finish')
      const inside: unknown[] = []
      const error = await caught(
        at.db.transaction(async (tx) => {
          const run = [tx.scalar('select 5'), tx.scalar('select 1 / $1::int', [0]), tx.scalar('select 6')]
          inside.push(...(await Promise.allSettled(run)).map(({ status }) => status))
          await run[1]
        }),
      )

      expect(error).toMatchObject({ sqlState: '22012', outcome: 'rolled_back' })
      expect(inside).toEqual(['fulfilled', 'rejected', 'rejected'])
      expect(await at.db.scalar('select 7')).toBe(7)
    })

    test.each([
      ['pgcat', 'FATAL', '58000', 'error receiving data from server'],
      ['PgDog', 'ERROR', '58000', 'server connection closed unexpectedly'],
    ])(
      'a pooler that goes on without an answer, as %s does, says nothing of what the statement did',
      async (_, ...words) => {
        await using at = await place({ driver })
        at.proxy.on(insertDone, says(...words))
        const error = await caught(at.db.status('insert into t values (1)'))

        expect(error).toMatchObject({ sqlState: '58000', outcome: 'unknown', retryable: false })
        expect(await at.direct.query('select n from t')).toEqual([{ n: 1 }])
        expect(await at.db.scalar('select 7')).toBe(7)
      },
    )

    test('its own reason is in the error, without the advice to set the option that is set', async () => {
      const waited = async (options: EngineOptions): Promise<Error> => {
        await using at = await place({ driver, ...options })
        at.proxy.on(insertDone, (link) => {
          says('FATAL', '08P01', 'query_wait_timeout')(link)
          link.break('finish')
        })
        return await caught(at.db.status('insert into t values (1)'))
      }
      const error = await waited({})

      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error.message).toContain('(SQLSTATE 08P01): query_wait_timeout;')
      expect(error.message).not.toContain('set the option')
      expect((await waited({ pooler: undefined })).message).toContain("set the option pooler: 'transaction'")
    })
  })
