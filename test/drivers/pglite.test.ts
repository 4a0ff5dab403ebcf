/** The driver `pglite`: the contract, and how connections of one process share a database. */

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { Dirty } from '../../src/sql/compiled.ts'
import { pgliteDriver } from '../../src/driver/pglite/driver.ts'
import { driverContract } from './contract/contract.ts'
import { closeAll, connect, failureOf, later, TestConnection } from './test-connection.ts'

const driver = pgliteDriver as Driver

driverContract({ name: 'pglite', driver, options: () => Promise.resolve({ memory: 'contract' }) })

/** PGlite takes seconds to start on a busy machine. */
const bootMs = 120_000
const directories: string[] = []

async function directory(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'genever-pglite-'))
  directories.push(made)
  return join(made, 'data')
}

afterEach(async () => {
  await closeAll()
  for (const made of directories.splice(0)) await rm(made, { recursive: true, force: true })
})

describe('pglite: sharing', () => {
  let keeper: TestConnection

  beforeAll(async () => {
    keeper = new TestConnection()
    keeper.raw = await driver.open(driver.parse({ memory: 'shared' }), keeper, later(bootMs))
  }, bootMs)
  afterAll(() => keeper.raw.close(later()))

  test('a name is one database, until the last connection closes it', { timeout: bootMs }, async () => {
    const one = await connect(driver, { memory: 'brief' })
    const other = await connect(driver, { memory: 'brief' })
    await one.run('create table shared (a int)')
    await one.raw.close(later())

    expect((await other.run('select * from shared')).end).toBe('SELECT 0')
    await other.raw.close(later())
    const again = await connect(driver, { memory: 'brief' })
    expect((await again.run('select * from shared')).end).toBe('server 42P01 rolled_back')
  })

  test('connections take turns: a transaction keeps the floor', async () => {
    const one = await connect(driver, { memory: 'shared' })
    const other = await connect(driver, { memory: 'shared' })
    await one.run('begin')
    const waiting = other.op('select 1')
    other.raw.submit(waiting)
    await new Promise((resolve) => setTimeout(resolve, 20))

    expect(waiting.end).toBe('pending')
    await one.run('commit')
    expect((await waiting.settled).end).toBe('SELECT 1')
  })

  test('what was set by one is never seen by the other', async () => {
    const one = await connect(driver, { memory: 'shared' })
    const other = await connect(driver, { memory: 'shared' })
    await one.run("set app.tenant to 'a'")
    const waiting = other.op("select current_setting('app.tenant', true) as tenant")
    other.raw.submit(waiting)
    await new Promise((resolve) => setTimeout(resolve, 20))

    expect(waiting.end).toBe('pending')
    await one.raw.reset(one.raw.dirty, later())
    expect((await waiting.settled).rows).toEqual([{ tenant: '' }])
  })

  test('each has settings of its own, and so do those that share with it', async () => {
    const one = await connect(driver, { memory: 'shared', settings: { 'app.tenant': "a'\\", work_mem: '1MB' } })
    const other = await connect(driver, { memory: 'shared' })
    other.raw.setBaseline("select set_config('app.tenant', 'b', false);")
    const tenant = "select current_setting('app.tenant', true) || current_setting('work_mem')"
    const seen = []
    for (const c of [one, other, keeper, one]) seen.push(await c.value(tenant))
    await one.raw.reset(Dirty.unknown, later())
    seen.push(await one.value(tenant))

    expect(seen).toEqual(["a'\\1MB", 'b4MB', '4MB', "a'\\1MB", "a'\\1MB"])
  })

  test('settings that cannot be made keep a connection from opening', async () => {
    const failure = await failureOf(connect(driver, { memory: 'shared', settings: { work_mem: 'much' } }))

    expect([failure.kind, failure.fields?.['code']]).toEqual(['server', '22023'])
  })

  test('who waits for the floor can be cancelled', async () => {
    const one = await connect(driver, { memory: 'shared' })
    const other = await connect(driver, { memory: 'shared' })
    await one.run('begin')
    const waiting = other.op('select 1')
    other.raw.submit(waiting)

    expect(await other.raw.cancel(waiting, later())).toBe('cancelled')
    expect([waiting.end, other.raw.status]).toEqual(['server 57014 rolled_back', 'idle'])
    await one.run('commit')
    expect(await other.value('select 1')).toBe(1)
  })

  test('a connection that is destroyed in a transaction leaves the database, without what it did', async () => {
    const one = await connect(driver, { memory: 'shared' })
    await one.run('create table destroyed (a int)')
    await one.unit('begin', 'insert into destroyed values (1)')
    one.raw.destroy({ kind: 'closed', outcome: 'unknown' })
    const other = await connect(driver, { memory: 'shared' })

    expect(await other.value('select count(*) from destroyed')).toBe(0)
  })

  test('two connections may give their statements the same name', async () => {
    const one = await connect(driver, { memory: 'shared' })
    const other = await connect(driver, { memory: 'shared' })
    await one.run(one.named('select 1 as a'))

    expect(await other.rows(other.named('select 2 as b'))).toEqual([{ b: 2 }])
    expect(await one.rows(one.named('select 1 as a'))).toEqual([{ a: 1 }])
  })

  test('without a name a database is private to its options', { timeout: bootMs }, async () => {
    const options = driver.parse({})
    const raw = await driver.open(options, new TestConnection(), later(bootMs))
    raw.destroy({ kind: 'closed', outcome: 'unknown' })
    const again = new TestConnection()
    again.raw = await driver.open(options, again, later(bootMs))
    const stranger = await connect(driver, { memory: true })
    await again.run('create table private (a int)')

    expect((await stranger.run('select * from private')).end).toBe('server 42P01 rolled_back')
    await again.raw.close(later())
    const idle = new TestConnection()
    idle.raw = await driver.open(options, idle, later(bootMs))
    expect((await idle.run('select * from private')).end).toBe('SELECT 0')
    await idle.raw.close(later())
  })
})

