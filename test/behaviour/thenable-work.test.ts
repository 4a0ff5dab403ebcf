/** A callback may return a query that is not awaited: it runs inside of what the callback was for. */

import { type Db, sql, type SqlQuery } from 'genever'
import { expect, test } from 'vitest'
import { forEachDriver } from '../support/matrix.ts'

interface Seen {
  tenant: string
  within: boolean
}

const settings = { 'app.tenant': '7' }

forEachDriver((driver) => {
  const look = (db: Db): SqlQuery<Seen> =>
    db.sql<Seen>`select current_setting('app.tenant', true) as tenant, txid_current_if_assigned() is not null as within`

  test('of a scope, and what is inside of it', async () => {
    const db = await driver.single()
    const inside = { tenant: '7', within: false }

    expect(await db.scope(() => look(db), { settings })).toEqual([inside])
    expect(await db.scope(() => db.scope(() => look(db)), { settings })).toEqual([inside])
    expect(await db.scope(() => db.idle(() => look(db)), { settings })).toEqual([inside])
    expect(await db.scope((connection) => connection.run(() => look(db)), { settings })).toEqual([inside])
    expect(await db.detached(() => look(db), { settings })).toEqual([inside])
  })

  test('of a transaction, also of one with a time limit or a nested one', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const write = (): SqlQuery<{ xmin: string }> =>
      db.sql<{ xmin: string }>`insert into ${sql.identifier(table)} values (1)`

    for (const options of [{}, { timeoutMs: 60_000 }, { retry: 1 }]) {
      await db.transaction(async () => {
        await db.sql`insert into ${sql.identifier(table)} values (0)`
        expect(await db.transaction(() => look(db))).toMatchObject([{ within: true }])
      }, options)
      await db
        .transaction(async (tx) => {
          await db.transaction(() => write(), options.timeoutMs === undefined ? {} : options)
          await tx.run(() => write())
          throw new TypeError('left')
        }, options)
        .catch(() => {})
      expect(await db.transaction(() => look(db), options)).toHaveLength(1)
    }
    expect(await db.scalar(`select count(*) from ${table} where n = 1`)).toBe(0)
  })

  test('of withBind', async () => {
    const db = await driver.single()
    const { engine } = await db.withBind(await driver.url(), async (engine) => ({ engine }))

    expect(await db.withBind(await driver.url(), () => db.sql<{ n: number }>`select 1 as n`)).toEqual([{ n: 1 }])
    expect(String(engine)).toContain('closed')
  })
})
