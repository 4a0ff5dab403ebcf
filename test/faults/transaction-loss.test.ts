/** A connection that dies inside of a transaction, or whose backend is ended: nothing goes on elsewhere. */

import { type Connection, ConnectionLostError, createDb } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onServer } from '../support/database.ts'
import { isOnPg } from '../support/extent.ts'
import type { Break } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { killBackends, patientChecks, type Site, site, sound } from './support.ts'

const insert = 'insert into t values (1)'

describe('a connection that dies inside of a transaction', () => {
  test.each([
    ['reset', 'reset'],
    ['closed', 'finish'],
  ] as const)('%s: what follows fails as rolled back and reaches no other connection', async (_, how: Break) => {
    await using place = await site({ pool: { max: 3 } })
    await place.warm(3)
    const statements = (): number => place.proxy.links.reduce((sum, { toServer }) => sum + toServer.messages, 0)
    let sent = 0

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert)
        place.proxy.cut({ to: 'server', text: 'select 2', when: 'before' }, how)
        expect(await caught(tx.scalar('select 2'))).toMatchObject({ outcome: 'rolled_back' })
        sent = statements()
        for (const text of ['select 3', insert])
          expect(await caught(place.db.status(text))).toBeInstanceOf(ConnectionLostError)
        expect(await caught(place.db.transaction((inner) => inner.status(insert)))).toBeInstanceOf(ConnectionLostError)
        expect(await caught(place.db.iterate('select 4').read())).toBeInstanceOf(ConnectionLostError)
      }),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ outcome: 'rolled_back', retryable: true })
    expect(statements()).toBe(sent)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('is the same for statements that were waiting behind the one on the wire', async () => {
    await using place = await site({ pool: { max: 2 } })
    place.proxy.cut({ to: 'server', text: 'select 2', when: 'before' })

    const error = await caught(
      place.db.transaction((tx) => Promise.allSettled([tx.status(insert), tx.scalar('select 2'), tx.status(insert)])),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('fails a manual transaction and its commit', async () => {
    await using place = await site()
    const tx = await place.db.begin()
    await tx.status(insert)
    place.proxy.open[0]!.break('reset')
    await until(() => place.db.stats().open === 0)

    expect(await caught(tx.status(insert))).toMatchObject({ outcome: 'rolled_back' })
    expect(await caught(tx.commit())).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })
})

describe('a backend that is terminated', () => {
  test('while idle is replaced, and nobody is told', async () => {
    await using place = await site({ pool: { max: 2 } })
    await place.warm(2)

    await killBackends(place.direct.name)
    await until(() => place.db.stats().open === 0)

    await sound(place)
  })

  test('while a statement runs is a loss of unknown outcome that names the SQLSTATE', async () => {
    await using place = await site()
    const told = caught(place.db.scalar('select 1 from pg_sleep(60)'))
    await until(async () => (await place.sleeping()) === 1)

    await killBackends(place.direct.name)

    const error = await told
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error.outcome).toBe('unknown')
    expect(error.message).toContain('57P01')
    await sound(place)
  })

  test('in the middle of a cursor ends the loop with an error', async () => {
    await using place = await site()
    const seen: unknown[] = []

    const error = await caught(
      (async () => {
        for await (const { n } of place.db.iterate<{ n: number }>('select generate_series(1, 1000) as n', [], {
          batchSize: 10,
        })) {
          seen.push(n)
          if (n === 15) await killBackends(place.direct.name)
        }
      })(),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(seen.length).toBeLessThanOrEqual(20)
    await sound(place)
  })

  test('in a transaction between two statements is told by the next', async () => {
    await using place = await site()

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert)
        await killBackends(place.direct.name)
        await tx.status(insert)
      }),
    )

    expect(error).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('twice in a row means the server: the other idle connections are replaced too', async () => {
    await using place = await site({ pool: { max: 4 } })
    await place.warm(4)
    const old = [...place.proxy.links]

    await killBackends(place.direct.name, 2)

    await until(() => old.every(({ held }) => !held))
    await sound(place)
  })

  test('once leaves the others', async () => {
    using _ = patientChecks()
    await using place = await site({ pool: { max: 4 } })
    await place.warm(4)
    const old = [...place.proxy.links]

    await killBackends(place.direct.name, 1)

    await until(() => old.some(({ held }) => !held))
    await sound(place)
    expect(old.filter(({ held }) => held)).toHaveLength(3)
  })
})

