/** What the source of a COPY, or the loop over one, asks of a pool whose connections are all used by COPYs. */

import { AcquireTimeoutError, type Db, SelfDeadlockError, UsageError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught, type Caught } from '../support/caught.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

/** A wait that is not seen to be in vain ends by this only after everything else. */
const patient = { pool: { acquireTimeoutMs: 30_000 } }

const needs: Readonly<Record<string, (db: Db, table: string) => Promise<unknown>>> = {
  'a statement': (db) => db.scalar('select 1'),
  'a scope': (db) => db.scope(() => db.scalar('select 1')),
  'a transaction': (db) => db.transaction(() => db.scalar('select 1')),
  'a cursor': (db) => db.iterate('select 1').read(),
  'a handle': (db) => db.acquire(),
  'another copyFrom()': (db, table) => db.copyFrom(table).from('7\n'),
  'a copyTo()': async (db, table) => {
    for await (const _piece of db.copyTo(table)) break
  },
}

/** The limit of whoever is not to be the one that gives up. */
const unhurried = { timeoutMs: 60_000 }

/** A source that asks the database before it gives a row. */
async function* asking(db: Db): AsyncGenerator<string> {
  yield `${await db.scalar<number>('select 1')}\n`
}

/** Far more than is held in memory. */
const long = "select i, repeat('x', 1000) from generate_series(1, 20000) i"

forEachDriver((driver) => {
  if (driver.name === 'pglite') {
    test('a COPY is refused by name, whatever its source asks for, and the connection serves others', async () => {
      const db = await driver.single(patient)
      const table = await driver.table('a int')
      const error = await caught(db.copyFrom(table).from(asking(db)))

      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('carries no data of a COPY')
      expect(await db.scalar('select 2')).toBe(2)
    })
    return
  }

  describe('the source of copyFrom() is refused at once, by name,', () => {
    test.each(Object.entries(needs))('%s on a pool of one', async (_, use) => {
      const db = await driver.single(patient)
      const table = await driver.table('a int')
      async function* source(): AsyncGenerator<string> {
        yield '1\n'
        await use(db, table)
        yield '2\n'
      }
      const error = await caught(db.copyFrom(table).from(source()))

      expect(error).toBeInstanceOf(SelfDeadlockError)
      expect(error.message).toMatch(/Held by: copyFrom\(\) at \S*copy-alone\.test\.ts/)
      expect(await db.scalar(`select count(*) from ${table}`)).toBe(0)
      expect(db.stats()).toMatchObject({ reserved: 0, waiting: 0 })
    })

    test('rows that come from a COPY of the same pool', async () => {
      const db = await driver.single(patient)
      const table = await driver.table('a int')

      expect(await caught(db.copyFrom(table).from(db.copyTo('select 1')))).toBeInstanceOf(SelfDeadlockError)
      expect(await db.scalar('select 1')).toBe(1)
    })

    test('a statement beside the handle that the COPY runs on', async () => {
      const db = await driver.single(patient)
      const table = await driver.table('a int')
      const connection = await db.acquire()
      const error = await caught(db.copyFrom(table, { on: connection }).from(asking(db)))
      await connection.release()

      expect(error).toBeInstanceOf(SelfDeadlockError)
      expect(await db.scalar('select 2')).toBe(2)
    })
  })

  test('a source that asks before its COPY has a connection is refused when the COPY gets it', async () => {
    const db = await driver.single(patient)
    const table = await driver.table('a int')
    const held = await db.acquire()
    const refused = caught(db.copyFrom(table).from(asking(db)))
    await until(() => db.stats().waiting === 2)
    await held.release()

    expect(await refused).toBeInstanceOf(SelfDeadlockError)
    expect(await db.scalar('select 2')).toBe(2)
  })

  test('where one more connection is left, the source has it', async () => {
    const db = await driver.db({ pool: { max: 2 } })
    const table = await driver.table('a int')
    async function* source(): AsyncGenerator<string> {
      for (let i = 0; i < 3; i++) yield `${await db.scalar<number>(`select ${i}`)}\n`
    }
    expect(await db.copyFrom(table).from(source())).toBe(3)
    expect(await db.copyFrom(table).from(db.copyTo('select generate_series(1, 5)'))).toBe(5)
  })

  test('code beside the source waits for its turn', async () => {
    const db = await driver.single(patient)
    const table = await driver.table('a int')
    let beside: Promise<unknown> | undefined
    const outside = new Promise<() => void>((resolve) => {
      async function* source(): AsyncGenerator<string> {
        yield '1\n'
        await new Promise<void>((go) => resolve(go))
        yield '2\n'
      }
      beside = db.copyFrom(table).from(source())
    })
    const go = await outside
    const waiting = db.scalar(`select count(*) from ${table}`)
    expect(db.stats().waiting).toBeGreaterThan(0)
    go()

    expect([await beside, await waiting]).toEqual([2, 2])
  })

  test.each(Object.entries(needs))('%s in the loop over a long copyTo() names both places', async (_, use) => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    const table = await driver.table('a int')
    let error: Caught | undefined
    const notices = await noticesDuring(async () => {
      for await (const _piece of db.copyTo(long, unhurried)) {
        error = await caught(use(db, table))
        break
      }
    })

    expect(notices[0]).toMatchObject({
      code: 'waiting-for-copy',
      places: [expect.any(String), expect.stringMatching(/^copyTo\(\) at \S*copy-alone\.test\.ts/)],
    })
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error?.message).toMatch(/Held by: copyTo\(\) at \S*copy-alone\.test\.ts/)
    expect(await db.scalar('select 2', [], unhurried)).toBe(2)
  })

  test('what writes into copyFrom(…).writable() and asks the same pool is told of it', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 100 } })
    const table = await driver.table('a int')
    const stream = db.copyFrom(table, unhurried).writable()
    await new Promise<unknown>((written) => stream.write('1\n', written))
    const notices = await noticesDuring(async () => {
      expect(await caught(db.scalar('select 1'))).toBeInstanceOf(AcquireTimeoutError)
    })
    await new Promise<void>((ended) => stream.end(ended))

    expect(notices[0]).toMatchObject({ code: 'waiting-for-copy' })
    expect(await db.scalar(`select count(*) from ${table}`, [], unhurried)).toBe(1)
  })
})
