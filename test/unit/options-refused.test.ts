/** Options of an engine that are refused: together, by name, and without their values. */

import { describe, expect, test } from 'vitest'
import { FakeDriver } from '../../src/driver/fake/driver.ts'
import { InvalidUrlError } from '../../src/errors/index.ts'
import { resolveOptions } from '../../src/options/options.ts'
import { refused } from './resolved-options.ts'

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
    ['dbname', /Did you mean "database"\?/],
    ['poolSize', /Did you mean "pool\.max"\?/],
    ['idleTimeoutMillis', /Did you mean "pool\.idleTimeoutMs"\?/],
    ['logger', /Did you mean "echo"\?/],
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
