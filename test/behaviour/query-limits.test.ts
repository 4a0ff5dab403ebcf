/** Limits of time that scopes, handles and transactions give to their statements. */

import { type Db, type Executor, QueryTimeoutError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { gate } from '../support/gate.ts'

const short = { query: { timeoutMs: 20 } }
const sleep = (executor: Executor): Promise<unknown> => executor.status('sleep')

/** Where a statement without a limit of its own is issued below one. */
const below: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'in a scope': (db) => db.scope(() => sleep(db), short),
  'in a scope, by its handle': (db) => db.scope(sleep, short),
  'in a scope inside of it': (db) => db.scope(() => db.scope(() => sleep(db)), short),
  'in a scope inside of it, by its handle': (db) => db.scope(() => db.scope(sleep), short),
  'in a scope that shares the connection of another one': (db) => db.scope(() => db.scope(() => sleep(db), short)),
  'by a reusing handle': (db) => db.scope(() => db.acquire({ reuse: true }).then(sleep), short),
  'by a handle with a limit': async (db) => {
    await using connection = await db.acquire(short)
    return await sleep(connection)
  },
  'in the run() of a handle with a limit': async (db) => {
    await using connection = await db.acquire(short)
    return await connection.run(() => sleep(db))
  },
  'in a transaction of a scope': (db) => db.scope(() => db.transaction(sleep), short),
  'in a transaction': (db) => db.transaction(() => sleep(db), short),
  'in a transaction, by its connection': (db) => db.transaction((tx) => sleep(tx.connection), short),
  'in a nested transaction': (db) => db.transaction(() => db.transaction(sleep), short),
  'in a scope inside of a transaction, by its handle': (db) => db.transaction(() => db.scope(sleep), short),
  'in a manual transaction': async (db) => {
    await using tx = await db.begin(short)
    return await sleep(tx)
  },
}

test.each(Object.entries(below))('a statement without a limit has that around it: %s', async (_, work) => {
  await using server = await fake()

  expect(await caught(work(server.db))).toBeInstanceOf(QueryTimeoutError)
})

test('a limit of the statement itself counts before all others', async () => {
  await using server = await fake({}, { query: { timeoutMs: 5 } })
  const { db } = server
  const long = { timeoutMs: 60_000 }

  const answers = [
    await db.status('sleep 20', [], long),
    await db.scope(() => db.status('sleep 20', [], long), short),
    await db.transaction((tx) => tx.status('sleep 20', [], long), short),
  ]

  expect(answers.map(String)).toEqual(['SLEEP', 'SLEEP', 'SLEEP'])
})

test('what is left behind by a scope has its limit no longer', async () => {
  await using server = await fake()
  const { db } = server
  const ended = gate()

  const left = await db.scope(() => db.scope(() => [ended.promise.then(() => db.status('sleep 40'))], short))
  ended.open()

  expect(await Promise.all(left)).toHaveLength(1)
})
