/** The rules that `genever/driver` exports hold for the drivers that ship, and a driver that breaks one is found out. */

import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { driverContract } from '../../src/driver/contract.ts'
import type { Descriptor } from '../../src/driver/descriptor.ts'
import type { ConnectionHooks, Driver, RawConnection } from '../../src/driver/driver.ts'
import { FakeDriver } from '../support/fake/driver.ts'
import { pgDriver } from '../../src/driver/pg/driver.ts'
import { pgliteDriver } from '../../src/driver/pglite/driver.ts'
import { createRegistry, type DriverName, drivers } from '../../src/driver/registry.ts'
import * as shipped from '../../src/driver/shipped.ts'
import { socketDriver } from '../../src/driver/socket/driver.ts'
import { resolveOptions } from '../../src/options/options.ts'
import { freshDatabase } from '../support/database.ts'
import { SecondDriver } from '../support/second/driver.ts'
import { sourceFiles } from '../support/source.ts'

const one = { sql: 'select $1::int as one', params: [1], rows: [{ one: 1 }] }

const server = async (): Promise<Record<string, unknown>> => {
  const database = await freshDatabase()
  const { places: _, ...connection } = resolveOptions(database.url).connection
  return connection
}

const subjects: readonly (readonly [Driver, () => Promise<Record<string, unknown>>])[] = [
  [
    new FakeDriver({ answer: (text) => (text === one.sql ? { rows: [{ one: 1 }] } : { error: '42601' }) }),
    () => Promise.resolve({}),
  ],
  [
    new SecondDriver(
      new FakeDriver({ answer: (text) => (text === one.sql ? { rows: [{ one: 1 }] } : { error: '42601' }) }),
    ),
    () => Promise.resolve({}),
  ],
  [pgDriver, server],
  [socketDriver, server],
  [pgliteDriver, () => Promise.resolve({ memory: 'rules' })],
]

const silent: ConnectionHooks = {
  idle: () => {},
  room: () => {},
  lost: () => {},
  notice: () => {},
  notification: () => {},
}
let keeper: RawConnection

// Its database lives as long as somebody is connected.
beforeAll(async () => {
  keeper = await pgliteDriver.open(pgliteDriver.parse({ memory: 'rules' }), silent, performance.now() + 120_000)
})
afterAll(() => keeper.close(performance.now() + 120_000))

describe.each(subjects)('the driver %#', (driver, options) => {
  let known: Promise<Record<string, unknown>> | undefined
  // The fake throws there, so that a test of the pool shows who did it.
  const rules = driverContract({ driver, read: one, refused: 'x' }).filter(
    ({ name }) => driver.name !== 'fake' || !name.startsWith('beyond maxInFlight'),
  )

  test.each(rules.map(({ name }) => name))('%s', async (rule) => {
    const connection = await (known ??= options())
    const subject = { driver, read: one, refused: 'fail at once', options: connection, timeoutMs: 30_000 }

    await driverContract(subject)
      .find(({ name }) => name === rule)
      ?.run()
  })
})

const bound = (value: unknown, target: object): unknown =>
  typeof value === 'function' ? (value.bind(target) as unknown) : value

test('a driver that settles from inside submit is found out', async () => {
  const hasty: Driver = {
    ...pgliteDriver,
    async open(_, hooks, deadline) {
      const raw = await pgliteDriver.open(pgliteDriver.parse({ memory: 'rules' }), hooks, deadline)
      return new Proxy(raw, {
        get: (target, key) =>
          key === 'submit'
            ? (op: Parameters<RawConnection['submit']>[0]) => op.done()
            : bound(Reflect.get(target, key, target), target),
      })
    },
    parse: (options) => options,
  }
  const rule = driverContract({ driver: hasty, read: one, refused: 'x' }).find(({ name }) => name.includes('its rows'))

  await expect(rule?.run()).rejects.toThrow('never settled from inside submit')
})

describe('the drivers that ship', () => {
  test('are a folder and one line, under their names', () => {
    const described = sourceFiles().filter(({ path }) => /^driver\/\w+\/descriptor\.ts$/.test(path))
    const lines = sourceFiles().flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target !== undefined && /^driver\/\w+\/descriptor\.ts$/.test(target))
        .filter(({ target }) => dirname(target as string) !== dirname(path))
        .map(({ target }) => [path, target]),
    )

    expect(new Set(lines.map(String))).toEqual(new Set(described.map(({ path }) => `driver/shipped.ts,${path}`)))
    expect(Object.entries(shipped).map(([name, descriptor]) => [name, descriptor.name])).toEqual(
      Object.keys(shipped).map((name) => [name, name]),
    )
    expect(drivers.all.map(({ name }) => name)).toEqual(['postgres', 'mysql', 'pg', 'pglite', 'socket'])
    expectTypeOf<DriverName>().toEqualTypeOf<'postgres' | 'pg' | 'socket' | 'pglite' | 'mysql'>()
  })
})

describe('the registry', () => {
  const own = (more: Partial<Descriptor>): Descriptor => ({
    ...(drivers.byName('pglite') as Descriptor),
    name: 'own',
    schemes: ['own'],
    ...more,
  })

  test('knows a driver by its name and by each of its schemes', () => {
    const registry = createRegistry([own({ schemes: ['own', 'owned'] })])

    expect(registry.byName('own')).toBe(registry.byScheme('owned'))
    expect([registry.byName('owned'), registry.byScheme('other')]).toEqual([undefined, undefined])
  })

  test('refuses a name and a scheme that are taken, and a scheme that no URL can have', () => {
    const registry = createRegistry([own({})])

    expect(() => registry.add(own({ schemes: [] }))).toThrow('There is a driver called "own" already.')
    expect(() => registry.add(own({ name: 'new' }))).toThrow('The driver "own" serves one of the schemes own already.')
    expect(() => registry.add(own({ name: 'new', schemes: ['New:'] }))).toThrow('lower-case letters')
    expect(() => registry.add(own({ name: '' }))).toThrow('needs a name')
  })

  test('gives a scheme that waits for a driver to the one that comes', () => {
    const registry = createRegistry([own({ load: null })])
    registry.add(own({ name: 'real' }))

    expect(registry.byScheme('own')?.name).toBe('real')
  })
})
