/** `db.current`: exactly what `acquire({ reuse: true })` would use here, and never an error. */

import { type Connection, createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

/** What is current, after checking that `acquire({ reuse: true })` shares it. */
async function agreed(db: Db): Promise<Connection | undefined> {
  const { current } = db
  const reusing = await db.acquire({ reuse: true, lazy: true })
  expect(reusing.owner).toBe(current === undefined)
  if (current !== undefined) {
    await reusing.scalar('select 1')
    expect(current.raw).toBe(reusing.raw)
  }
  await reusing.release()
  return current
}

forEachDriver((driver) => {
  test('outside of everything nothing is current', async () => {
    const db = await driver.single()

    expect(await agreed(db)).toBeUndefined()
  })

  test('in a scope its connection is current, in the next one inside the same', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      expect(await agreed(db)).toBe(connection)
      await db.scope(async () => expect(await agreed(db)).toBe(connection))
    })

    expect(db.current).toBeUndefined()
  })

  test('in a scope of its own connection that one is current, and afterwards the outer one again', async () => {
    const db = await driver.single()

    await db.scope(async (outer) => {
      await db.scope(async (inner) => expect(await agreed(db)).toBe(inner), { reuse: false })
      expect(db.current).toBe(outer)
    })
  })

  test('acquire(), begin() and a scope that is not reusable change nothing', async () => {
    const db = await driver.db()
    await using lazy = await db.acquire({ lazy: true })

    await db.scope(async (connection) => {
      await db.acquire({ reuse: true })
      await db.scope(() => expect(db.current).toBe(connection), { reuse: false, reusable: false })
    })
    await db.scope(() => expect(db.current).toBeUndefined(), { reusable: false })
    await using tx = await db.begin()

    expect([lazy.owner, tx.connection.owner, db.current]).toEqual([true, false, undefined])
  })

  test('in a transaction its connection is current', async () => {
    const db = await driver.single()

    await db.transaction(async (tx) => expect(await agreed(db)).toBe(tx.connection))
    await db.scope(async (connection) => {
      await db.transaction(async () => expect((await agreed(db))?.raw).toBe(connection.raw))
    })
  })

  test('every branch of Promise.all sees what was current where it began', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      const branches = await Promise.all([
        Promise.resolve().then(() => db.current),
        (async () => {
          await connection.scalar('select 1')
          return agreed(db)
        })(),
        new Promise((resolve) => setImmediate(() => resolve(db.current))),
      ])
      expect(branches).toEqual([connection, connection, connection])
    })
  })

  test('a sibling never sees the scope of another branch', async () => {
    const db = await driver.single()
    const inside = gate()
    const looked = gate()

    await Promise.all([
      db.scope(async () => {
        inside.open()
        await looked.promise
      }),
      inside.promise.then(async () => {
        expect(await agreed(db)).toBeUndefined()
        looked.open()
      }),
    ])
  })

  test('what is current stays so while its raw connection is handed back', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      await connection.scalar('select 1')
      await connection.release({ permanent: false })
      expect(await agreed(db)).toBe(connection)
      await db.idle(async () => expect(await agreed(db)).toBe(connection))
    })
  })

  test('after a permanent release inside of its scope nothing is current, not even the scope around it', async () => {
    const db = await driver.single()

    await db.scope(async () => {
      await db.scope(
        async (inner) => {
          await inner.release()
          expect(await agreed(db)).toBeUndefined()
          expect(await db.scalar('select 1')).toBe(1)
        },
        { reuse: false },
      )
    })
  })

  test('where the scope or transaction has ended it is undefined, never an error', async () => {
    const db = await driver.single()
    const later = gate()
    const look = async (): Promise<unknown> => {
      await later.promise
      return db.current
    }
    const looks: Promise<unknown>[] = []

    await db.scope(() => void looks.push(look()))
    await db.scope(() => void looks.push(look()), { settings: { 'app.tenant': '7' } })
    await db.transaction(() => void looks.push(look()))
    await db.scope(() => db.transaction(() => void looks.push(look())))
    later.open()

    expect(await Promise.all(looks)).toEqual([undefined, undefined, undefined, undefined])
  })

  test('detached from everything nothing is current', async () => {
    const db = await driver.single()

    await db.scope(() => db.detached(async () => expect(await agreed(db)).toBeUndefined()))
    await db.transaction(() => db.detached(() => expect(db.current).toBeUndefined()))
  })

  test('before it is bound, before it is opened and after it was closed it is undefined', async () => {
    const unbound = createDb()
    const configured = createDb(await driver.url())
    const closed = await createDb(await driver.url()).open()
    await closed.close()

    expect([unbound.current, configured.current, closed.current]).toEqual([undefined, undefined, undefined])
  })
})