describe('pglite: directories', () => {
  test('a directory keeps its data, and is locked while it is open', { timeout: bootMs }, async () => {
    const path = await directory()
    const one = await connect(driver, { directory: path })
    await one.run('create table kept as select 1 as a')
    const failure = await failureOf(
      driver.open(driver.parse({ directory: `${path}/../data` }), new TestConnection(), later()),
    )

    expect([failure.kind, failure.fields?.['code'], driver.classify(failure)]).toEqual(['server', '55006', 'config'])
    expect(await readdir(path)).toContain('genever.pid')
    const closing = one.raw.close(later())
    const other = await connect(driver, { directory: path })
    await closing
    expect(await other.rows('select * from kept')).toEqual([{ a: 1 }])
    await other.raw.close(later())
    expect(await readdir(path)).not.toContain('genever.pid')
  })

  test(
    'a lock of a process that is gone is taken over, one of a living process is not',
    { timeout: bootMs },
    async () => {
      const path = await directory()
      const one = await connect(driver, { directory: path })
      await one.raw.close(later())
      await writeFile(join(path, 'genever.pid'), '999999999 0\n')
      const other = await connect(driver, { directory: path })
      await other.raw.close(later())
      await writeFile(join(path, 'genever.pid'), `${process.ppid} 0\n`)
      const failure = await failureOf(driver.open(driver.parse({ directory: path }), new TestConnection(), later()))

      expect(failure.fields?.['message']).toContain(String(process.ppid))
    },
  )

  test('a directory that cannot be made fails to open', async () => {
    const failure = await failureOf(
      driver.open(driver.parse({ directory: '/dev/null/x' }), new TestConnection(), later()),
    )

    expect([failure.kind, failure.outcome]).toEqual(['lost', 'not_started'])
  })

  test('a directory and memory at once are refused', () => {
    expect(() => driver.parse({ directory: 'a', memory: 'b' })).toThrow(/memory/)
  })
})
