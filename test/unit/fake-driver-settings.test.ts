/** What becomes of settings when transactions end: the fake server and PostgreSQL say the same of the same units. */

import { createDb } from 'genever'
import { expect, test } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { pgDriver } from '../../src/driver/pg/driver.ts'
import type { RawConnection } from '../../src/driver/driver.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { serverUrl } from '../support/database.ts'
import { later, TestOp } from './fake-driver-client.ts'

const hooks = { idle() {}, room() {}, lost() {}, notice() {}, notification() {} }
const statements = new StatementCache({ dialect: postgres, prepare: false })
const set = (value: string, local = false): string => `select set_config('app.x', '${value}', ${local})`
const seen = `select current_setting('app.x', true) as x`

/** As the engine sends it: with its class. */
function op(text: string): TestOp {
  const made = new TestOp(text)
  Object.assign(made.stmt, statements.compile(text).bind(undefined).compiled)
  return made
}

/** Sends each list as a unit, and looks at the setting after each. */
async function play(raw: RawConnection, units: readonly (readonly string[])[]): Promise<string[]> {
  const told: string[] = []
  for (const unit of units) {
    const ops = unit.map(op)
    raw.submitUnit({ ops })
    await Promise.all(ops.map(({ settled }) => settled))
    told.push(`${ops.map(({ end }) => end).join(', ')} | ${raw.status}`)
    if (raw.status === 'failed') continue
    const look = op(seen)
    raw.submit(look)
    await look.settled
    told.push(String((look.rows[0] as { x: unknown }).x))
  }
  await raw.close(later(1000))
  return told
}

async function onPostgres(units: readonly (readonly string[])[]): Promise<string[]> {
  const { hostname: host, port, username: user, password, pathname } = new URL(serverUrl())
  const given = { host, port: Number(port), user, database: pathname.slice(1) }
  const options = pgDriver.parse(password === '' ? given : { ...given, password })
  return play(await pgDriver.open(options, hooks, later(5000)), units)
}

test.each<[string, string[][]]>([
  ['set before BEGIN in its unit, then ROLLBACK', [[set('a'), 'begin', 'select 1'], ['rollback']]],
  ['the same by SET', [["set app.x = 'a'", 'begin', 'select 1'], ['rollback']]],
  ['set before BEGIN in its unit, then COMMIT', [[set('a'), 'begin', 'select 1'], ['commit']]],
  ['set before BEGIN in its unit, a failure behind it', [[set('a'), 'begin', 'fail'], ['rollback']]],
  ['set anew before BEGIN in its unit', [[set('a')], [set('b'), 'begin', 'select 1'], [set('c')], ['rollback']]],
  ['set before BEGIN and ROLLBACK in one unit', [[set('a'), 'begin', 'select 1', 'rollback']]],
  ['set for the transaction before its BEGIN', [[set('a', true), 'begin', 'select 1'], ['rollback']]],
  ['set in a savepoint', [[set('a'), 'begin', 'savepoint s'], [set('b')], ['rollback to s'], ['commit']]],
  ['set in a unit that fails', [[set('a'), 'fail']]],
  ['set in a unit of its own', [[set('a')], ['begin'], [set('b')], ['rollback']]],
  ['set after SET LOCAL', [['begin'], [set('b', true)], [set('c')], ['commit']]],
  ['set before SET LOCAL', [['begin'], [set('b')], [set('c', true)], ['commit']]],
])('%s', async (_, shape) => {
  const failing = (text: string): string => (text === 'fail' ? 'select 1 / 0' : text)
  const units = shape.map((unit) => unit.map(failing))
  const driver = new FakeDriver({ answer: (text) => (text === 'select 1 / 0' ? { error: '22012' } : undefined) })

  const fake = await play(await driver.open({}, hooks, later(1000)), units)

  expect(fake).toEqual(await onPostgres(units))
})

test('settings of a scope that a ROLLBACK took along are sent again, and found missing when they are not', async () => {
  const driver = new FakeDriver()
  await using db = createDb({ driver })

  const tenants = await db.scope(
    async (connection) => {
      await db.transaction(async (tx) => (await tx.scalar('select 1'), tx.raiseRollback()))
      const between = driver.sessions[0]?.setting('app.x')
      return [between, await connection.scalar(`select current_setting('app.x', true)`)]
    },
    { settings: { 'app.x': '7' } },
  )

  expect(tenants).toEqual(['', '7'])
})
