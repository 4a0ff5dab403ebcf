/** While nobody listens nothing is published, and no clock is read for what would be told. */

import { afterEach, expect, test, vi } from 'vitest'
import { clock } from '../../src/util/clock.ts'
import {
  connectionChannel,
  type EventChannel,
  leaseChannel,
  noticeChannel,
  statementChannel,
  statementStartChannel,
  transactionChannel,
  waitChannel,
} from '../../src/observe/channels.ts'
import { caught } from '../support/caught.ts'
import { fake, type Fake } from '../support/fake.ts'

const channels: readonly EventChannel<any>[] = [
  noticeChannel,
  statementStartChannel,
  statementChannel,
  connectionChannel,
  leaseChannel,
  waitChannel,
  transactionChannel,
]

afterEach(() => {
  vi.restoreAllMocks()
})

/** Everything there is an event for, but notices. */
async function everything(): Promise<void> {
  await using server = await fake({ tables: { t: [] } }, { pool: { max: 1 } })
  const { db, driver } = server
  await db.all('select * from t')
  await db.scope((connection) => connection.status('set a = 1'))
  await db.transaction(async () => {
    await db.status('insert into t values (1)')
    await caught(db.transaction(() => Promise.reject(new RangeError('no'))))
  })
  const held = await db.acquire()
  await caught(db.acquire({ timeoutMs: 5 }))
  await Promise.all([db.all('select * from t'), held.release()])
  driver.faults.at('select', { lost: true })
  await caught(db.status('select * from t'))
}

async function publishedBy(work: () => Promise<unknown>): Promise<number> {
  const spies = channels.map((channel) => vi.spyOn(channel, 'publish'))
  try {
    await work()
    return spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

test('nothing is published', async () => {
  expect(await publishedBy(everything)).toBe(0)
})

test('each channel is published to only for its own subscribers', async () => {
  for (const channel of channels.slice(1)) {
    const events: unknown[] = []
    const keep = (event: unknown): void => void events.push(event)
    channel.subscribe(keep)
    try {
      const published = await publishedBy(everything)

      expect([String(channel.name), published > 0]).toEqual([String(channel.name), true])
      expect([String(channel.name), events.length]).toEqual([String(channel.name), published])
    } finally {
      channel.unsubscribe(keep)
    }
  }
})

test('the clock is not read for statements, transactions and leases', async () => {
  // With a leak report every place is noted, so none has to be noted later.
  await using server = await fake({ tables: { t: [] } }, { leak: { afterMs: 60_000 } })
  const { db } = server
  const reading = vi.spyOn(clock, 'now')
  const reads = async (work: (db: Fake['db']) => Promise<unknown>): Promise<number> => {
    for (let i = 0; i < 3; i++) await work(db)
    // The fewest of some times: on a slow machine a connection may have been idle for so long that it is asked first.
    let fewest = Infinity
    for (let time = 0; time < 3; time++) {
      reading.mockClear()
      for (let i = 0; i < 10; i++) await work(db)
      fewest = Math.min(fewest, reading.mock.calls.length)
    }
    return fewest
  }
  const kinds = {
    statement: [statementChannel, () => db.all('select * from t')],
    transaction: [transactionChannel, () => db.transaction(() => db.all('select * from t'))],
    lease: [leaseChannel, () => db.scope(() => db.all('select * from t'))],
  } as const

  for (const [kind, [channel, work]] of Object.entries(kinds)) {
    const listen = (): void => {}
    const before = await reads(work)
    channel.subscribe(listen)
    const during = await reads(work)
    channel.unsubscribe(listen)
    const after = await reads(work)

    expect([kind, during > before, after]).toEqual([kind, true, before])
  }
})
