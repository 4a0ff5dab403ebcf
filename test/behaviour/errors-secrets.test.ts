/** No parameter value and no password is in anything that an error or an object of ours prints. */

import { inspect } from 'node:util'
import {
  AcquireTimeoutError,
  AuthenticationError,
  ConnectError,
  createDb,
  createEngine,
  type Db,
  type QueryError,
  sql,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase, onServer } from '../support/database.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { canary, number, refusedValues, secret } from '../support/refused-values.ts'
import { forEachDriver } from '../support/matrix.ts'

/** All that a logger could make of it. */
function printed(value: unknown): string {
  const parts = [String(value), inspect(value, { depth: Infinity }), JSON.stringify(value) ?? '']
  if (value instanceof Error) {
    parts.push(value.message, value.stack ?? '', JSON.stringify(value, Object.getOwnPropertyNames(value)))
    if (value.cause !== undefined) parts.push(printed(value.cause))
  }
  return parts.join('\n')
}

function expectSilent(...values: readonly unknown[]): void {
  const leaks = values.flatMap((value) => printed(value).split('\n')).filter((line) => secret.test(line))
  expect(leaks).toEqual([])
}

forEachDriver((driver) => {
  const columns = `id varchar(60) primary key, name varchar(60) not null check (length(name) < 20), age smallint, mood text`
  const { words } = driver

  test.each(refusedValues[words.system as 'postgresql' | 'mysql'])('the error of %s', async (_, text, params) => {
    const db = await driver.db()
    const table = await driver.table(columns)
    await db.status(`insert into ${table} (id, name) values (:id, 'taken')`, { id: canary })
    const statement = text.replace(' t ', ` ${table} `)

    expectSilent(
      await caught(db.scope(() => db.all(statement, params))),
      await caught(db.transaction(() => db.one(statement, params))),
      await db.transaction((tx) => caught(tx.status(statement, params))).catch((error: unknown) => error),
      await caught(db.executeMany(statement, [params])),
      await caught(
        statement.startsWith('select') ? db.iterate(statement, params).read() : db.scalar(statement, params),
      ),
    )
  })

  test('what hides in the server’s own words is there for who asks', async () => {
    const db = await driver.db()
    const table = await driver.table(columns)
    const add = (): Promise<unknown> =>
      db.status(`insert into ${table} (id, name) values (:id, 'taken')`, { id: canary })
    await add()
    const error = (await caught(add())) as unknown as QueryError

    expect(Object.values(error.fields).join('\n')).toContain(canary)
    expectSilent(error)
  })

  test('results that are not as expected', async () => {
    const db = await driver.db()
    const rows = (to: number): string => `select upper(:s) as secret from (${words.series(to)}) r`

    expectSilent(
      await caught(db.one(`${rows(1)} where n > 1`, { s: canary })),
      await caught(db.one(rows(2), { s: canary })),
      await caught(db.oneOrNone(rows(2), { s: canary })),
      await caught(db.scalar(`${words.integer} * 10000000000`, [number])),
    )
  })

  test('what db, connection, transaction, cursor and query print', async () => {
    const db = await driver.db()
    const text = `${words.text} as n`
    const query = db.sql`select upper(${canary}) as n`
    const cursor = db.iterate(text, [canary])
    const bound = query.iterate()
    const pending = db.scope(() => db.all(text, [canary]))
    const looked: unknown[] = [db, query, cursor, bound, sql`select ${canary}`]
    expectSilent(...looked)

    await using handle = await db.acquire({ lazy: true })
    await pending
    await db.transaction(async (tx) => {
      const inner = tx.iterate(text, [canary], { batchSize: 1 })
      await inner.read()
      expectSilent(tx, inner)
      await inner.close()
      const running = tx.status(text, [canary])
      const status = await tx.status(words.set('app.x', 'x'))
      expectSilent(tx, tx.connection, inner, handle, db.current, status, db, tx.sql`select ${canary}`)
      await running
    })
    expectSilent(...looked)
  })
})

describe('passwords', () => {
  const sources = async (): Promise<Db[]> => {
    const url = new URL(await databaseUrl())
    const role = 'secretive'
    await onServer(
      `do $$ begin create role ${role} login password 'other'; exception when duplicate_object or unique_violation then null; end $$`,
    )
    url.username = role
    url.password = canary
    const dead = new URL(url)
    dead.port = '1'
    const { hostname, port, pathname } = url
    const options = { host: hostname, port: Number(port), database: pathname.slice(1), user: role }
    return [
      createDb(url.href),
      createDb(dead.href, { pool: { acquireTimeoutMs: 300 } }),
      createDb({ ...options, password: canary }),
      createDb({ ...options, password: () => canary }),
      createDb({ ...options, password: () => Promise.resolve(canary) }),
    ]
  }

  test('are in no error of a connection that failed, and in no db', async () => {
    for (const db of await sources()) {
      const error = await caught(db.open())
      expect(error).toBeInstanceOf(ConnectError)
      expectSilent(error, db, await caught(db.scalar('select 1')), await caught(db.scope(() => db.all('select 1'))))
      await db.close()
    }
  })

  test('that are refused are an AuthenticationError, and not tried again', async () => {
    const [db] = (await sources()) as [Db]
    const error = await caught(db.open())

    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ sqlState: '28P01', outcome: 'not_started', retryable: false })
    await db.close()
  })

  test('in a URL or an option that is wrong are not repeated', async () => {
    const wrong = [
      `postgres://me:${canary}@host:port/db`,
      `postgres://me:${canary}@host/db?nonsense=${canary}`,
      `postgres//me:${canary}@host/db`,
      `foo://me:${canary}@host/db`,
      canary,
    ]
    for (const source of wrong) expectSilent(await caught(createDb(source).open()))
    expectSilent(await caught(createDb({ password: { secret: canary } as unknown as string }).open()))
  })

  test('are not printed by an engine that works, nor by what it lends', async () => {
    await onServer(
      `do $$ begin create role keeper login password '${canary}'; exception when duplicate_object or unique_violation then null; end $$`,
    )
    await using database = await freshDatabase()
    const url = new URL(database.url)
    url.username = 'keeper'
    url.password = canary
    await using engine = await createEngine(url.href)
    await engine.scope(async (connection) => {
      await engine.scalar('select 1')
      expectSilent(engine, connection, engine.current, engine.options)
    })
  })
})

test('a wait that ended says who held the connection, and no value', async () => {
  await using server = await fake({}, { pool: { max: 1 } })
  const { db } = server
  const running = db.scope(() => db.scalar(`${server.words.sleep(0.2)} as a, :b as b`, { b: canary }).catch(() => 0))
  const over = gate()
  const held = db.transaction(() => over.promise)
  const error = await caught(db.scalar('select :b', { b: canary }, { timeoutMs: 20 }))

  expect(error).toBeInstanceOf(AcquireTimeoutError)
  expectSilent(error, db, server.db.stats())
  over.open()
  await Promise.allSettled([running, held])
})
