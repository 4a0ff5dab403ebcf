import { generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { FakeDriver } from '../../src/driver/fake/driver.ts'
import { InvalidOptionError, InvalidUrlError } from '../../src/errors/index.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { resolveOptions, type EngineOptions } from '../../src/options/options.ts'

function refusal(source: unknown, options?: unknown): readonly { readonly name: string; readonly problem: string }[] {
  try {
    resolveOptions(source as EngineOptions, options as EngineOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidOptionError)
    return (error as InvalidOptionError).options
  }
  return []
}
const refused = (source: unknown, options?: unknown): string[] => refusal(source, options).map(({ name }) => name)

/** With the password spelled out. */
async function connection(source: unknown, options?: unknown): Promise<Record<string, unknown>> {
  const given = resolveOptions(source as EngineOptions, options as EngineOptions).connection
  const password = given['password'] as (() => unknown) | undefined
  return { ...given, ...(password === undefined ? {} : { password: await password() }) }
}
const tls = (source: string, ssl?: EngineOptions['ssl']): unknown => resolveOptions(source, { ssl }).connection['ssl']

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

describe('options are refused', () => {
  test('together and by name, in groups too, without their values', () => {
    const given = {
      hst: 'hunter2',
      pool: { maxx: 1, max: 0 },
      retry: { times: 1 },
      port: '5432',
      __PROTO__: 1,
      password: 7,
    }
    const names = ['hst', 'pool.maxx', 'pool.max', 'retry.times', 'port', '__PROTO__', 'password']

    expect(refused(given)).toEqual(names)
    expect(() => resolveOptions(given as never)).toThrow(
      /^Unknown options "hst", "pool.maxx", .* of the engine\. Did you mean "host" for "hst", "pool.max" for "pool.maxx"\? .*"port" of the engine must be a whole number from 1 to 65535; it is a string\./,
    )
    expect(() => resolveOptions(given as never)).not.toThrow(/hunter2/)
  })

  test.each([
    ['max', /Did you mean "pool\.max"\?/],
    ['acquireTimeoutMs', /Did you mean "pool\.acquireTimeoutMs"\?/],
    ['url', /a URL stands in front of the options, as in createDb\(url, options\)/],
    ['connectionString', /a URL stands in front of the options/],
  ])('%s, which is another place here, and the message names that', (name, message) => {
    expect(() => resolveOptions({ [name]: 1 })).toThrow(message)
    expect(() => resolveOptions('postgres://localhost/x', { [name]: 1 })).toThrow(message)
  })

  test.each([
    ['host', ''],
    ['host', 'a,b'],
    ['host', 'exаmple.com'],
    ['host', 'a b'],
    ['port', 0],
    ['port', 65_536],
    ['port', 5432.5],
    ['user', 'postgres\0options\0-c statement_timeout=1234'],
    ['database', 'postgres\0application_name\0INJECTED'],
    ['database', ''],
    ['applicationName', 'x\0search_path\0pg_temp'],
    ['password', 'a\0b'],
    ['driver', 'oracle'],
    ['driver', { name: 'x' }],
    ['driver', null],
    ['ssl', 'require'],
    ['memory', false],
    ['settings', { 'a b': 1 }],
    ['settings', { a: 'x\0y' }],
    ['settings', { a: {} }],
    ['isolation', 'snapshot'],
    ['isolation', 'serializable; drop table t'],
    ['onConnect', 'select 1'],
    ['echo', 'yes'],
    ['prepare', 1],
    ['statementCacheSize', -1],
    ['reset', 'never'],
    ['int8', 'number '],
    ['transactionIdleTimeoutMs', 0],
    ['resolveCommitMs', -1],
    ['resolveCommitMs', Infinity],
    ['closeTimeoutMs', -1],
    ['closeTimeoutMs', 2 ** 31],
    ['resetTimeoutMs', 0],
    ['cancelTimeoutMs', Infinity],
    ['name', 'a\nb'],
    ['pool', 10],
    ['pool', [10]],
    ['query', null],
    ['leak', 5000],
  ])('when %s is %j', (name, value) => {
    expect(refused({ [name]: value })).toEqual([name])
  })

  test('a pooler that lends a session for as long as the connection is open changes nothing else', () => {
    const without = resolveOptions({ prebake: true, settings: { a: 'b' }, reset: 'always' })
    const said = resolveOptions({ pooler: 'session', prebake: true, settings: { a: 'b' }, reset: 'always' })
    const { knownPooler, ...connection } = said.connection as Record<string, unknown>
    expect(knownPooler).toBe(true)
    expect(connection).toEqual(without.connection)
    const { pooler, prepare, prebake, reset } = without
    expect(said).toMatchObject({ pooler, prepare, prebake, reset })
    expect([pooler, prepare]).toEqual([undefined, true])
    expect(refused({ pooler: 'session', memory: true })).toEqual(['pooler'])
  })

  test('behind a pooler prebake needs prepare: true, which needs a driver that can', () => {
    const pooler = 'transaction'
    expect(refused({ pooler, prebake: true })).toEqual(['prebake'])
    expect(refused({ pooler, prebake: true, prepare: false })).toEqual(['prebake'])
    expect(refused({ pooler, prepare: true, driver: new FakeDriver() })).toEqual(['prepare'])
    expect(resolveOptions({ pooler, prepare: true, prebake: true })).toMatchObject({
      prepare: true,
      connection: { pooledNames: true },
    })
    for (const options of [{ pooler }, { prepare: true }, { pooler, prepare: false }] as const)
      expect(resolveOptions(options).connection).not.toHaveProperty('pooledNames')
  })

  test.each([
    ['pool', 'min', -1],
    ['pool', 'max', 1.5],
    ['pool', 'maxWaiting', NaN],
    ['pool', 'acquireTimeoutMs', 0],
    ['pool', 'connectTimeoutMs', Infinity],
    ['pool', 'idleTimeoutMs', '10'],
    ['pool', 'maxLifetimeMs', 0],
    ['query', 'timeoutMs', 0],
    ['query', 'timeoutMs', 10n],
    ['retry', 'limit', -1],
    ['retry', 'intervalMs', -1],
    ['leak', 'afterMs', 0],
    ['leak', 'afterMs', 2 ** 31],
    ['leak', 'after', 1],
  ])('when %s.%s is out of range', (group, name, value) => {
    expect(refused({ [group]: { [name]: value } })).toEqual([`${group}.${name}`])
  })

  test('when pool.min is larger than pool.max', () => {
    expect(refused({ pool: { min: 11 } })).toEqual(['pool.min'])
  })

  test('when they are no plain object', () => {
    for (const given of [null, 7, [], new URL('postgres://h'), new Map()]) expect(refused(given)).toEqual(['options'])
    expect(refused('postgres://h', [])).toEqual(['options'])
  })

  test('when a key tries to reach a prototype', () => {
    expect(refused(JSON.parse('{"__proto__":{"host":"evil"}}'))).toEqual(['__proto__'])
    expect(refused({ constructor: 1, toString: 1 })).toEqual(['constructor', 'toString'])
  })

  test('when the URL needs a driver there is not', () => {
    expect(() => resolveOptions('oracle://root@h/db')).toThrow(InvalidUrlError)
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

describe('TLS', () => {
  const full = { rejectUnauthorized: true }
  const unnamed = { rejectUnauthorized: true, checkServerIdentity: expect.any(Function) }

  test.each([
    ['postgres://h', false],
    ['postgres://h?sslmode=disable', false],
    ['postgres://h?sslmode=require', { rejectUnauthorized: false, checkServerIdentity: expect.any(Function) }],
    ['postgres://h?sslmode=verify-full', full],
  ])('follows sslmode: %s', (url, expected) => {
    expect(tls(url)).toEqual(expected)
  })

  test('checks certificate and name when it is simply asked for', () => {
    expect(tls('postgres://h', true)).toEqual(full)
    expect(tls('postgres://h', {})).toEqual(full)
    expect(tls('postgres://h?sslmode=require', true)).toEqual(full)
    expect(tls('postgres://h?sslmode=disable', { servername: 'db' })).toEqual({ ...full, servername: 'db' })
  })

  test('is what the option says where it says something', () => {
    expect(tls('postgres://h?sslmode=verify-full', false)).toBe(false)
    expect(tls('postgres://h?sslmode=verify-full', { rejectUnauthorized: false })).toEqual({
      rejectUnauthorized: false,
    })
    expect(tls('postgres://h?sslmode=verify-ca', { servername: 'db', ca: certificate })).toEqual({
      ...unnamed,
      servername: 'db',
      secureContext: expect.any(Object),
    })
  })

  test('verify-ca needs an authority, as libpq does: the public ones certify any server', () => {
    expect(refused('postgres://h?sslmode=verify-ca')).toEqual(['sslmode'])
    expect(refused('postgres://h?sslmode=verify-ca', { ssl: { servername: 'db' } })).toEqual(['sslmode'])
    expect(refused('mysql://h?ssl-mode=verify_ca')).toEqual(['sslmode'])
  })

  test('with a given authority, sslmode=require checks the certificate, as libpq does', () => {
    const ca = '/etc/ssl/ca.pem'

    expect(refused('postgres://h?sslmode=require', { ssl: { ca } })).toEqual(['ssl'])
    expect(tls('postgres://h?sslmode=require', { ca: certificate })).toEqual({
      ...unnamed,
      secureContext: expect.any(Object),
    })
  })

  test('is of no use on a Unix socket', () => {
    expect(tls('postgres:///?host=/var/run&sslmode=verify-full')).toBe(false)
  })

  test('refuses details that do not exist or cannot be used', () => {
    expect(refused({ ssl: { sslmode: 'require', rejectUnauthorized: 0, minVersion: 'SSLv3', ca: 7 } })).toEqual([
      'ssl.sslmode',
      'ssl.rejectUnauthorized',
      'ssl.minVersion',
      'ssl.ca',
    ])
    expect(refusal({ ssl: { key: 'hunter2' } })[0]?.problem).toContain('cannot be used')
  })
})

function ownDriver(name: string): Driver {
  return {
    name,
    dialect: postgres,
    poolLimit: 10,
    parse: (options) => options,
    open: () => Promise.reject(new Error('not opened here')),
    classify: () => 'config',
  }
}

describe('a secret', () => {
  const canary = 'hunter2'
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: canary },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const line = privateKey.split('\n')[1] ?? ''

  test.each([
    ['in a URL', resolveOptions(`postgres://app:${canary}@db/shop`)],
    ['in options', resolveOptions({ password: canary, user: 'app' })],
    ['from a function', resolveOptions({ password: () => canary })],
    ['from a function that waits', resolveOptions({ password: () => Promise.resolve(canary) })],
    ['for a driver of one’s own', resolveOptions({ password: canary, driver: ownDriver('x') })],
    ['of TLS', resolveOptions({ password: canary, ssl: { key: privateKey, passphrase: canary } })],
  ])('%s is not shown in any form of printing', async (_, resolved) => {
    // What is in a closure or a native object, no printer reaches: showHidden and getters included.
    const everything = { depth: Infinity, showHidden: true, getters: true, customInspect: false, showProxy: true }
    const printed = [
      inspect(resolved, everything),
      inspect(resolved),
      JSON.stringify(resolved),
      resolved.describe(),
    ].join('\n')

    expect(printed).not.toContain(canary)
    expect(printed).not.toContain(line)
    expect(await (resolved.connection['password'] as () => unknown)()).toBe(canary)
  })

  test('that is empty is none', () => {
    expect(resolveOptions({ password: '' }).connection).not.toHaveProperty('password')
  })

  test('given by a function is checked when it is asked', async () => {
    const ask = (password: () => unknown): (() => unknown) =>
      resolveOptions({ password: password as () => string }).connection['password'] as () => unknown

    expect(ask(() => 7)).toThrow(InvalidOptionError)
    await expect(ask(() => Promise.resolve('a\0hunter2'))()).rejects.toThrow(/^(?!.*hunter2).*NUL/s)
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

// Any certificate will do: nothing is connected to.
const certificate = `-----BEGIN CERTIFICATE-----
MIIDETCCAfmgAwIBAgIUf2hbyxH9JQa1B4LbZZWZI5urQYkwDQYJKoZIhvcNAQEL
BQAwFzEVMBMGA1UEAwwMZ2VuZXZlci10ZXN0MCAXDTI2MTEyMTA5NTk0MVoYDzIx
MjYxMDI4MDk1OTQxWjAXMRUwEwYDVQQDDAxnZW5ldmVyLXRlc3QwggEiMA0GCSqG
SIb3DQEBAQUAA4IBDwAwggEKAoIBAQCmVI5judQEgWEVeOCI6CsOlixT1Gqyhfbv
FNJd5UVDYECcAhBmu3lNJ0vzO6+cEnpQKMbfKrkjkW+8tZ2E+eroVxPw+PdBCrRJ
syFygMF9Stqcqj6/nK8GU3b0pL3Luo9iXzwgqKFmKprXLAu7V9KWfUZwrjQ2Mdbb
dIu1IrjeH92PzNWQzNbAYV1QeBbrLtakOjbrBkKxGmQcKeJRHjbaWPq8ACWhZbti
SywqgjVKRFwD5WWi8pIoiq6kgHvzpBPCT+nat+AUVBbnEMSY2tyboOaeEo36nRCw
Y/dnfAk4bdGMZyNRD3xn6+8sarVWiy74B3dBKaFTci5nsggxKKj5AgMBAAGjUzBR
MB0GA1UdDgQWBBR42J+OFi69tBh34WWQ20DuA0xRJTAfBgNVHSMEGDAWgBR42J+O
Fi69tBh34WWQ20DuA0xRJTAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUA
A4IBAQBCGPyu8Gt+3cH0yIcrw2mwiny57UNBE21wCYRsAcdMHw+PdVjjHuT9C0OW
Pw9rq8I4zCXgUqLuwCPNMolNnUdzM3fQpylNEP8n5neOr++vUICBC7AHEH1zpLBf
/k8rnkA4aWzlokUYnSFoHXkuiv3chssKrV0JWiqB+c+Z9CM3QQXSjstgakzamWSe
I1+FsvrrlS+kRpTBaZV4aBRGqDU2LG4KsLl9Ed4AE7fY8Xyznho9889pnozdctzC
TGu2CuEEklYBUKpf4PHdgjDaRZFuP9UcPO2g8r64JdI/13xgZzEXmADecM5+YUm7
Q89FNAzzgVDNQ/3JMh0ERZQKlYW9
-----END CERTIFICATE-----
`
