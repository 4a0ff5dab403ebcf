/** Options of an engine: their defaults, and what the URL, the options and the driver make of each other. */

import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { postgres } from '../../src/postgres/dialect.ts'
import { resolveOptions, type EngineOptions } from '../../src/options/options.ts'
import { connection, ownDriver, refused } from './resolved-options.ts'

describe('defaults', () => {
  test('are those of the documentation', () => {
    const { describe: _, ...resolved } = resolveOptions()

    expect(resolved).toEqual({
      name: 'localhost:5432/postgres',
      driver: 'socket',
      dialect: 'postgres',
      connection: {
        host: 'localhost',
        port: 5432,
        user: 'postgres',
        database: 'postgres',
        ssl: false,
        int8: 'number',
        statementCacheSize: 256,
      },
      pool: {
        min: 0,
        max: 10,
        shared: 4,
        batchReads: true,
        spareReads: true,
        maxWaiting: Infinity,
        acquireTimeoutMs: 30_000,
        connectTimeoutMs: 10_000,
        idleTimeoutMs: 30_000,
        maxLifetimeMs: 1_800_000,
      },
      query: { timeoutMs: Infinity, tags: undefined },
      retry: { limit: 0, intervalMs: 1_000 },
      isolation: undefined,
      transactionIdleTimeoutMs: Infinity,
      functions: { harmless: [], stateful: [] },
      resolveCommitMs: 0,
      onConnect: undefined,
      echo: false,
      leak: { afterMs: Infinity },
      slow: { afterMs: Infinity },
      repeats: { afterTimes: Infinity },
      pooler: undefined,
      prepare: true,
      prebake: false,
      statementCacheSize: 256,
      replicas: null,
      reset: 'dirty',
      int8: 'number',
      types: null,
      closeTimeoutMs: 10_000,
      resetTimeoutMs: 5_000,
      cancelTimeoutMs: 5_000,
    })
  })

  test('hold for what is undefined', () => {
    const given = { host: undefined, pool: { max: undefined }, query: undefined, int8: undefined }

    expect({ ...resolveOptions(given), describe: 0 }).toEqual({ ...resolveOptions(), describe: 0 })
  })

  test('name the database after the user', async () => {
    expect(await connection({ user: 'app' })).toMatchObject({ user: 'app', database: 'app' })
  })

  test('do not come from a polluted Object.prototype', () => {
    const polluted = {
      host: 'evil',
      ssl: { rejectUnauthorized: false },
      rejectUnauthorized: false,
      driver: 'pglite',
      directory: '/evil',
      password: 'evil',
      sslmode: 'disable',
      pool: { max: 1 },
      max: 1,
      name: 'evil',
      checkServerIdentity: () => undefined,
      secureContext: {},
    }
    const sources: [string | EngineOptions, EngineOptions?][] = [
      ['postgres://app@db/shop'],
      ['postgres://db?sslmode=verify-full', { pool: { min: 1 } }],
      [{ ssl: {} }],
      [{}],
    ]
    const print = (): string[] =>
      sources.map((source) => {
        const { connection, ...rest } = resolveOptions(...source)
        return inspect([{ ...connection }, { ...(connection['ssl'] as object) }, rest], { depth: 5 })
      })
    const before = print()
    let after: string[]
    try {
      for (const [key, value] of Object.entries(polluted))
        // oxlint-disable-next-line no-extend-native -- an attacker does
        Object.defineProperty(Object.prototype, key, { value, configurable: true, enumerable: false, writable: true })
      after = print()
    } finally {
      for (const key of Object.keys(polluted)) Reflect.deleteProperty(Object.prototype, key)
    }

    expect(after).toEqual(before)
  })
})

describe('URL and options together', () => {
  test('make one set of options, and explicit options win over those of the query', async () => {
    const url = 'postgres://app:pw@db:6432/shop?application_name=a&connect_timeout=3&options=-c%20x.y%3D1'
    const resolved = resolveOptions(url, { applicationName: 'b', pool: { max: 5 } })

    expect(await connection(url, { applicationName: 'b', pool: { max: 5 } })).toEqual({
      host: 'db',
      port: 6432,
      user: 'app',
      password: 'pw',
      database: 'shop',
      applicationName: 'b',
      options: '-c x.y=1',
      ssl: false,
      int8: 'number',
      statementCacheSize: 256,
    })
    expect(resolved.pool).toMatchObject({ max: 5, connectTimeoutMs: 3_000 })
    expect(resolveOptions(url, { pool: { connectTimeoutMs: 50 } }).pool.connectTimeoutMs).toBe(50)
  })

  test('may name the same database, but not two', () => {
    const url = 'postgres://app:pw@db:6432/shop'
    const same = { host: 'db', port: 6432, user: 'app', password: 'pw', database: 'shop', driver: 'pg' as const }
    const other = { host: 'x', port: 1, user: 'x', password: () => 'pw', database: 'x' }

    expect(refused(url, same)).toEqual([])
    expect(refused(url, other)).toEqual(['host', 'port', 'user', 'password', 'database'])
    expect(refused({ host: 'a', driver: 'pg' }, { host: 'b', driver: 'pglite' })).toContain('driver')
  })

  test('may come as two sets of options, of which the second wins', () => {
    const resolved = resolveOptions({ int8: 'bigint', pool: { min: 1, max: 2 } }, { int8: 'string', pool: { max: 3 } })

    expect(resolved).toMatchObject({ int8: 'string', pool: { min: 1, max: 3 } })
  })

  test('must agree on the driver', () => {
    expect(refused('postgres://db', { driver: 'postgres' })).toEqual([])
    expect(refused('postgres://db', { driver: 'pglite' })).toContain('driver')
    expect(refused('pg://db', { driver: 'postgres' })).toContain('driver')
    expect(refused('pglite://memory', { driver: 'pg' })).toContain('driver')
  })
})

