/**
 * Something between the code and the server opens a transaction in front of a statement that stands alone, and never ends it, as pgpool-II
 * does in raw mode. A proxy does so: what was acknowledged is not committed.
 */

import { type Db, ProtocolError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import type { Proxy } from '../support/proxy.ts'
import { message } from './messages.ts'
import { type Site, site } from './support.ts'

/** In front of the next statement that has this text. */
function opensOne(proxy: Proxy, text: string): void {
  proxy.on({ to: 'server', text: `${text}, 0`, when: 'after' }, (link) => {
    proxy.on({ to: 'client', type: 'Z', when: 'after' }, () => {
      proxy.on({ to: 'client', type: 'C', text: 'BEGIN', when: 'before' }, () => {})
      proxy.on({ to: 'client', type: 'Z', when: 'before' }, () => {})
      link.toServer.write(message('Q', 'begin\0'))
    })
  })
}

const kinds: readonly (readonly [what: string, run: (db: Db) => Promise<unknown>])[] = [
  ['a statement without a scope', (db) => db.status('insert into t values (1)')],
  ['a read that writes by a function', (db) => db.scalar('select put(1)')],
  ['a statement of a scope', (db) => db.scope(() => db.status('insert into t values (1)'))],
  ['several statements in one text', (db) => db.status('insert into t values (1); insert into t values (2)')],
]

async function place(driver: 'pg' | 'socket'): Promise<Site> {
  const at = await site({ driver, pool: { max: 1 } })
  await at.direct.query(
    "create or replace function put(n int) returns int volatile language sql as 'insert into t values ($1) returning n'",
  )
  return at
}

for (const driver of ['pg', 'socket'] as const)
  describe(driver, () => {
    test.each(kinds)('%s fails, and says that it was rolled back', async (_, run) => {
      await using at = await place(driver)
      opensOne(at.proxy, 'select 5')
      await at.db.all('select 5, 0')
      const error = await caught(run(at.db))

      expect(error).toBeInstanceOf(ProtocolError)
      expect(error).toMatchObject({ outcome: 'rolled_back' })
      expect(error.message).toContain('a transaction is open behind a statement, and nobody began one')
      expect(await at.rows()).toEqual([])
      expect(await at.db.scalar('select 7')).toBe(7)
    })

    test('statements of others on the same connection are not taken for committed either', async () => {
      await using at = await place(driver)
      opensOne(at.proxy, 'select 5')
      await at.db.all('select 5, 0')
      const told = await Promise.allSettled([1, 2, 3].map((n) => at.db.status('insert into t values ($1)', [n])))
      const rows = await at.rows()

      expect(told[0]).toMatchObject({ status: 'rejected', reason: { outcome: 'rolled_back' } })
      expect(rows).toHaveLength(told.filter(({ status }) => status === 'fulfilled').length)
    })

    test('a transaction that a text has begun stays open', async () => {
      await using at = await place(driver)
      await using connection = await at.db.acquire()
      await connection.status('begin')
      await connection.status('insert into t values (1)')
      await connection.status('commit')
      await connection.status('begin; insert into t values (2)')
      await connection.status('insert into t values (3); commit')

      expect(await at.rows()).toEqual([1, 2, 3])
    })
  })
