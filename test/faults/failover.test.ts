/** A failover: the old primary refuses writes, and whoever connects anew reaches the one that takes them. */

import { createDb, type Db, type EngineOptions, type Executor, ReadOnlyError } from 'genever'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { query } from '../support/database.ts'
import { ownServer, type OwnServer } from '../support/own-server.ts'
import { until } from '../support/until.ts'

let server: OwnServer

beforeAll(async () => {
  server = await ownServer()
  await server.query('create table t (n int)')
})

beforeEach(async () => {
  await server.query('alter system reset default_transaction_read_only')
  await server.query('alter database postgres reset default_transaction_read_only')
  await server.query('select pg_reload_conf()')
  await until(
    async () =>
      (await server.query('show default_transaction_read_only'))[0]?.['default_transaction_read_only'] === 'off',
  )
  await server.query('truncate t')
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

/** Open, with so many idle connections. */
async function open(
  connections: number,
  options: EngineOptions = {},
  search = '',
): Promise<{ db: Db; pids: number[] }> {
  const db = createDb(server.url + search, { ...options, applicationName: 'failover', pool: { max: connections } })
  const held = await Promise.all(Array.from({ length: connections }, () => db.acquire()))
  const pids = await Promise.all(held.map(async (each) => Number(await each.scalar('select pg_backend_pid()'))))
  await Promise.all(held.map((each) => each.release()))
  return { db, pids }
}

/** The sessions there are take no writes any more, as those of an old primary; new ones do, as on the new one. */
async function failOver(): Promise<void> {
  await server.query('alter database postgres set default_transaction_read_only = off')
  await server.query('alter system set default_transaction_read_only = on')
  await server.query('select pg_reload_conf()')
  const elsewhere = new URL(server.url)
  elsewhere.pathname = '/template1'
  await until(async () => {
    const [row] = await query(elsewhere.href, `select current_setting('default_transaction_read_only') as now`)
    return row?.['now'] === 'on'
  })
}

const alive = async (pids: readonly number[]): Promise<unknown[]> =>
  server.query('select pid from pg_stat_activity where pid = any($1)', [pids])

const rows = async (): Promise<unknown[]> => (await server.query('select n from t order by n')).map(({ n }) => n)

const insert = (executor: Executor, n: number): Promise<unknown> => executor.status('insert into t values ($1)', [n])

function endOf(error: unknown): string {
  const { code, outcome } = error as { code: string; outcome: string }
  return `${code} ${outcome}`
}

/** How writes, one after the other, end: `ok`, or the code of the error and its outcome. */
async function writes(db: Db, count: number): Promise<string[]> {
  const ends: string[] = []
  for (let n = 1; n <= count; n++)
    try {
      await insert(db, n)
      ends.push('ok')
    } catch (error) {
      ends.push(endOf(error))
    }
  return ends
}

const refused = 'GENEVER_READ_ONLY rolled_back'

describe('a write that the server refuses because it takes none', () => {
  test('closes its connection, a second one all that are idle: then writes get through', async () => {
    const { db, pids } = await open(4)
    await using _ = db
    await failOver()

    expect(await writes(db, 6)).toEqual([refused, refused, 'ok', 'ok', 'ok', 'ok'])

    await until(async () => (await alive(pids)).length === 0, { what: 'no session of the old server is left' })
    expect(await rows()).toEqual([3, 4, 5, 6])
    await until(() => db.stats().reserved === 0 && db.stats().waiting === 0)
  })

  test('also ends those in use, when they come back', async () => {
    const { db, pids } = await open(4)
    await using _ = db
    const held = await db.acquire()
    const heldPid = Number(await held.scalar('select pg_backend_pid()'))
    await failOver()

    expect(await writes(db, 3)).toEqual([refused, refused, 'ok'])
    expect(await held.scalar('select pg_backend_pid()')).toBe(heldPid)
    await held.release()

    await until(async () => (await alive(pids)).length === 0, { what: 'no session of the old server is left' })
  })

  test('in a transaction rolls it back, and its connection is not used again', async () => {
    const { db, pids } = await open(1)
    await using _ = db
    await failOver()

    const error = await caught(
      db.transaction(async (tx) => {
        await tx.scalar('select 1')
        await db.transaction((inner) => insert(inner, 1))
      }),
    )
    const after = await db.transaction((tx) => insert(tx, 2))

    expect(error).toBeInstanceOf(ReadOnlyError)
    expect(error.outcome).toBe('rolled_back')
    expect(String(after)).toBe('INSERT 0 1')
    await until(async () => (await alive(pids)).length === 0)
    expect(await rows()).toEqual([2])
  })

  test('in a scope lets it go on with another connection and its settings', async () => {
    const { db, pids } = await open(1)
    await using _ = db
    await failOver()

    await db.scope(
      async () => {
        expect(await caught(insert(db, 1))).toBeInstanceOf(ReadOnlyError)
        await insert(db, 2)
        expect(await db.scalar(`select current_setting('app.tenant')`)).toBe('7')
      },
      { settings: { 'app.tenant': '7' } },
    )

    await until(async () => (await alive(pids)).length === 0)
    expect(await rows()).toEqual([2])
  })

  test('by a function that a SELECT calls counts as well', async () => {
    await server.query(
      "create or replace function put(n int) returns int volatile language sql as 'insert into t values ($1) returning n'",
    )
    const { db, pids } = await open(3)
    await using _ = db
    await failOver()
    const ends: string[] = []
    for (let n = 1; n <= 5; n++) ends.push(await db.scalar('select put($1)', [n]).then(String, endOf))

    expect(ends).toEqual(['GENEVER_READ_ONLY rolled_back', 'GENEVER_READ_ONLY rolled_back', '3', '4', '5'])
    await until(async () => (await alive(pids)).length === 0)
    expect(await rows()).toEqual([3, 4, 5])
  })

  test('under load costs an error for each old connection at most, and no row is lost or told twice', async () => {
    const { db, pids } = await open(5)
    await using _ = db
    await failOver()
    const written: number[] = []
    const errors: string[] = []
    const worker = async (first: number): Promise<void> => {
      for (let n = first; n < first + 20; n++)
        try {
          if (n % 2 === 0) await insert(db, n)
          else await db.transaction((tx) => insert(tx, n))
          written.push(n)
        } catch (error) {
          errors.push(endOf(error))
        }
    }

    await Promise.all([100, 200, 300, 400, 500, 600, 700, 800].map(worker))

    expect(errors.filter((error) => error !== refused)).toEqual([])
    expect(errors.length).toBeLessThanOrEqual(pids.length)
    expect(await rows()).toEqual(written.toSorted((a, b) => a - b))
    await until(async () => (await alive(pids)).length === 0)
  })
})

describe('says nothing of the server where somebody asked to read only:', () => {
  const asked: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
    'a transaction that is readOnly': (db) => db.transaction((tx) => insert(tx, 1), { readOnly: true }),
    'a scope that set it': (db) =>
      db.scope(async () => {
        await db.status('set default_transaction_read_only = on')
        await insert(db, 1)
      }),
    'settings of a scope': (db) =>
      db.scope(async () => (await db.scalar('select 1'), insert(db, 1)), {
        settings: { default_transaction_read_only: 'on' },
      }),
    'a transaction begun by text': async (db) => {
      await using connection = await db.acquire()
      await connection.status('begin read only')
      await insert(connection, 1)
    },
  }

  test.each(Object.entries(asked))('%s', async (_, write) => {
    const { db, pids } = await open(1)
    await using opened = db

    for (let n = 0; n < 3; n++) expect(await caught(write(opened))).toBeInstanceOf(ReadOnlyError)

    expect(await db.scalar('select pg_backend_pid()')).toBe(pids[0])
  })

  test.each<[string, EngineOptions, string]>([
    ['settings of the engine', { settings: { default_transaction_read_only: 'on' } }, ''],
    ['options of its start-up message', {}, '?options=-c%20default_transaction_read_only%3Don'],
  ])('%s', async (_, options, search) => {
    const { db, pids } = await open(1, options, search)
    await using opened = db

    for (let n = 0; n < 3; n++) expect(await caught(insert(opened, n))).toBeInstanceOf(ReadOnlyError)

    expect(await db.scalar('select pg_backend_pid()')).toBe(pids[0])
  })

  test('a server that was asked to be read-only', async () => {
    await server.query("create role reader superuser login password 'secret'")
    await server.query('alter role reader set default_transaction_read_only = on')
    const url = server.url.replace('postgres@', 'reader:secret@')
    await using db = createDb(`${url}?target_session_attrs=read-only`, { pool: { max: 1 } })
    const pid = await db.scalar('select pg_backend_pid()')

    for (let n = 0; n < 3; n++) expect(await caught(insert(db, n))).toBeInstanceOf(ReadOnlyError)

    expect(await db.scalar('select pg_backend_pid()')).toBe(pid)
  })
})
