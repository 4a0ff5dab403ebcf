/** `acquire()` lends one connection to a handle, and `release()` gives it back, whatever happens in between. */

import { UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { doing, forEachDriver, pid } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('acquire() lends a connection at once, and release() gives it back', async () => {
    const db = await driver.single()

    const connection = await db.acquire()
    const lent = [doing(db), connection.borrowed, connection.raw !== undefined]
    await connection.release()

    expect(lent).toEqual(['1 lent, 0 idle, 0 waiting', true, true])
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('a connection in an `await using` block is given back at its end, thrown out of or not', async () => {
    const db = await driver.single()
    const work = async (): Promise<void> => {
      await using connection = await db.acquire()
      await connection.scalar('select 1')
      throw new RangeError('out of here')
    }

    await expect(work()).rejects.toThrow(RangeError)

    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('a handle has all six methods, for text and for templates', async () => {
    const db = await driver.single()
    const table = await driver.table('n int')
    await db.executeMany(`insert into ${table} values (${driver.words.placeholder(1)})`, [[1], [2]])
    await using connection = await db.acquire()
    const text = `select n from ${table} order by n`

    const answers = [
      await connection.all(text),
      await connection.first(text),
      await connection.one(`${text} limit 1`),
      await connection.oneOrNone(`${text} limit 0`),
      await connection.scalar(text),
      String(await connection.status(text)),
      await connection.sql`select ${3} + 0 as n`,
    ]

    const rows = [{ n: 1 }, { n: 2 }]
    expect(answers).toEqual([rows, rows[0], rows[0], undefined, 1, 'SELECT 2', [{ n: 3 }]])
  })

  test('what is no query is refused by name', async () => {
    const db = await driver.single()

    const error = await caught(db.all({ not: 'a query' } as never))

    expect(error).toBeInstanceOf(UsageError)
    expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
  })

  test('statements issued together on one connection take turns in the order of their calls', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    const ended: number[] = []

    await Promise.all(
      [0.02, 0, 0.01, 0].map(async (seconds, i) => {
        await connection.scalar(driver.words.sleep(seconds))
        ended.push(i)
      }),
    )

    expect(ended).toEqual([0, 1, 2, 3])
  })

  test('a statement that fails spoils neither its neighbours nor the connection', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()

    const ends = await Promise.allSettled([
      connection.scalar('select 1'),
      connection.scalar('select (select 1 union select 2)'),
      connection.scalar('select 3'),
    ])

    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await connection.scalar('select 4')).toBe(4)
  })

  test('what a handle prints says what it is doing', async () => {
    const db = await driver.single()
    const connection = await db.acquire({ lazy: true })

    const printed = [String(connection)]
    await connection.scalar('select 1')
    printed.push(String(connection))
    await connection.release()
    printed.push(String(connection))

    expect(printed).toEqual([
      'Connection { owner, no raw connection }',
      expect.stringMatching(/^Connection \{ owner, raw \d+ \}$/),
      'Connection { owner, released }',
    ])
  })
})

forEachDriver(
  (driver) => {
    test('two calls of acquire() give two connections', async () => {
      const db = await driver.db()
      await using one = await db.acquire()
      await using two = await db.acquire()

      expect(await pid(one)).not.toBe(await pid(two))
      expect(db.stats().reserved).toBe(2)
    })

    test('a pool tells how many connections are open, lent and idle', async () => {
      const db = await driver.db({ pool: { max: 3 } })

      const printed = [String(db)]
      await using one = await db.acquire()
      printed.push(String(db))
      const two = await db.acquire()
      printed.push(String(db))
      await two.release()
      printed.push(String(db))

      expect(one.borrowed).toBe(true)
      expect(printed.map((text) => text.replace(/^Db \{ \S+ /, ''))).toEqual([
        '1/3 open, 0 lent, 1 idle, 0 waiting }',
        '1/3 open, 1 lent, 0 idle, 0 waiting }',
        '2/3 open, 2 lent, 0 idle, 0 waiting }',
        '2/3 open, 1 lent, 1 idle, 0 waiting }',
      ])
    })
  },
  { connections: 2 },
)
