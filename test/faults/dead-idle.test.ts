/** Connections whose way died while they were idle: nobody says so, they just never answer again. */

import { AcquireTimeoutError, type Db } from 'genever'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { idleChecks } from '../../src/pool/member.ts'
import { caught } from '../support/caught.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { passTime, patientChecks, site, sound, watch } from './support.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Longer than a test may take. */
const never = 600_000

const uses: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'a read': (db) => db.scalar('select 1'),
  'a write': (db) => db.status('insert into t values (1)'),
  'a transaction': (db) => db.transaction((tx) => tx.status('insert into t values (1)')),
  'a connection': async (db) => {
    await using connection = await db.acquire()
    return await connection.scalar('select 1')
  },
  'a scope': (db) => db.scope(() => db.scalar('select 1')),
  'a cursor': (db) => db.iterate('select 1 as n').read(),
}

describe('all idle connections are dead, and new ones get through', () => {
  test.each(Object.entries(uses))('%s is served by a new one, and the dead ones are closed', async (name, use) => {
    await using place = await site({ pool: { max: 1 } })
    const [old] = place.proxy.links
    old!.break('blackhole')
    passTime()

    await use(place.db)

    await until(() => !old!.held)
    expect(await place.rows()).toEqual(name === 'a write' || name === 'a transaction' ? [1] : [])
    await sound(place)
  })

  test('a statement for each of them is served', async () => {
    await using place = await site({ pool: { max: 5 } })
    await place.warm(5)
    const old = [...place.proxy.links]
    for (const link of old) link.break('blackhole')
    passTime()

    const values = await Promise.all(Array.from({ length: 20 }, (_, n) => place.db.scalar('select $1::int', [n])))

    expect(values).toEqual(Array.from({ length: 20 }, (_, n) => n))
    await until(() => old.every(({ held }) => !held))
    await sound(place)
  })

  test('no statement was ever written to a dead one', async () => {
    await using place = await site({ pool: { max: 1 } })
    const [link] = place.proxy.links
    const before = link!.toServer.types
    link!.toClient.swallows = true
    passTime()

    await place.db.status('insert into t values (1)')

    expect(link!.toServer.types.slice(before.length)).toBe('S')
    expect(await place.rows()).toEqual([1])
  })
})

test('one that does not answer has all the others asked together: a lone statement waits for no more than two pings', async () => {
  await using place = await site({ pool: { max: 8 } })
  await place.warm(8)
  const old = [...place.proxy.links]
  /** How many of them were still held when each of them was asked. */
  const asked: number[] = []
  for (const link of old) {
    link.toClient.swallows = true
    place.proxy.on(
      { to: 'server', type: 'S', when: 'after' },
      () => void asked.push(old.filter(({ held }) => held).length),
    )
  }
  passTime()

  expect(await place.db.scalar('select 7')).toBe(7)

  await until(() => old.every(({ held }) => !held))
  expect(asked).toHaveLength(8)
  // One after the other, each would have waited until the one before was given up.
  expect(asked.every((held) => held >= 7)).toBe(true)
})

test('those that are alive go on being used, whichever is asked first', async () => {
  using time = leapingTime()
  using _ = patientChecks()
  await using place = await site({ pool: { max: 4, acquireTimeoutMs: never, connectTimeoutMs: never } })
  await place.warm(4)
  const old = [...place.proxy.links]
  const dead = old.slice(2)
  for (const link of dead) link.break('blackhole')
  await place.proxy.accept('silent')
  time.leap(1.5 * idleChecks.freshMs)

  const served = watch(Promise.all(Array.from({ length: 8 }, () => place.db.scalar('select 1'))))
  await until(() => served.state === 'resolved')
  await until(() => place.db.stats().draining === dead.length, { what: 'those that are alive have answered' })
  time.leap(idleChecks.pingMs)

  await until(() => dead.every(({ held }) => !held))
  expect(old.slice(0, 2).every(({ held }) => held)).toBe(true)
})

test('a connection that was heard of a moment ago is not asked', async () => {
  await using place = await site({ pool: { max: 1 } })
  const [link] = place.proxy.links
  await place.db.scalar('select 1')
  const before = link!.toServer.messages

  await place.db.scalar('select 1')
  const withoutPing = link!.toServer.messages - before
  passTime()
  await place.db.scalar('select 1')

  expect(link!.toServer.messages - before).toBe(withoutPing * 2 + 1)
})

test('one that a lost connection made suspect is asked although it is fresh', async () => {
  await using place = await site({ pool: { max: 3 } })
  await place.warm(3)
  const [first, ...others] = place.proxy.links
  for (const link of others) link.break('blackhole')
  first!.break('reset')
  await until(() => !first!.held && place.db.stats().open <= 2)

  expect(await place.db.scalar('select 1')).toBe(1)

  await until(() => others.some(({ held }) => !held))
})

test('with no way for new ones either, everybody is told at the acquire deadline', async () => {
  await using place = await site({ pool: { max: 3, acquireTimeoutMs: 700, connectTimeoutMs: 10_000 } })
  await place.warm(3)
  for (const link of place.proxy.links) link.break('blackhole')
  await place.proxy.accept('silent')
  passTime()

  const errors = await Promise.all([
    caught(place.db.scalar('select 1')),
    caught(place.db.acquire()),
    caught(place.db.transaction((tx) => tx.scalar('select 1'))),
    caught(place.db.scalar('select 1', [], { timeoutMs: 300 })),
  ])

  for (const error of errors) expect(error).toBeInstanceOf(AcquireTimeoutError)
  expect(errors.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 4 }, () => 'not_started'))
  expect(place.db.stats().waiting).toBe(0)
})
