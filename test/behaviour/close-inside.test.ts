/** `close()` from code that it would wait for says so at once, and closes nothing; from everywhere else it closes. */

import { createDb, type Db, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

/** So long nobody in these tests waits. */
const patience = { closeTimeoutMs: 60_000 }

/** Where code has a connection that is given back only when it has ended. */
const inside: Readonly<Record<string, (db: Db, close: () => Promise<unknown>) => Promise<unknown>>> = {
  'a scope': (db, close) => db.scope(async () => (await db.scalar('select 1'), close())),
  'a scope in a scope': (db, close) => db.scope(() => db.scope(async () => (await db.scalar('select 1'), close()))),
  'a scope that is not reusable': (db, close) =>
    db.scope(async (connection) => (await connection.scalar('select 1'), close()), { reusable: false }),
  'a transaction': (db, close) => db.transaction(async () => (await db.scalar('select 1'), close())),
  'a nested transaction': (db, close) => db.transaction(() => db.transaction(async () => close())),
  'run() of a handle': async (db, close) => {
    await using handle = await db.acquire()
    return await handle.run(close)
  },
  'a hook of a transaction in a scope': (db, close) =>
    db.scope(async () => {
      let closing: Promise<unknown> = Promise.resolve()
      await db.transaction((tx) => tx.afterCommit(() => (closing = close()).catch(() => {})))
      return closing
    }),
}

forEachDriver((driver) => {
  test.each(Object.entries(inside))('inside of %s it is refused at once', async (_, run) => {
    const db = await driver.single(patience)

    const error = await caught(run(db, () => db.close()))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('close() was called inside a scope or transaction that it would wait for')
    expect(await db.scalar('select 2')).toBe(2)
  })

  test('inside of a scope disposal is refused as well, and another db is closed', async () => {
    const db = await driver.single(patience)
    const other = await createDb(await driver.url()).open()

    const error = await db.scope(async () => {
      await db.scalar('select 1')
      await other.close()
      return caught(db[Symbol.asyncDispose]())
    })

    expect([error instanceof UsageError, String(other)]).toEqual([true, 'Db { closed }'])
  })

  test('inside of a scope that holds no connection it closes', async () => {
    const open = async (): Promise<Db> => createDb(await driver.url(), patience).open()
    const [lazy, idle, afterwards] = [await open(), await open(), await open()]

    await lazy.scope(() => lazy.close())
    await idle.scope(async () => {
      await idle.scalar('select 1')
      await idle.idle(() => idle.close())
    })
    await afterwards.transaction((tx) => tx.afterCommit(() => afterwards.close()))

    expect([lazy, idle, afterwards].map(String)).toEqual(Array(3).fill('Db { closed }'))
  })

  test('from onConnect it is refused at once', async () => {
    const errors: Error[] = []
    const db = createDb(await driver.url(), {
      ...patience,
      async onConnect() {
        errors.push(await caught(db.close()))
      },
    })

    expect(await db.scalar('select 1')).toBe(1)
    await db.close()
    expect(errors).toEqual([expect.any(UsageError)])
  })

  test('in the loop of a cursor it says at once that it waits for that cursor', async () => {
    const db = await createDb(await driver.url(), patience).open()
    let closing: Promise<unknown> | undefined
    let told = 0
    const began = performance.now()

    const notices = await noticesDuring(async () => {
      for await (const _row of db.iterate(driver.words.series(500))) {
        closing = db.close()
        told = 1
        break
      }
      await closing
    })

    expect(told).toBe(1)
    // Once more after each second in which the server has not closed the cursor.
    expect(notices.length).toBeGreaterThan(0)
    expect(notices.length).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / 1_000))
    for (const notice of notices)
      expect(notice).toMatchObject({
        code: 'waiting-to-close',
        places: [expect.stringMatching(/^cursor opened at \S*close-inside\.test\.ts/)],
      })
  })

  test('a handle that is not released is told of after a second, and close() goes on when it is', async () => {
    const name = `held by a handle on ${driver.name}`
    using heard = hear(name)
    const db = await createDb(await driver.url(), { ...patience, name }).open()
    const handle = await db.acquire()

    const closing = db.close()
    await until(() => heard.notices.length > 0, { timeoutMs: 20_000, what: 'it is told of' })
    await handle.release()

    // Once more after each second in which it is still there.
    for (const notice of heard.notices)
      expect(notice).toMatchObject({ code: 'waiting-to-close', places: [expect.stringMatching(/^acquire/)] })
    expect(await closing).toEqual({ drained: 1, broken: [] })
  })
})