describe('isolation', () => {
  test.each(['SERIALIZABLE', 'serializable'])('is understood in any spelling: %s', (isolation) => {
    expect(resolveOptions({ isolation }).isolation).toBe('serializable')
  })
  test.each(['READ_COMMITTED', 'read-committed', 'Read Committed'])(
    'is understood in any spelling: %s',
    (isolation) => {
      expect(resolveOptions({ isolation }).isolation).toBe('read committed')
    },
  )
})

describe('drivers', () => {
  const fake = ownDriver('fake')

  test('by name: postgres is the one that needs no package, and pg is node-postgres', () => {
    const named = (...given: Parameters<typeof resolveOptions>): unknown => resolveOptions(...given).driver

    expect([named(), named('postgres://'), named('postgresql://'), named('host=db')]).toEqual(Array(4).fill('socket'))
    expect([named({ driver: 'postgres' }), named('socket://')]).toEqual(['socket', 'socket'])
    expect([named('pg://'), named('postgres://', { driver: 'pg' }), named({ driver: 'pg' })]).toEqual(
      Array(3).fill('pg'),
    )
  })

  test('PGlite gets a directory or memory, and one connection', async () => {
    expect(await connection('pglite:./data')).toEqual({ directory: './data', int8: 'number' })
    expect(await connection('pglite://memory/a')).toEqual({ memory: 'a', int8: 'number' })
    expect(await connection({ driver: 'pglite', int8: 'bigint' })).toEqual({ memory: true, int8: 'bigint' })
    expect(await connection({ directory: './data' })).toEqual({ directory: './data', int8: 'number' })
    expect(resolveOptions('pglite://memory', { pool: { min: 2, max: 20 } }).pool).toMatchObject({
      min: 1,
      max: 1,
    })
  })

  test('PGlite and servers refuse what belongs to the other', () => {
    expect(refused('pglite://memory', { host: 'h', port: 1, user: 'u', password: 'p', database: 'd' })).toEqual([
      'host',
      'port',
      'user',
      'password',
      'database',
    ])
    expect(refused('postgres://', { directory: './x', memory: true })).toEqual(['directory', 'memory'])
    expect(refused({ directory: './x', memory: 'y' })).toEqual(['memory'])
  })

  test('of one’s own get what was given, without defaults', async () => {
    const resolved = resolveOptions('postgres://app:pw@db/shop', { driver: fake })

    expect(resolved.driver).toBe(fake)
    expect(await connection('postgres://app:pw@db/shop', { driver: fake })).toEqual({
      host: 'db',
      user: 'app',
      password: 'pw',
      database: 'shop',
    })
    expect(resolveOptions({ driver: fake }).connection).toEqual({})
    expect(resolveOptions({ driver: { ...fake, dialect: { ...postgres, name: 'mysql' } } }).dialect).toBe('mysql')
  })
})

describe('a description', () => {
  test.each([
    ['postgres://app:hunter2@localhost/shop', 'postgres://app@localhost:5432/shop', 'localhost:5432/shop'],
    ['postgres://a%40b@[::1]/my%20shop', 'postgres://a%40b@[::1]:5432/my%20shop', '::1:5432/my shop'],
    ['postgres:///shop?host=/var/run', 'postgres://postgres@:5432/shop?host=/var/run', '/var/run:5432/shop'],
    ['postgres://app:hunter2@one,two:5433/db', 'postgres://app@one:5432,two:5433/db', 'one:5432,two:5433/db'],
    ['pglite://memory/a', 'pglite://memory/a', 'pglite://memory/a'],
    ['pglite://memory', 'pglite://memory', 'pglite://memory'],
    ['pglite:./data', 'pglite:./data', 'pglite:./data'],
  ])('of %s is %s', (url, description, name) => {
    const resolved = resolveOptions(url)

    expect(resolved.describe()).toBe(description)
    expect(resolved.name).toBe(name)
    expect(resolveOptions(url, { name: 'main' }).name).toBe('main')
  })
})

describe('the result', () => {
  test('is frozen in all its groups', () => {
    const resolved = resolveOptions({ settings: { a: 1 }, ssl: true })
    const groups = [resolved, resolved.pool, resolved.query, resolved.retry, resolved.connection]

    expect([...groups, resolved.connection['settings'], resolved.connection['ssl']].every(Object.isFrozen)).toBe(true)
  })

  test('shares nothing with what was given', () => {
    const settings = { a: 1 }
    const given = { settings, pool: { max: 3 } }
    const resolved = resolveOptions(given)
    settings.a = 2
    given.pool.max = 4

    expect(resolved.connection['settings']).toEqual({ a: 1 })
    expect(resolved.pool.max).toBe(3)
  })
})