describe('a server that refuses new connections for good', () => {
  test('because of the password fails those who wait at once', async () => {
    await using place = await site()
    const role = `genever_fault_${process.pid}`
    await onServer(`drop role if exists ${role}`)
    await onServer(`create role ${role} login password 'right'`)
    const url = new URL(place.direct.url)
    url.username = role
    url.password = 'right'
    await using db = createDb(url.href, { pool: { max: 1, acquireTimeoutMs: 50_000 }, applicationName: 'genever-site' })
    await db.open()
    const running = caught(db.scalar('select 1 from pg_sleep(60)'))
    await until(async () => (await place.sleeping()) === 1)
    const waiting = [caught(db.scalar('select 1')), caught(db.acquire()), caught(db.transaction(() => {}))]

    await onServer(`alter role ${role} password 'changed'`)
    await killBackends(place.direct.name)

    expect(await running).toBeInstanceOf(ConnectionLostError)
    for (const error of await Promise.all(waiting))
      expect(error).toMatchObject({ code: 'GENEVER_AUTHENTICATION', sqlState: '28P01', retryable: false })
    await db.close()
    await onServer(`drop role ${role}`)
  })

  test('because the database is gone fails those who wait at once', async () => {
    await using place = await site()
    const name = `${place.direct.name}_gone`
    await onServer(`create database ${name}`)
    const url = new URL(place.direct.url)
    url.pathname = `/${name}`
    await using db = createDb(url.href, { pool: { max: 1, acquireTimeoutMs: 50_000 } })
    const held = await db.acquire()
    const waiting = [caught(db.scalar('select 1')), caught(db.acquire())]

    await onServer(`drop database ${name} with (force)`)

    for (const error of await Promise.all(waiting))
      expect(error).toMatchObject({ code: 'GENEVER_CONNECT', sqlState: '3D000' })
    await held.release()
  })
})

describe('a transaction begun by text, whose connection dies', () => {
  const typed = async (place: Site, work: (connection: Connection) => Promise<void>): Promise<void> => {
    await using connection = await place.db.acquire()
    await connection.status('begin')
    await connection.status(insert)
    await work(connection)
  }
  const dead = async (place: Site): Promise<void> => {
    for (const link of place.proxy.open) link.break('reset')
    await until(() => place.db.stats().open === 0)
  }

  test('nothing written for it runs outside of it, until it is rolled back or another is begun', async () => {
    await using place = await site()
    await typed(place, async (connection) => {
      await dead(place)
      for (const text of [insert, 'savepoint s', insert, 'rollback to s', 'release s', insert, 'commit'])
        expect(await caught(connection.status(text))).toMatchObject({
          code: 'GENEVER_CONNECTION_LOST',
          outcome: 'rolled_back',
        })
      expect(await caught(connection.transaction((tx) => tx.status(insert)))).toBeInstanceOf(ConnectionLostError)
      expect(await place.rows()).toEqual([])

      await connection.status('rollback')
      await connection.status('insert into t values (2)')
    })
    expect(await place.rows()).toEqual([2])

    await typed(place, async (connection) => {
      await dead(place)
      await connection.status('begin')
      await connection.status('insert into t values (3)')
      await connection.status('commit')
    })
    expect(await place.rows()).toEqual([2, 3])
    await sound(place)
  })

  test('nor do the statements that were waiting', async () => {
    await using place = await site()
    await using connection = await place.db.acquire()
    place.proxy.cut({ to: 'server', text: 'select 2', when: 'before' })

    const ends = await Promise.allSettled(
      ['begin', 'select 2', insert, 'commit', insert].map((text) => connection.status(text)),
    )

    expect(ends.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
      // Where COMMIT was on its way with the others, what comes behind it is outside of the transaction.
      isOnPg ? 'rejected' : 'fulfilled',
    ])
    expect(await place.rows()).toEqual(isOnPg ? [] : [1])
    await connection.release()
    await sound(place)
  })

  test('after a COMMIT that was lost on its way the handle can be used', async () => {
    await using place = await site()
    await typed(place, async (connection) => {
      place.proxy.cut({ to: 'server', text: 'commit', when: 'before' })
      expect(await caught(connection.status('commit'))).toMatchObject({ outcome: 'unknown' })
      await connection.status('insert into t values (2)')
    })
    expect(await place.rows()).toEqual([2])
    await sound(place)
  })
})

test('statements that were waiting for a session with state do not run without it', async () => {
  await using place = await site()
  await using connection = await place.db.acquire()
  await connection.status(`set app.tenant = '7'`)
  place.proxy.cut({ to: 'server', text: 'select 2', when: 'before' })

  const ends = await Promise.allSettled(['select 2', insert].map((text) => connection.status(text)))

  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await place.rows()).toEqual([])
  await sound(place)
})
