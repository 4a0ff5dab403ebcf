/** `prebake`: what was baked is prepared on each new connection, before its first use. */

import { ConnectError, createDb, type Db, type EngineOptions, InvalidOptionError, QueryError, sql } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

/** What the server of the session has prepared, by text. */
const prepared = (db: Db): Promise<string[]> =>
  db
    .all<{ text: string }>('select statement as text from pg_prepared_statements order by 1')
    .then((rows) => rows.map(({ text }) => text).filter((text) => text.includes('prebaked')))

forEachDriver((driver) => {
  const configured = async (options: EngineOptions = {}): Promise<Db> =>
    createDb(await driver.url(), { prebake: true, ...options, pool: { max: 1, ...options.pool } })

  test('all is prepared before the first use, and later as it is used', async () => {
    await using db = await configured()
    const one = db.bake<{ n: number }, [number]>(`select $1::int as n, 'prebaked 1'`)
    db.bake((p: { n: number }) => sql`select ${p.n}::int as n, 'prebaked 2'`)
    await db.open()

    expect(await prepared(db)).toEqual([`select $1::int as n, 'prebaked 1'`, `select $1::int as n, 'prebaked 2'`])
    expect([await one.scalar([1]), await one.scalar([2])]).toEqual([1, 2])
    const later = db.bake(`select 'prebaked later'`)
    expect(await prepared(db)).toHaveLength(2)
    await later.all()
    expect(await prepared(db)).toHaveLength(3)
  })

  test('nothing is, unless it is asked for', async () => {
    await using db = await configured({ prebake: false })
    db.bake(`select 'prebaked 1'`)
    await db.open()

    expect(await prepared(db)).toEqual([])
  })

  test('a statement that fails is told once, the others are prepared, and it is prepared when it is used', async () => {
    const table = `later_${process.pid}_${driver.name}`
    await using db = await configured({ name: `failing ${driver.name}` })
    using heard = hear(`failing ${driver.name}`)
    db.bake(`select 'prebaked 1'`)
    const missing = db.bake<{ n: number }, { n: number }>(`select n, 'prebaked 2' from ${table} where n = :n`)
    db.bake(`select 'prebaked 3' from`)
    db.bake(`select 'prebaked 4'`)
    await db.open()

    expect(await prepared(db)).toEqual([`select 'prebaked 1'`, `select 'prebaked 4'`])
    expect(heard.notices.map(({ code, places }) => `${code} ${places[0]}`)).toEqual([
      `prebake-failed select n, 'prebaked 2' from ${table} where n = $1`,
      `prebake-failed select 'prebaked 3' from`,
    ])
    expect(heard.notices[0]?.message).toContain(`relation "${table}" does not exist`)
    expect(await caught(missing.all({ n: 1 }))).toBeInstanceOf(QueryError)
    await db.status(`create table ${table} (n int)`)
    await db.status(`insert into ${table} values (1)`)
    expect(await missing.scalar({ n: 1 })).toBe(1)
    expect(await prepared(db)).toHaveLength(3)
    await db.status(`drop table ${table}`)
  })

  test('it stands with an isolation level and onConnect, which may set where tables are found', async () => {
    const schema = `prebake_${process.pid}_${driver.name}`
    const admin = await driver.db()
    await admin.status(`create schema ${schema}`)
    await admin.status(`create table ${schema}.found (n int)`)
    await admin.close()
    await using db = await configured({
      isolation: 'serializable',
      onConnect: async (connection) => {
        await connection.status(`set search_path = ${schema}`)
        await early.one()
      },
    })
    const early = db.bake(`select 'prebaked early'`)
    const found = db.bake(`select n, 'prebaked' from found`)
    await db.open()

    expect(await prepared(db)).toHaveLength(2)
    expect(await found.all()).toEqual([])
    expect(await db.scalar('show transaction_isolation')).toBe('serializable')
    await db.status(`drop schema ${schema} cascade`)
  })

  test('an engine that is given to a db prepares what is baked there, until it is taken away', async () => {
    await using db = createDb()
    db.bake(`select 'prebaked here'`)
    await using other = await configured()
    await other.open()
    const fresh = createDb()
    const engine = await fresh.bind(await driver.url(), { prebake: true, pool: { max: 1, idleTimeoutMs: 1 } })
    fresh.unbind()

    await db.bind(engine)
    await until(() => engine.stats().open === 0 || driver.name === 'pglite')
    if (driver.name !== 'pglite') expect(await prepared(db)).toEqual([`select 'prebaked here'`])
    await engine.close()
  })

  test('only as many are prepared as the connection keeps', async () => {
    await using db = await configured({ statementCacheSize: 3 })
    for (let i = 0; i < 9; i++) db.bake(`select 'prebaked ${i}'`)
    await db.open()

    expect(await db.status('select count(*) from pg_prepared_statements')).toBeDefined()
    expect((await prepared(db)).length).toBeLessThanOrEqual(3)
  })
})

test('it takes one round trip, and one more for each statement that fails', async () => {
  await using proxy = await startProxy(await databaseUrl())
  await using db = createDb(proxy.url, { prebake: true, pool: { max: 1 } })
  for (const text of ['select 1', 'select 2', 'select * from nowhere_at_all', 'select 3']) db.bake(text)
  await db.open()
  const types = proxy.links[0]?.toServer.types ?? ''

  expect(types.slice(types.indexOf('P'))).toBe('PDPDPDPDSPDS')
})

test('every connection is prepared, also one that replaces a lost one', async () => {
  await using proxy = await startProxy(await databaseUrl())
  await using db = createDb(proxy.url, { prebake: true, pool: { max: 2 } })
  const n = db.bake<{ n: number }, { n: number }>('select :n::int as n')
  const held = [await db.acquire(), await db.acquire()]
  for (const connection of held) await connection.scalar('select 1')
  for (const connection of held) await connection.release()

  expect(proxy.links).toHaveLength(2)
  for (const { toServer } of proxy.links) expect(toServer.types).toContain('PDSPDBES')
  for (const link of proxy.links) link.break('finish')
  await until(() => db.stats().open === 0)
  expect(await n.scalar({ n: 1 })).toBe(1)
  expect(proxy.links.at(-1)?.toServer.types).toMatch(/PDS(BES)+$/)
})

test('it belongs to the time a connection may take to open', async () => {
  await using proxy = await startProxy(await databaseUrl())
  await using db = createDb(proxy.url, { prebake: true, pool: { max: 1, connectTimeoutMs: 300 } })
  db.bake('select 1')
  proxy.cut({ to: 'server', type: 'P', when: 'before' }, 'blackhole')

  expect(await caught(db.open())).toBeInstanceOf(ConnectError)
  // On a busy machine the next one may also take longer than that.
  expect(await until(() => db.scalar('select 7'))).toBe(7)
})

test('a connection that breaks meanwhile is none', async () => {
  await using proxy = await startProxy(await databaseUrl())
  await using db = createDb(proxy.url, { prebake: true, pool: { max: 1 } })
  db.bake('select 1')
  proxy.cut({ to: 'client', type: '1', when: 'before' })

  expect(await caught(db.open())).toBeInstanceOf(ConnectError)
  expect(await db.scalar('select 7')).toBe(7)
})

test.each([
  ['prepare: false', { prepare: false }],
  ['statementCacheSize: 0', { statementCacheSize: 0 }],
])('with %s it is refused', async (words, options) => {
  const error = await caught(createDb('postgres://localhost/x', { prebake: true, ...options }).open())

  expect(error).toBeInstanceOf(InvalidOptionError)
  expect((error as Error).message).toContain(words)
})
