/** Functions that another program changes while this one runs: what they leave is found once the catalogue is read again. */

import { createDb, type Db } from 'genever'
import { expect, onTestFinished, test, vi } from 'vitest'
import { clock } from '../../src/util/clock.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { functionsKnown } from '../support/functions.ts'
import { until } from '../support/until.ts'

const harmless = `create or replace function remember(text) returns text language sql as $$ select $1 $$`
const leaving = `create or replace function remember(text) returns text language sql as $$
  select set_config('app.who', $1, false) $$`
const left = "select coalesce(current_setting('app.who', true), '')"
const minutes = 60_000

/** Another program changes the function; so much later the pool opens a connection more. */
async function changedElsewhere(database: FreshDatabase, db: Db, laterMs: number): Promise<void> {
  await database.query(harmless)
  await db.open()
  await functionsKnown(db)
  await database.query(leaving)
  const { now } = clock
  const late = vi.spyOn(clock, 'now').mockImplementation(() => now() + laterMs)
  onTestFinished(() => late.mockRestore())
  await using one = await db.acquire()
  await using two = await db.acquire()
  await Promise.all([one.scalar('select 1'), two.scalar('select 1')])
}

/** What the next user of the connection finds. */
async function leftBehind(db: Db): Promise<unknown> {
  await db.scalar('select remember($1)', ['somebody'])
  return db.scope(() => db.scalar(left))
}

test('a connection that is opened five minutes later has the catalogue read again, and nobody finds what a function leaves', async () => {
  await using database = await freshDatabase()
  await using db = createDb(database.url, { pool: { max: 2 } })
  await changedElsewhere(database, db, 6 * minutes)

  await until(async () => (await leftBehind(db)) === '', { what: 'the catalogue was read again' })
  for (let run = 0; run < 5; run++) expect(await leftBehind(db)).toBe('')
})

test('one that is opened sooner has it not', async () => {
  await using database = await freshDatabase()
  await using db = createDb(database.url, { pool: { max: 2 } })
  await changedElsewhere(database, db, 4 * minutes)

  expect([await leftBehind(db), await leftBehind(db)]).toEqual(['somebody', 'somebody'])
})

test('a reading again that fails is tried later, and what was read before holds', async () => {
  await using database = await freshDatabase()
  using heard = hear('functions-elsewhere')
  await using db = createDb(database.url, { name: 'functions-elsewhere', pool: { max: 2 } })
  const { functions } = await db.engineHere()
  await database.query(leaving)
  await functionsKnown(db)

  functions.take({ kind: 'server', outcome: 'unknown', fields: { message: 'no' } }, functions.query.version)

  expect(functions.read).toBe(true)
  expect(await leftBehind(db)).toBe('')
  expect(heard.notices.filter(({ code }) => code === 'functions-unread')).toEqual([])
})
