/** What outlives a request is made outside of it: sockets, timers and hooks carry nobody's store. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { createDb } from 'genever'
import { expect, test } from 'vitest'
import { currentChain } from '../../src/engine/context/chain.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const request = new AsyncLocalStorage<string>()

interface Stream {
  on(event: 'data', listener: () => void): void
}
/** What the packages `pg` and `mysql2` lend. */
interface Client {
  readonly connection?: { readonly stream: Stream }
  readonly stream?: Stream
}

forEachDriver((driver) => {
  test('a pool that a request opens lazily does not carry the store of that request', async () => {
    const seen: unknown[] = []
    const db = createDb(await driver.url(), {
      pool: { max: 1 },
      onConnect: async (connection) => {
        seen.push(request.getStore())
        await connection.scalar('select 1')
        seen.push(request.getStore())
      },
    })

    await request.run('first', () => db.scalar('select 1'))

    expect(seen).toEqual([undefined, undefined])
    await db.close()
  })

  test('a function that gives the source runs outside of the request too', async () => {
    const url = await driver.url()
    const seen: unknown[] = []
    const db = createDb(() => {
      seen.push(request.getStore())
      return Promise.resolve(url)
    })

    await request.run('first', () => db.scalar('select 1'))

    expect(seen).toEqual([undefined])
    await db.close()
  })

  test('every await of ours gives the caller its own store back', async () => {
    const db = await driver.single()
    const seen: unknown[] = []
    const work = async (name: string): Promise<void> => {
      await db.scalar('select 1')
      seen.push(request.getStore() === name)
      await db.scope(async (connection) => {
        await connection.scalar('select 2')
        seen.push(request.getStore() === name)
        await connection.release({ permanent: false })
        seen.push(request.getStore() === name)
        await db.transaction((tx) => tx.scalar('select 3'))
        seen.push(request.getStore() === name)
        for await (const _ of db.iterate(driver.words.series(3), [], { batchSize: 1 }))
          seen.push(request.getStore() === name)
      })
      await (await db.acquire()).release()
      seen.push(request.getStore() === name)
    }

    await Promise.all(['ann', 'bob', 'cid'].map((name) => request.run(name, () => work(name))))

    expect([seen.length, seen.includes(false)]).toEqual([24, false])
  })

  test('who waits for a connection goes on in its own context, not in that of who released it', async () => {
    const db = await driver.single()
    const held = await db.acquire()
    const waiting = request.run('waiter', () =>
      db.scope(async (connection) => {
        await connection.scalar('select 1')
        return [request.getStore(), db.current === connection]
      }),
    )
    await until(() => db.stats().waiting === 1)

    await request.run('releaser', () => db.scope(() => held.release(), { reuse: false }))

    expect(await waiting).toEqual(['waiter', true])
  })

  test('hooks of a transaction run in the context of its caller, outside of the transaction', async () => {
    const db = await driver.single()
    const seen: unknown[] = []

    await request.run('caller', () =>
      db.scope(async (connection) => {
        await db.transaction((tx) => {
          tx.afterCommit(() => seen.push(request.getStore(), db.current === connection))
        })
      }),
    )

    expect(seen).toEqual(['caller', true])
  })
})

forEachDriver(
  (driver) => {
    test('data arrives outside of the request that opened the connection', async () => {
      const db = createDb(await driver.url(), { pool: { max: 1 } })
      const arrived = gate()
      const seen: unknown[] = []

      await request.run('first', () => db.scope((connection) => connection.scalar('select 1')))
      const connection = await db.acquire()
      const client = (await connection.rawConnection()) as Client
      const stream = client.stream ?? client.connection?.stream
      stream?.on('data', () => {
        seen.push(request.getStore(), currentChain())
        arrived.open()
      })
      await request.run('second', () => connection.run(() => connection.scalar('select 2')))
      await arrived.promise

      expect([...new Set(seen)]).toEqual([undefined])
      await connection.release()
      await db.close()
    })
  },
  { connections: 2, lends: true },
)
