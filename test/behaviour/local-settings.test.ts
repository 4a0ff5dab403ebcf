/** Settings for one transaction: PostgreSQL only warns where there is none, and the rows of all tenants are read. */

import { type Executor, sql, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake, sound } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

const who = `select coalesce(current_setting('app.who', true), '')`
/** Whatever else they say. */
const vain = [
  `set local app.who = '7'`,
  `SET /* of */ LOCAL app.who TO '7';`,
  `set local role pg_monitor`,
  `set local search_path to nowhere`,
  `set constraints all deferred`,
  `select set_config('app.who', '7', true)`,
  `select pg_catalog.set_config('app.who', '7', true) as who, set_config('app.what', '8', true) "what"`,
]

forEachDriver((driver) => {
  test.each(vain)('is refused outside of a transaction: %s', async (text) => {
    const db = await driver.single()
    const refused = async (run: Executor): Promise<void> => {
      const error = await caught(run.status(text))
      expect(error).toBeInstanceOf(TransactionStateError)
      expect(error.message).toContain('transaction(work)')
      expect(error.message).toContain('settings')
      expect(error.outcome).toBe('not_started')
      expect(await caught(run.sql`${sql.raw(text)}`.all())).toBeInstanceOf(TransactionStateError)
    }

    await refused(db)
    await db.detached(() => refused(db))
    await db.detached(() => refused(db), { settings: { 'app.other': '1' } })
    for (const options of [{}, { settings: { 'app.other': '1' } }])
      await db.scope(async (connection) => {
        await refused(db)
        await refused(connection)
        await connection.transaction(() => connection.status('select 1'))
        await refused(db)
      }, options)
    await using connection = await db.acquire()
    await refused(connection)
    await connection.run(() => refused(db))
    const beside = await Promise.allSettled([connection.scalar(who), connection.status(text), connection.scalar(who)])
    expect(beside.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(beside[1]).toMatchObject({ reason: expect.any(TransactionStateError) })
    expect(await connection.scalar(who)).toBe('')
  })

  test.each(vain)('runs in a transaction, and is over with it: %s', async (text) => {
    const db = await driver.single()
    const before = await db.scalar(who)
    const allowed = (run: Executor): Promise<unknown> => run.status(text)

    await db.transaction(allowed)
    await db.transaction(() => allowed(db))
    await db.transaction((tx) => tx.transaction(allowed))
    await db.scope((connection) => connection.transaction(() => allowed(connection)))
    {
      await using tx = await db.begin()
      await allowed(tx)
      await allowed(tx.connection)
    }
    await using connection = await db.acquire()
    {
      await using tx = await connection.begin()
      await allowed(connection)
      await tx.commit()
    }
    await Promise.all(['begin', text, 'commit'].map((each) => connection.status(each)))
    await connection.status('begin isolation level serializable')
    await connection.status(text)
    await connection.status('rollback')

    expect(await connection.scalar(who)).toBe(before)
    expect(await caught(allowed(connection))).toBeInstanceOf(TransactionStateError)
  })

  test('it pins no session: the connection goes back while code waits behind the transaction', async () => {
    const db = await driver.single()
    await db.scope(async (connection) => {
      await connection.transaction(() => connection.status(`set local app.who = '7'`))
      await connection.release({ permanent: false })
      expect(connection.borrowed).toBe(false)
    })
  })

  test('SET TRANSACTION by text is refused on an acquired connection without a transaction', async () => {
    const db = await driver.single()
    await using connection = await db.acquire()
    expect(await caught(connection.status('set transaction read only'))).toBeInstanceOf(TransactionStateError)
    await connection.status('begin')
    await connection.status('set transaction read only')
    expect(await connection.scalar('show transaction_read_only')).toBe('on')
    await connection.status('rollback')
  })

  test('several statements in one text are a transaction of their own', async () => {
    const db = await driver.single()
    const { rows } = await db.status(`set local app.who = '7'; ${who} as who`)
    expect(rows).toEqual([{ who: '7' }])
    expect(await db.scalar(who)).toBe('')
  })

  test('what reads the setting in the same statement has its effect', async () => {
    const db = await driver.single()
    expect(await db.all(`select set_config('app.who', '7', true), current_setting('app.who') as who`)).toMatchObject([
      { who: '7' },
    ])
    const table = await driver.table('n int')
    await db.status(`insert into ${table} select length(set_config('app.who', '7', true))`)
    expect(await db.scalar(`select n from ${table}`)).toBe(1)
  })
})

test('nothing of it is sent', async () => {
  await using server = await fake()
  for (const text of vain) await caught(server.db.status(text))
  await server.db.scope(async (connection) => {
    for (const text of vain) await caught(connection.status(text))
  })
  expect(server.sent()).toEqual([])
  await sound(server)
})
