/** A statement costs one promise, which its caller gets. */

import { createHook } from 'node:async_hooks'
import { createEngine, type Db, type Executor } from 'genever'
import { expect, test } from 'vitest'
import { fake } from '../support/fake.ts'
import { forEachDriver, wordsFor } from '../support/matrix.ts'

/** The promises made while `work` is called and awaited: the fewest of some times, because the test runner makes some too. */
async function promisesOf(work: () => Promise<unknown>): Promise<number> {
  let count = 0
  let fewest = Infinity
  const hook = createHook({
    init(_, type) {
      if (type === 'PROMISE') count++
    },
  })
  for (let i = 0; i < 5; i++) {
    count = 0
    hook.enable()
    await work()
    hook.disable()
    fewest = Math.min(fewest, count)
  }
  return fewest
}

/** What a statement is compared with: one promise that something else resolves later. */
function reference(): Promise<unknown> {
  return new Promise((resolve) => setImmediate(resolve))
}

const calls: Readonly<Record<string, (executor: Executor) => Promise<unknown>>> = {
  all: (executor) => executor.all('select 1 as n'),
  first: (executor) => executor.first('select 1 as n'),
  one: (executor) => executor.one('select 1 as n'),
  oneOrNone: (executor) => executor.oneOrNone('select 1 as n'),
  scalar: (executor) => executor.scalar('select 1 as n'),
  status: (executor) => executor.status('select 1 as n'),
  'with parameters': (executor) => executor.all(wordsFor(executor).integer, [1]),
  'with a deadline': (executor) => executor.all('select 1 as n', [], { timeoutMs: 60_000 }),
  'through a template': (executor) => executor.sql`select 1 as n`.all(),
}

/** Counts on each kind of executor, after a first statement that opens, prepares and warms up. */
async function onEach(db: Db, call: (executor: Executor) => Promise<unknown>): Promise<Record<string, number>> {
  const counted = async (executor: Executor): Promise<number> => {
    await call(executor)
    return promisesOf(() => call(executor))
  }
  return {
    db: await counted(db),
    'db in a scope': await db.scope(() => counted(db)),
    connection: await db.scope(counted),
    'db in a transaction': await db.transaction(() => counted(db)),
    transaction: await db.transaction(counted),
    'nested transaction': await db.transaction(() => db.transaction(counted)),
    'db with settings': await db.scope(() => counted(db), { settings: { 'app.tenant': '7' } }),
  }
}

const here = [
  'db',
  'db in a scope',
  'connection',
  'db in a transaction',
  'transaction',
  'nested transaction',
  'db with settings',
]

test.each(Object.entries(calls))('a statement costs one promise: %s', async (_, call) => {
  await using server = await fake()
  const expected = await promisesOf(reference)

  expect(await onEach(server.db, call)).toEqual(Object.fromEntries(here.map((name) => [name, expected])))
})

test('an engine costs no more than a db', async () => {
  await using server = await fake()
  await using engine = await createEngine({ driver: server.driver })
  await engine.all('select 1')

  expect(await promisesOf(() => engine.all('select 1'))).toBe(await promisesOf(reference))
})

forEachDriver(
  (driver) => {
    // The promise takes the place of a tick of Node, which costs more.
    const adds = driver.name === 'socket' ? 'one, for its write' : 'none'

    test(`the driver adds ${adds}`, async () => {
      const db = await driver.single()
      const expected = (await promisesOf(reference)) + (adds === 'none' ? 0 : 1)

      expect(await onEach(db, (executor) => executor.all('select 1 as n'))).toEqual(
        Object.fromEntries(here.map((name) => [name, expected])),
      )
    })
  },
  { connections: 2 },
)
