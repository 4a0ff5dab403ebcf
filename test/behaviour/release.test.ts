/** What `release()` does with what is still going on, and what a released handle answers. */

import { type Connection, ReleasedConnectionError, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('a second release is nothing, for owners and for those that reuse', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true })
      await reusing.release()
      await reusing.release()
      await owner.release()
      await owner.release()
    })
    const alone = await db.acquire()
    await Promise.all([alone.release(), alone.release()])
    await alone.release({ permanent: false })

    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('every use of a released handle is refused with the method it came by', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    await connection.release()

    const refusals = [
      await caught(connection.all('select 1')),
      await caught(connection.first('select 1')),
      await caught(connection.one('select 1')),
      await caught(connection.oneOrNone('select 1')),
      await caught(connection.scalar('select 1')),
      await caught(connection.status('select 1')),
      await caught(connection.iterate('select 1').read()),
      await caught(connection.executeMany(driver.words.integer, [[1]])),
      await caught(connection.rawConnection()),
      await caught(connection.transaction(() => {})),
      await caught(connection.begin()),
      await caught(connection.run(() => {})),
    ]

    expect(refusals.filter((error) => !(error instanceof ReleasedConnectionError))).toEqual([])
    expect(refusals.slice(-4).map(({ message }) => message.split(' ')[0])).toEqual([
      'rawConnection()',
      'transaction()',
      'begin()',
      'run()',
    ])
    expect([connection.released, connection.raw, connection.borrowed]).toEqual([true, undefined, false])
  })

  test('what was issued before release() still runs, and what comes after is refused', async () => {
    const db = await driver.single()
    const connection = await db.acquire()

    const before = [1, 2, 3].map((n) => connection.scalar(driver.words.integer, [n]))
    const releasing = connection.release()
    const after = connection.scalar('select 4')

    await expect(after).rejects.toThrow(ReleasedConnectionError)
    expect(await Promise.all(before)).toEqual([1, 2, 3])
    await releasing
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('release() waits for a managed transaction that is open', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const connection = await db.acquire()
    const hold = gate()
    const entered = gate()
    const transaction = connection.transaction(async (tx) => {
      entered.open()
      await hold.promise
      await tx.status(`insert into ${table} values (1)`)
    })
    await entered.promise

    const releasing = connection.release()
    const meanwhile = doing(db)
    hold.open()
    await Promise.all([transaction, releasing])

    expect(meanwhile).toBe('1 lent, 0 idle, 0 waiting')
    expect(await db.scalar(`select n from ${table}`)).toBe(1)
  })

  test('release() inside of a transaction on the same connection throws, and the transaction goes on', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const connection = await db.acquire()

    await connection.transaction(async (tx) => {
      await expect(connection.release()).rejects.toThrow(TransactionStateError)
      await tx.status(`insert into ${table} values (1)`)
    })
    await connection.release()

    expect(await db.scalar(`select n from ${table}`)).toBe(1)
  })

  test('release() rolls back a manual transaction and says so', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    const connection = await db.acquire()
    const tx = await connection.begin()
    await tx.status(`insert into ${table} values (1)`)

    const notices = await noticesDuring(() => connection.release())

    expect(notices.map(({ code }) => code)).toEqual(['manual-transaction-rolled-back'])
    expect(notices[0]?.places[0]).toContain('release.test.ts')
    expect(await db.scalar(`select count(*) from ${table}`)).toBe(0)
    await expect(tx.commit()).rejects.toThrow(TransactionStateError)
  })

  test('release() closes a cursor', async () => {
    const db = await driver.single()
    const connection = await db.acquire()
    const cursor = connection.iterate(driver.words.series(1000), [], { batchSize: 2 })
    await cursor.read()

    await connection.release()

    expect(cursor.open).toBe(false)
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('release() while the first statement still waits for a connection rejects it and borrows nothing', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    const lazy = await db.acquire({ lazy: true })
    const statement = caught(lazy.scalar('select 1'))
    const waiting = doing(db)

    await lazy.release()

    expect(waiting).toBe('1 lent, 0 idle, 1 waiting')
    expect(await statement).toBeInstanceOf(ReleasedConnectionError)
    expect(doing(db)).toBe('1 lent, 0 idle, 0 waiting')
    await held.release()
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })
})

forEachDriver(
  (driver) => {
    test('handles may be released in any order', async () => {
      const db = await driver.db()
      const handles: Connection[] = []
      for (let i = 0; i < 3; i++) handles.push(await db.acquire())
      const [first, middle, last] = handles as [Connection, Connection, Connection]

      const lent: number[] = []
      for (const each of [middle, first, last]) {
        await each.release()
        lent.push(db.stats().reserved)
      }

      expect(lent).toEqual([2, 1, 0])
      expect(doing(db)).toBe('0 lent, 3 idle, 0 waiting')
    })
  },
  { connections: 2 },
)

test('what waited for a transaction whose connection died still runs after release(), and then nothing is lent', async () => {
  await using server = await fake()
  const { db, driver } = server
  const connection = await db.acquire()
  driver.faults.at('select 1', { lost: true })
  const hold = gate()
  const lost = caught(connection.scalar('select 1'))
  const transaction = caught(connection.transaction(() => hold.promise))
  const waiting = connection.scalar('select 2')
  await lost

  const released = connection.release()
  hold.open()

  expect((await transaction).name).toBe('ConnectionLostError')
  expect(await waiting).toBe(2)
  await released
  expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
})

test('a release for now that waits is nothing when the handle is released for good meanwhile', async () => {
  await using server = await fake()
  const { db, driver } = server
  const connection = await db.acquire()
  driver.faults.at('select 1', { lost: true })
  driver.faults.at({ phase: 'open' }, { delayMs: 20 })
  const first = caught(connection.scalar('select 1'))
  const second = caught(connection.scalar('select 2'))
  const forNow = connection.release({ permanent: false })

  expect((await first).name).toBe('ConnectionLostError')
  await connection.release()

  await forNow
  expect((await second).name).toBe('ReleasedConnectionError')
})
