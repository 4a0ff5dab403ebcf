/** `release({ permanent: false })` hands the raw connection back and keeps the handle, unless something would be lost. */

import { TransactionEndedError, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { mysqlPins, pinnedOf, postgresPins } from '../support/session-pins.ts'

const forNow = { permanent: false }
const nobody = '0 lent, 1 idle, 0 waiting'

forEachDriver((driver) => {
  test('the connection goes back and the next statement borrows again', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    const seen: unknown[] = []

    for (let i = 0; i < 2; i++) {
      seen.push(await connection.scalar('select 1'))
      await connection.release(forNow)
      seen.push(doing(db), connection.released, connection.borrowed, connection.raw)
    }

    expect(seen).toEqual([1, nobody, false, false, undefined, 1, nobody, false, false, undefined])
    expect(await connection.scalar('select 2')).toBe(2)
  })

  test('somebody else can have the connection meanwhile', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    await connection.release(forNow)

    const other = await db.acquire()
    const waiting = connection.scalar('select 1')
    const meanwhile = doing(db)
    await other.release()

    expect(meanwhile).toBe('1 lent, 0 idle, 1 waiting')
    expect(await waiting).toBe(1)
  })

  test('in a scope everything goes on after it', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      const reusing = await db.acquire({ reuse: true })
      await connection.release(forNow)
      const released = doing(db)

      expect([released, reusing.released]).toEqual([nobody, false])
      expect([await reusing.scalar('select 1'), await db.scalar('select 2')]).toEqual([1, 2])
      expect([reusing.raw, db.current?.raw]).toEqual([connection.raw, connection.raw])
    })

    expect(doing(db)).toBe(nobody)
  })

  test('a reusing handle has nothing to hand back, and stays usable', async () => {
    const db = await driver.single()

    await db.scope(async (owner) => {
      const reusing = await db.acquire({ reuse: true })
      await reusing.release(forNow)

      expect([owner.borrowed, reusing.released]).toEqual([true, false])
      expect(await reusing.scalar('select 1')).toBe(1)
    })
  })

  test('with nothing borrowed, and after a permanent release, it is nothing', async () => {
    const db = await driver.single()
    const connection = await db.acquire({ lazy: true })

    await connection.release(forNow)
    await connection.release(forNow)
    await connection.release()
    await connection.release(forNow)

    expect([connection.released, doing(db)]).toEqual([true, nobody])
  })

  test('it waits for the statements issued before, and those issued after borrow again', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()

    const slow = `${driver.words.integer} as n, ${driver.words.sleep(0.01).replace('select ', '')}`
    const before = [1, 2].map((n) => connection.scalar(slow, [n]))
    const released = connection.release(forNow)
    const after = connection.scalar('select 3')

    await released
    expect(await Promise.all([...before, after])).toEqual([1, 2, 3])
  })

  test('in a transaction it is refused, and the transaction is intact', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await using connection = await db.acquire()

    await connection.transaction(async (tx) => {
      await tx.status(`insert into ${table} values (1)`)
      const error = await caught(connection.release(forNow))
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('release-for-now.test.ts')
      await tx.status(`insert into ${table} values (2)`)
    })

    expect(await connection.scalar(driver.words.count(table))).toBe(2)
  })

  test('in a transaction that has sent nothing yet it is refused too', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()

    await connection.transaction(async () => {
      await expect(connection.release(forNow)).rejects.toThrow(TransactionStateError)
    })
  })

  test.each([true, false])('in code that has outlived its transaction it is refused: borrowed %s', async (borrowed) => {
    const db = await driver.single()
    await using connection = await db.acquire()
    const ended = gate()
    const late: Promise<Error>[] = []
    await connection.transaction(async (tx) => {
      await tx.scalar('select 1')
      late.push(caught(ended.promise.then(() => connection.release(forNow))))
    })
    if (!borrowed) await connection.release(forNow)

    ended.open()
    expect(await late[0]).toBeInstanceOf(TransactionEndedError)
    expect([connection.borrowed, connection.released]).toEqual([borrowed, false])
  })

  test('in a manual transaction it is refused', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    await using tx = await connection.begin()
    await tx.scalar('select 1')

    await expect(connection.release(forNow)).rejects.toThrow(TransactionStateError)
    expect(await tx.scalar('select 2')).toBe(2)
  })

  test('in a transaction begun by text it is refused', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    await connection.status('begin')

    await expect(connection.release(forNow)).rejects.toThrow(TransactionStateError)
    await connection.status('commit')
    await connection.release(forNow)
    expect(doing(db)).toBe(nobody)
  })

  test('while a cursor is open it is refused', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    await using cursor = connection.iterate(driver.words.series(10), [], { batchSize: 1 })
    await cursor.read()

    await expect(connection.release(forNow)).rejects.toThrow(TransactionStateError)
    expect(await cursor.read()).toEqual({ n: 2 })
  })

  const pins = driver.name === 'mysql' ? mysqlPins : postgresPins

  test.each(Object.entries(pins).filter(([name]) => driver.lends || name !== 'rawConnection()'))(
    'session state the user relies on keeps the connection: %s',
    async (_, pin) => {
      const db = await driver.single()
      await db.status('create table if not exists released_for_now (n int)')
      await using connection = await db.acquire()
      await pin(connection)

      const error = await caught(connection.release(forNow))

      expect([error instanceof TransactionStateError, connection.borrowed]).toEqual([true, true])
      expect(error.message).toContain('discardSession')
    },
  )

  test.each(Object.entries(pins).filter(([name]) => driver.lends || name !== 'rawConnection()'))(
    'discardSession gives that state up, and nothing of it is left: %s',
    async (_, pin) => {
      const db = await driver.single()
      await db.status('create table if not exists released_for_now (n int)')
      const before = await pinnedOf(db)
      await using connection = await db.acquire()
      await pin(connection)

      await connection.release({ permanent: false, discardSession: true })

      expect(doing(db)).toBe(nobody)
      expect(await pinnedOf(db)).toEqual(before)
    },
  )
})
