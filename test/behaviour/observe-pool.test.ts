/** What is told of connections, leases, waits and transactions: every beginning has its end, and times are true. */

import { createDb, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import type { ConnectionEvent, TransactionEvent, WaitEvent } from '../../src/observe/channels.ts'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const names = (events: readonly { readonly event: string }[]): string[] => events.map(({ event }) => event)

describe('messages of the server', () => {
  forEachDriver((driver) => {
    // MySQL sends none; it keeps warnings until they are asked for.
    test.skipIf(driver.name === 'mysql')(
      'are told with their engine and connection, while it opens too, and to nobody else',
      async () => {
        using heard = hear('talkative')
        using other = hear('other')
        const raise = (text: string): string => `do $$ begin raise warning '${text}' using hint = 'look'; end $$`
        const db = await driver.db({
          name: 'talkative',
          pool: { max: 1 },
          onConnect: (connection) => connection.status('set client_min_messages = notice'),
        })
        await db.status(raise('one'))
        await db.transaction((tx) => tx.status(raise('two')))

        const said = { engine: 'talkative', severity: 'WARNING', code: '01000', hint: 'look', detail: undefined }
        const { connection } = heard.connections[0] as ConnectionEvent
        expect(heard.messages).toEqual([
          { ...said, connection, message: 'one' },
          { ...said, connection, message: 'two' },
        ])
        expect(other.messages).toEqual([])
      },
    )
  })
})

describe('connections', () => {
  forEachDriver((driver) => {
    test('are told when they open, with the time it took, and when they close, with their age', async () => {
      using heard = hear('opening')
      const before = performance.now()
      const db = await driver.db({ name: 'opening', onConnect: (connection) => connection.scalar('select 1') })
      const opened = performance.now() - before
      await db.close()

      const [open, close] = heard.connections as [ConnectionEvent, ConnectionEvent]
      expect(names(heard.connections)).toEqual(['open', 'close'])
      expect(open.durationMs).toBeGreaterThan(0)
      expect(open.durationMs).toBeLessThanOrEqual(opened)
      expect(close).toMatchObject({ connection: open.connection, durationMs: expect.any(Number) })
    })

    test('are told when they are cleaned', async () => {
      const db = await driver.db({ name: 'cleaned' })
      using heard = hear('cleaned')

      await db.scope((connection) => connection.status(driver.words.set('app.dirty', '1')))
      await until(() => heard.connections.length > 0)

      expect(heard.connections).toMatchObject([{ event: 'reset' }])
      expect(heard.connections[0]?.durationMs).toBeGreaterThan(0)
    })
  })

  test('are told when they cannot be opened, and why', async () => {
    using heard = hear('closed door')

    await caught(createDb('postgres://localhost:1/nothing', { name: 'closed door' }).open())

    expect(heard.connections).toMatchObject([{ event: 'failed', connection: null, error: 'ECONNREFUSED' }])
  })

  test('are told when they die, and why; one that dies while it is made ready never was open', async () => {
    using heard = hear('mortal')
    {
      await using server = await fake({ tables: { t: [] } }, { name: 'mortal' })
      server.driver.faults.at('select', { lost: '57P01' })
      await caught(server.db.transaction(() => server.db.all('select * from t')))
    }
    const failing = { onConnect: () => Promise.reject(new RangeError('no')), name: 'mortal' }
    await caught(fake({}, failing))

    expect(heard.connections).toMatchObject([
      { event: 'open', connection: 1 },
      { event: 'lost', connection: 1, error: '57P01' },
      { event: 'failed', connection: null },
    ])
    expect(names(heard.leases)).toEqual(['acquire', 'release'])
  })
})

describe('leases and waits', () => {
  forEachDriver((driver) => {
    test('tell who waited for how long and who had it for how long', async () => {
      const db = await driver.single({ name: 'lent' })
      using heard = hear('lent')

      const held = await db.acquire()
      const waiting = db.scope((connection) => connection.scalar('select 1'))
      const implicit = db.scalar('select 2')
      await until(() => db.stats().waiting === 2)
      await held.release()
      await Promise.all([waiting, implicit])

      expect(names(heard.leases)).toEqual(['acquire', 'release', 'acquire', 'release'])
      const [first, released, second] = heard.leases
      expect([first?.waitMs, first?.useMs, released?.waitMs]).toEqual([0, 0, 0])
      expect(released?.useMs).toBeGreaterThan(0)
      expect(second?.waitMs).toBeGreaterThan(0)
      expect(heard.waits.map(({ event, waiting: count }) => [event, count])).toEqual([
        ['begin', 1],
        ['begin', 2],
        ['end', 1],
        ['end', 0],
      ])
      expect(heard.statements.find(({ implicit: alone }) => alone)?.waitMs).toBeGreaterThan(0)
    })

    test('tell of those who gave up, and what they waited for', async () => {
      const db = await driver.single({ name: 'gave up' })
      using heard = hear('gave up')
      const held = await db.acquire()
      const hold = gate()
      const other = held.transaction(() => hold.promise)

      await caught(db.acquire({ timeoutMs: 20 }))
      await caught(db.scalar('select 1', [], { timeoutMs: 20 }))
      await caught(held.scalar('select 1', [], { timeoutMs: 20 }))
      hold.open()
      await other
      await held.release()

      const timeouts = heard.waits.filter(({ event }) => event === 'timeout')
      expect(timeouts.map(({ phase }) => phase)).toEqual(['connection', 'connection', 'transaction'])
      for (const { waitMs } of timeouts) expect(waitMs).toBeGreaterThan(0)
      expect(balance(heard.waits)).toBe(0)
    })
  })

  test('end for everybody when the pool is closed', async () => {
    await using server = await fake({}, { name: 'closing', pool: { max: 1 } })
    using heard = hear('closing')
    await server.db.acquire()
    const waiting = caught(server.db.acquire())

    await server.db.close({ timeoutMs: 0 })
    await waiting

    expect(balance(heard.waits)).toBe(0)
    expect(names(heard.leases)).toEqual(['acquire', 'release'])
  })
})

function balance(waits: readonly WaitEvent[]): number {
  const count = (wanted: string): number => waits.filter(({ event }) => event === wanted).length
  return count('begin') - count('end')
}

describe('transactions', () => {
  const told = ({ id, parent, event }: TransactionEvent): unknown[] => [id, parent, event]

  forEachDriver((driver) => {
    const open = (name: string): Promise<Db> => driver.single({ name })

    test('tell their beginning and end, with those of savepoints inside, and statements name them', async () => {
      const db = await open('nested')
      using heard = hear('nested')

      await db.transaction(async () => {
        await db.scalar('select 1')
        await db.transaction(() => db.scalar('select 2'))
        await db.transaction((tx) => tx.raiseRollback())
      })

      const [outer = 0, second = 0, third = 0] = heard.transactions
        .filter(({ event }) => event === 'begin')
        .map(({ id }) => id)
      expect(heard.transactions.map(told)).toEqual([
        [outer, null, 'begin'],
        [second, outer, 'begin'],
        [second, outer, 'commit'],
        [third, outer, 'begin'],
        [third, outer, 'rollback'],
        [outer, null, 'commit'],
      ])
      expect(heard.statements.map(({ transaction }) => transaction)).toEqual([outer, second])
      expect(heard.transactions.at(-1)?.durationMs).toBeGreaterThan(0)
    })

    test('say what led to a rollback, if a statement did', async () => {
      const db = await open('failed')
      using heard = hear('failed')

      await caught(db.transaction(() => db.all('select exp(1000)')))
      await caught(db.transaction(() => db.scalar('select 1').then(() => Promise.reject(new RangeError('own')))))

      expect(heard.transactions.filter(({ event }) => event === 'rollback')).toMatchObject([
        { error: driver.name === 'mysql' ? '1690' : '22003' },
        expect.not.objectContaining({ error: expect.anything() }),
      ])
    })

    test('end once each, also when one around them takes them along', async () => {
      const db = await open('along')
      using heard = hear('along')

      await caught(
        db.transaction(async (outer) => {
          await outer.begin()
          await outer.begin()
        }),
      )
      const manual = await db.begin()
      await manual.rollback()

      const ends = heard.transactions.filter(({ event }) => event !== 'begin')
      expect(ends.map(({ event }) => event)).toEqual(['rollback', 'rollback', 'rollback', 'rollback'])
      expect(new Set(ends.map(({ id }) => id)).size).toBe(4)
    })
  })

  test('lost in the middle of COMMIT have an unknown end', async () => {
    await using server = await fake({ tables: { t: [] } }, { name: 'commit' })
    using heard = hear('commit')
    server.driver.faults.at('COMMIT', { lost: true })

    await caught(server.db.transaction(() => server.db.status('insert into t values (1)')))

    expect(names(heard.transactions)).toEqual(['begin', 'unknown'])
  })
})
