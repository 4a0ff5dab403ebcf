/** What a process loads with its first scope, transaction or cursor, when a statement has opened the database before: nobody sees a difference. */

import type { Db } from 'genever'
import { expect, test, vi } from 'vitest'
import { databaseUrl } from '../support/database.ts'

// Modules are loaded meanwhile, which takes long on a busy machine.
const patience = { connectTimeoutMs: 60_000, acquireTimeoutMs: 60_000 }

/** A database in a process that has loaded nothing of it yet, as far as modules go. */
async function freshDb(): Promise<Db> {
  vi.resetModules()
  const { createDb } = await import('genever')
  return createDb(await databaseUrl(), { pool: { max: 2, ...patience } })
}

const uses: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  scope: (db) => db.scope(() => db.scalar('select 7')),
  transaction: (db) => db.transaction((tx) => tx.scalar('select 7')),
  acquire: async (db) => {
    await using connection = await db.acquire()
    return await connection.scalar('select 7')
  },
  begin: async (db) => {
    await using tx = await db.begin()
    return await tx.scalar('select 7')
  },
  iterate: async (db) => {
    for await (const row of db.iterate<{ n: number }>('select 7 as n')) return row.n
    return undefined
  },
  lock: (db) => db.lock('loaded later', () => 7),
  listen: async (db) => {
    await using listener = await db.listen('loaded_later')
    await db.notify('loaded_later', '7')
    for await (const heard of listener) return heard.gap ? undefined : Number(heard.payload)
    return undefined
  },
  detached: (db) => db.detached(() => db.scalar('select 7'), { settings: { 'app.tenant': '7' } }),
  executeMany: async (db) => {
    const { rowCount } = await db.executeMany('select $1::int', [[1], [2]])
    return 5 + Number(rowCount)
  },
  copyTo: async (db) => {
    const chunks: Buffer[] = []
    for await (const chunk of db.copyTo('(select 7)')) chunks.push(Buffer.from(chunk))
    return Number(Buffer.concat(chunks))
  },
  'an engine that was taken away': async (db) => {
    const engine = db.unbind()
    const result = await engine?.transaction((tx) => tx.scalar('select 7'))
    await engine?.close()
    return result
  },
}

test.each(Object.keys(uses))(
  '%s works as the first thing after a statement that stands alone, and as the very first',
  async (name) => {
    const use = uses[name] as (db: Db) => Promise<unknown>
    const after = await freshDb()
    await after.scalar('select 1')

    expect(await use(after)).toBe(7)
    await after.close()

    if (name === 'an engine that was taken away') return
    const before = await freshDb()
    expect(await use(before)).toBe(7)
    await before.close()
  },
)

test('statements, scopes and transactions that begin together open the database once, and all are served', async () => {
  const db = await freshDb()
  const answers = await Promise.all([
    db.scalar('select 1'),
    db.scope(() => db.scalar('select 2')),
    db.transaction(() => db.scalar('select 3')),
    db.scalar('select 4'),
  ])

  expect(answers).toEqual([1, 2, 3, 4])
  expect(db.stats().open).toBeLessThanOrEqual(2)
  await db.close()
})

test('close() serves a scope that waits for the database to be opened', async () => {
  const db = await freshDb()
  const first = db.scalar('select 1')
  const scope = db.scope(() => db.scalar('select 2'))
  await db.close()

  expect(await Promise.all([first, scope])).toEqual([1, 2])
})

test('statements inside of onConnect may be in scopes and transactions', async () => {
  vi.resetModules()
  const { createDb } = await import('genever')
  const seen: unknown[] = []
  const db = createDb(await databaseUrl(), {
    pool: patience,
    onConnect: async (connection) => {
      seen.push(
        await connection.transaction((tx) => tx.scalar('select 5')),
        await db.scope(() => db.scalar('select 6')),
      )
    },
  })
  await db.scalar('select 1')

  expect(seen).toEqual([5, 6])
  await db.close()
})
