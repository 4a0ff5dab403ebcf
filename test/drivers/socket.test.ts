/** The driver `socket`: the contract, and what several units in flight are to each other. */

import { afterEach, describe, expect, test } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { socketDriver } from '../../src/driver/socket/driver.ts'
import { type FreshDatabase, freshDatabase, onServer } from '../support/database.ts'
import { until } from '../support/until.ts'
import { driverContract } from './contract/contract.ts'
import { closeAll, connect, later, type TestConnection, type TestOp } from './test-connection.ts'
import { inFlightContract, together } from './in-flight.ts'

let database: Promise<FreshDatabase> | undefined

async function options(): Promise<Record<string, unknown>> {
  database ??= freshDatabase()
  const url = new URL((await database).url)
  return {
    host: url.hostname,
    port: Number(url.port || 5432),
    user: url.username,
    password: url.password === '' ? undefined : decodeURIComponent(url.password),
    database: url.pathname.slice(1),
  }
}

const driver = socketDriver as Driver

const subject = { name: 'socket', driver, options }

driverContract(subject)
inFlightContract(subject, 50)

const open = async (more: Record<string, unknown> = {}): Promise<TestConnection> =>
  connect(driver, { ...(await options()), ...more })

describe('units in flight on a server', () => {
  afterEach(closeAll)

  test('are not taken for the data of a COPY', async () => {
    const c = await open()
    const t = `copied_${process.pid}`
    await c.run(`create table ${t} (a int)`)

    expect(await together(c, 'select 1', `copy ${t} from /* nobody */ stdin`, 'select 2', 'select 3')).toEqual([
      'SELECT 1',
      'server 57014 unknown',
      'SELECT 1',
      'SELECT 1',
    ])
  })

  test('one of them is cancelled, and what is behind it is answered or says that it was hit', async () => {
    const c = await open()
    const ops = [c.op('select pg_sleep(60)'), c.op('select 1'), c.op('select 2')]
    for (const op of ops) c.raw.submit(op)

    expect(await c.raw.cancel(ops[0] as TestOp, later())).toBe('cancelled')

    await Promise.all(ops.map(({ settled }) => settled))
    expect(ops[0]?.end).toBe('server 57014 rolled_back')
    for (const op of ops.slice(1)) expect(['SELECT 1', 'server 57014 rolled_back']).toContain(op.end)
    expect(await c.value('select 3')).toBe(3)
  })

  test('are lost in their order: what had not been sent has not run', async () => {
    const c = await open()
    const ops = [c.op('select pg_sleep(60)'), c.op('select 1'), c.op('begin'), c.op('select 2')]
    const order: number[] = []
    ops.forEach((op, n) => {
      c.raw.submit(op)
      void op.settled.then(() => order.push(n))
    })
    await onServer('select pg_terminate_backend($1)', [c.raw.id])
    await Promise.all(ops.map(({ settled }) => settled))

    expect(ops.map(({ end }) => end)).toEqual([
      'lost 57P01 unknown',
      'lost 57P01 unknown',
      'lost 57P01 rolled_back',
      'lost 57P01 not_started',
    ])
    expect(order).toEqual([0, 1, 2, 3])
    expect(c.told.at(-1)).toBe('lost lost 57P01')
  })

  test('a connection that the server ends while nothing is in flight says why', async () => {
    const c = await open()
    await onServer('select pg_terminate_backend($1)', [c.raw.id])
    await until(() => c.told.length > 0)

    expect([c.told, c.raw.alive]).toEqual([['lost lost 57P01'], false])
  })
})
