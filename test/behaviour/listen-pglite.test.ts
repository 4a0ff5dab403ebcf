/** Engines that share a PGlite share its only session. Each hears its own channels, whoever sends and whoever stops listening. */

import { createDb, type Db, SelfDeadlockError } from 'genever'
import { expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'

let databases = 0

async function open(url: string): Promise<Db> {
  const db = await createDb(url, { pool: pgliteStart }).open()
  onTestFinished(() => db.close().then(() => {}))
  return db
}

async function two(): Promise<readonly [one: Db, other: Db]> {
  const url = `pglite://memory/listen-${++databases}`
  return [await open(url), await open(url)]
}

async function listening(db: Db, channel: string): Promise<unknown[]> {
  const heard: unknown[] = []
  await db.listen(channel, ({ gap, payload }) => heard.push(gap ? 'gap' : payload))
  return heard
}

test('what another engine sends is heard, by all who listen to that channel', async () => {
  const [one, other] = await two()
  const [atOne, atOther, elsewhere] = [
    await listening(one, 'news'),
    await listening(other, 'news'),
    await listening(other, 'else'),
  ]
  await one.notify('news', 'a')
  await other.transaction(() => other.notify('news', 'b'))
  await one.notify('else', 'c')
  await until(() => atOne.length >= 2 && atOther.length >= 2 && elsewhere.length >= 1)
  expect({ atOne, atOther, elsewhere }).toEqual({ atOne: ['a', 'b'], atOther: ['a', 'b'], elsewhere: ['c'] })
})

const ends: readonly (readonly [string, (other: Db) => Promise<unknown>])[] = [
  ['stops listening to that channel', async (other) => (await other.listen('news')).unlisten()],
  ['runs UNLISTEN', (other) => other.status('unlisten *')],
  ['runs DISCARD ALL', (other) => other.status('discard all')],
  ['closes', (other) => other.close()],
]

test.each(ends)('one goes on listening when another engine %s', async (_, end) => {
  const [one, other] = await two()
  const third = await open(`pglite://memory/listen-${databases}`)
  const heard = await listening(one, 'news')
  await listening(other, 'more')
  await end(other)
  await third.notify('news', 'still')
  await until(() => heard.length >= 1)
  expect(heard).toEqual(['still'])
})

test('nothing is listened to any more when the last listener of a channel has stopped', async () => {
  const [one, other] = await two()
  const [first, second] = [await one.listen('news'), await other.listen('news')]
  const channels = (): Promise<unknown> => one.all('select pg_listening_channels() as channel')
  await first.unlisten()
  expect(await channels()).toEqual([{ channel: 'news' }])
  await second.unlisten()
  expect(await channels()).toEqual([])
})

test('when PGlite has broken, the next one listens to the same channels, and all hear of the gap', async () => {
  const db = await open('pglite://memory')
  const heard = await listening(db, 'news')
  await db.notify('news', 'before')
  await db.status('create function rec(n int) returns int language plpgsql as $$ begin return rec(n + 1); end $$')
  expect(await caught(db.scalar('select rec(1)'))).toMatchObject({ code: 'GENEVER_PROTOCOL' })
  await db.notify('news', 'after')
  await until(() => heard.length >= 3)
  expect(heard).toEqual(['before', 'gap', 'after'])
}, 120_000)

test('inside of a transaction, which has the only connection, listening is refused as a deadlock', async () => {
  const db = await open('pglite://memory')
  await db.transaction(async () => {
    expect(await caught(db.listen('news'))).toBeInstanceOf(SelfDeadlockError)
    expect(await db.scalar('select 1')).toBe(1)
  })
  const heard = await listening(db, 'news')
  await db.notify('news', 'a')
  await until(() => heard.length >= 1)
  expect(heard).toEqual(['a'])
})
