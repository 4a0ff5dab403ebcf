/** What belongs to a frame: all code that was started in it, whoever calls it; and nothing that was not. */

import { EventEmitter } from 'node:events'
import { type Connection, TransactionEndedError } from 'genever'
import { expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

type Start = (look: () => void) => unknown

/** Ways to start something that runs by itself. */
const starts: Readonly<Record<string, Start>> = {
  'a promise': (look) => Promise.resolve().then(look),
  'an async function': async (look) => {
    await Promise.resolve()
    look()
  },
  queueMicrotask: (look) => queueMicrotask(look),
  'process.nextTick': (look) => process.nextTick(look),
  setImmediate: (look) => setImmediate(look),
  setTimeout: (look) => setTimeout(look, 0),
  setInterval: (look) => {
    const timer = setInterval(() => {
      clearInterval(timer)
      look()
    }, 0)
  },
  'an AbortSignal': (look) => AbortSignal.timeout(0).addEventListener('abort', look),
  MessageChannel: (look) => {
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', () => {
      port1.close()
      look()
    })
    port1.start()
    port2.postMessage('now')
  },
}

forEachDriver((driver) => {
  const inherited = Object.entries(starts).filter(([name]) => !['an AbortSignal', 'MessageChannel'].includes(name))

  test.each(inherited)('what a scope starts belongs to it: %s', async (_, start) => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      const current = await new Promise((resolve) => start(() => resolve(db.current)))
      expect(current).toBe(connection)
    })
  })

  test.each(Object.entries(starts))(
    'what was started outside stays outside, though a scope is open: %s',
    async (_, start) => {
      const db = await driver.single()
      let current: Promise<unknown> | undefined
      const before = gate()
      const seen = before.promise.then(() => new Promise((resolve) => start(() => resolve(db.current))))

      await db.scope(async () => {
        before.open()
        current = seen
        expect(await current).toBeUndefined()
      })
    },
  )

  test('entering a scope changes nothing for the code that entered it, nor for its siblings', async () => {
    const db = await driver.single()
    const inside = gate()
    const looked = gate()

    const entered = db.scope(async () => {
      inside.open()
      await looked.promise
    })
    const atOnce = db.current
    await inside.promise
    const later = db.current
    const sibling = await Promise.resolve().then(() => db.current)
    looked.open()
    await entered

    expect([atOnce, later, sibling]).toEqual([undefined, undefined, undefined])
  })

  test('a listener runs where the event is emitted', async () => {
    const db = await driver.single()
    const events = new EventEmitter()
    const seen: unknown[] = []
    events.on('look', () => seen.push(db.current))

    await db.scope(async (connection) => {
      events.emit('look')
      events.on('late', () => seen.push(db.current))
      expect(seen).toEqual([connection])
    })
    events.emit('late')

    expect(seen[1]).toBeUndefined()
  })

  test('a callback made in a scope and called from another one is in the other one', async () => {
    const db = await driver.single()
    let call: () => Connection | undefined = () => undefined

    await db.scope(() => {
      call = () => db.current
    })

    await db.scope((connection) => expect(call()).toBe(connection))
  })

  test('an async generator runs in its consumer, at every step and in finally', async () => {
    const db = await driver.single()
    const seen: unknown[] = []
    const steps = async function* (): AsyncGenerator<number> {
      try {
        seen.push(db.current)
        yield 1
        seen.push(db.current)
        yield 2
      } finally {
        seen.push(db.current)
      }
    }
    const steady = await db.scope(() => steps())

    await steady.next()
    await db.scope(async (connection) => {
      await steady.next()
      expect(seen).toEqual([undefined, connection])
    })
    await steady.return(0)

    expect(seen[2]).toBeUndefined()
  })

  test('a cursor stays where iterate() was called, whoever pulls it', async () => {
    const db = await driver.single()

    await db.scope(async (connection) => {
      const cursor = db.iterate(driver.words.series(3), [], { batchSize: 1 })
      await db.detached(async () => {
        expect(await cursor.read()).toEqual({ n: 1 })
        expect(connection.borrowed).toBe(true)
      })
      await cursor.close()
    })
  })

  test('a template runs where it is first awaited', async () => {
    const db = await driver.single()
    const query = db.sql<{ n: number }>`select 1 as n`

    await db.scope(async (connection) => {
      expect([connection.borrowed, await query, connection.borrowed]).toEqual([false, [{ n: 1 }], true])
    })
    const made = await db.scope(() => ({ query: db.sql<{ n: number }>`select 2 as n` }))

    expect(await made.query).toEqual([{ n: 2 }])
  })

  test('a template made in a transaction that has ended does not run outside of it', async () => {
    const db = await driver.single()

    const { query } = await db.transaction(() => ({ query: db.sql`select 1` }))

    await expect(query.all()).rejects.toThrow(TransactionEndedError)
    await expect(Promise.resolve(query)).rejects.toThrow(TransactionEndedError)
  })
})

forEachDriver(
  (driver) => {
    test('branches of Promise.all that each open a scope never meet', async () => {
      const db = await driver.db()
      const raws = new Set<unknown>()
      const all = gate()
      let inside = 0

      await Promise.all(
        Array.from({ length: 5 }, () =>
          db.scope(
            async (connection) => {
              await db.scalar('select 1')
              if (++inside === 5) all.open()
              await all.promise
              for (let i = 0; i < 3; i++) {
                await db.scope((again) => again.scalar('select 2'))
                expect(db.current).toBe(connection)
              }
              raws.add(connection.raw)
            },
            { hold: true },
          ),
        ),
      )

      expect(raws.size).toBe(5)
    })

    test('branches of a transaction are inside of it, and their nested transactions take turns', async () => {
      const db = await driver.db()
      const table = await driver.table('n int')
      const insert = (n: number): Promise<unknown> =>
        db.status(`insert into ${table} values (${driver.words.placeholder(1)})`, [n])

      await db.transaction(async (tx) => {
        await Promise.all([
          insert(1),
          db.transaction(async (inner) => {
            await insert(2)
            inner.raiseRollback()
          }),
          db.transaction(() => insert(3)),
        ])
        expect(await tx.all(`select n from ${table} order by n`)).toEqual([{ n: 1 }, { n: 3 }])
        expect(await db.detached(() => db.all(`select n from ${table}`))).toEqual([])
      })

      expect(await db.all(`select n from ${table} order by n`)).toEqual([{ n: 1 }, { n: 3 }])
    })
  },
  { connections: 2 },
)
