/** Two `createDb()` of one database: a statement of one inside of a transaction of the other is hardly meant. */

import { createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { databaseUrl } from '../support/database.ts'
import { hear } from '../support/events.ts'

const both = async (): Promise<[Db, Db] & AsyncDisposable> => {
  const url = await databaseUrl()
  const dbs: [Db, Db] = [createDb(url, { name: 'first' }), createDb(url, { name: 'second' })]
  await Promise.all(dbs.map((db) => db.open()))
  const close = async (): Promise<void> => {
    await Promise.all(dbs.map((db) => db.close()))
  }
  return Object.assign(dbs, { [Symbol.asyncDispose]: close })
}

const told = (heard: {
  readonly notices: readonly { code: string; places: readonly string[] }[]
}): readonly string[][] =>
  heard.notices.filter(({ code }) => code === 'another-engine').map(({ places }) => [...places])

test('it is told once, with both places', async () => {
  await using dbs = await both()
  const [first, second] = dbs
  using heard = hear('second')
  const nested = (): Promise<unknown> => first.transaction(() => second.scalar('select 1'))
  for (let n = 0; n < 3; n++) await nested()
  const [places = []] = told(heard)
  expect(told(heard)).toHaveLength(1)
  expect(places[0]).toContain('two-engines.test.ts')
  expect(places[1]).toMatch(/^transaction begun at .*two-engines\.test\.ts/)
})

test('a scope or a transaction of its own around the statement changes nothing', async () => {
  await using dbs = await both()
  const [first, second] = dbs
  using heard = hear('second')
  await first.transaction(() => second.transaction(() => second.scalar('select 1')))
  await first.transaction(() => second.scope(() => second.scalar('select 2')))
  expect(told(heard)).toHaveLength(2)
})

test('outside of transactions, in detached work, and with one engine alone nothing is told', async () => {
  await using dbs = await both()
  const [first, second] = dbs
  using heard = hear('second')
  using own = hear('first')
  await first.scope(() => second.scalar('select 1'))
  await first.transaction(() => first.detached(() => second.scalar('select 1')))
  await second.close()
  await first.transaction(() => first.scalar('select 1'))
  expect([...told(heard), ...told(own)]).toEqual([])
})
