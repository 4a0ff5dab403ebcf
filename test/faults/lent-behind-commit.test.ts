/**
 * A transaction that has changed nothing gives its connection to whoever waits as soon as its COMMIT has left: what they send goes out
 * behind it. Whatever becomes of that COMMIT is the business of its own caller alone.
 */

import { AbortedError, CommitOutcomeUnknownError, ConnectionLostError, QueryError, type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { functionsKnown } from '../support/functions.ts'
import { gate } from '../support/gate.ts'
import { forgedError, type Link, type Moment } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { short, site, sound, watch, type Site } from './support.ts'

const commitGone: Moment = { to: 'server', text: 'COMMIT', when: 'after' }
const commitDone: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'before' }

const alone = { driver: 'socket', pool: { max: 1 } } as const

const read = (db: Db): Promise<unknown> => db.transaction((tx) => tx.scalar('select 1'))

/** With its only connection in use, so that what begins next waits for it until `work` has returned. */
async function whileHeld(db: Db, work: (tx: Pick<Db, 'scalar' | 'status'>) => Promise<unknown>) {
  const [begun, waited] = [gate(), gate()]
  const first = db.transaction(async (tx) => {
    await work(tx)
    begun.open()
    await waited.promise
  })
  await Promise.race([begun.promise, first])
  return { first, goOn: () => waited.open() }
}

/** Keeps the answers of the server from the client once a COMMIT has gone to it. */
function holdBack(place: Site): { readonly link: Link | null } {
  return place.proxy.on(commitGone, (link) => (link.toClient.swallows = true))
}

/** What has gone to the server behind the COMMIT, by the types of its messages. */
const behindCommit = (link: Link): string => link.toServer.types.slice(link.toServer.types.lastIndexOf('Q') + 1)

describe('behind the COMMIT of reads', () => {
  test('the first statement of whoever waits leaves before the answer', async () => {
    await using place = await site(alone)
    await read(place.db)
    const held = holdBack(place)
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const next = [read(place.db), read(place.db)].map(watch)
    goOn()

    await until(() => held.link !== null && behindCommit(held.link) !== '', { what: 'the next BEGIN leaves' })

    // BEGIN and the read, each bound and executed, in one unit; the third has to wait.
    expect(behindCommit(held.link as Link)).toMatch(/^B?E?BEBES$/)
    expect(next.map(({ state }) => state)).toEqual(['pending', 'pending'])
    expect(place.db.stats()).toMatchObject({ reserved: 1, waiting: 1 })
    ;(held.link as Link).break('reset')
    await caught(first)
    await sound(place)
  })

  test('a loss is told to everybody as it is for them', async () => {
    await using place = await site(alone)
    await read(place.db)
    const held = holdBack(place)
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const next = place.db.transaction((tx) => tx.status('insert into t values (1)'))
    const lost = [caught(first), caught(next)]
    goOn()
    await until(() => held.link !== null && behindCommit(held.link) !== '')
    ;(held.link as Link).break('reset')

    const [told, toldNext] = await Promise.all(lost)

    expect(told).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(toldNext).toBeInstanceOf(ConnectionLostError)
    expect(toldNext).toMatchObject({ outcome: 'rolled_back', retryable: true })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('a write without a transaction that is lost may have been done, and is not sent again', async () => {
    await using place = await site(alone)
    await functionsKnown(place.db)
    const held = holdBack(place)
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const lost = [caught(first), caught(place.db.status('insert into t values (0)'))]
    goOn()
    await until(() => held.link !== null && behindCommit(held.link) !== '')
    await until(async () => (await place.rows()).length === 1)
    ;(held.link as Link).break('reset')

    const [, told] = await Promise.all(lost)

    expect(told).toBeInstanceOf(ConnectionLostError)
    expect(told).toMatchObject({ outcome: 'unknown', retryable: false })
    await sound(place)
    expect(await place.rows()).toEqual([0])
  })

  test('a failure of the COMMIT reaches its own caller alone', async () => {
    await using place = await site(alone)
    await read(place.db)
    place.proxy.on(commitDone, (link) => link.toClient.write(forgedError('40001')))
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const next = read(place.db)
    const refused = caught(first)
    goOn()

    expect(await refused).toBeInstanceOf(QueryError)
    expect(await refused).toMatchObject({ sqlState: '40001', outcome: 'rolled_back', retryable: true })
    expect(await next).toBe(1)
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test('those who were lent it and send nothing give it back', async () => {
    await using place = await site(alone)
    await read(place.db)
    const { db } = place
    const fails = (): Promise<unknown> => caught(db.transaction(() => Promise.reject(new Error('of the caller'))))

    const { first, goOn } = await whileHeld(db, (tx) => tx.scalar('select 1'))
    const all = Promise.all([
      db.transaction(async () => 2),
      fails(),
      read(db),
      db.acquire().then((handle) => handle.release()),
      read(db),
      db.scalar('select 3'),
    ])
    goOn()

    await first
    expect(await all).toMatchObject([2, { message: 'of the caller' }, 1, undefined, 1, 3])
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test('one that gives up there has its error at once, and the connection is used again or closed', async () => {
    await using place = await site({ ...alone, ...short })
    await read(place.db)
    const held = holdBack(place)
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const leaving = new AbortController()
    const next = caught(place.db.scalar('select pg_sleep(60)', [], { signal: leaving.signal }))
    const lost = caught(first)
    goOn()
    await until(() => held.link !== null && behindCommit(held.link) !== '')
    leaving.abort()

    expect(await next).toBeInstanceOf(AbortedError)
    // No answer comes any more, neither to it nor to the COMMIT.
    expect(await lost).toBeInstanceOf(CommitOutcomeUnknownError)
    await sound(place)
  })

  test('one that is stopped there leaves the COMMIT in front of it alone', async () => {
    await using place = await site(alone)
    await read(place.db)
    const { first, goOn } = await whileHeld(place.db, (tx) => tx.scalar('select 1'))
    const leaving = new AbortController()
    const next = caught(place.db.transaction((tx) => tx.scalar('select pg_sleep(60)', [], { signal: leaving.signal })))
    place.proxy.on(commitGone, () => leaving.abort())
    goOn()

    await first
    expect(await next).toBeInstanceOf(AbortedError)
    await sound(place)
    expect(place.proxy.open).toHaveLength(1)
  })
})

describe('nothing is sent before the answer to a COMMIT', () => {
  test.each([
    ['an insert', 'insert into t values (7)'],
    ['an update', 'update t set n = n'],
    ['rows that are locked', 'select n from t for update'],
    ['a function that writes', 'select writes()'],
    ['a view that calls one', 'select * from writing'],
    ['a large object', 'select lo_create(0)'],
    ['a setting of the transaction', 'set local work_mem = 4096'],
    ['a setting of the session', 'set work_mem = 4096'],
    ['a temporary table', 'create temp table own (n int) on commit drop'],
  ])('of %s', async (_, text) => {
    await using place = await site(alone)
    const { db } = place
    await place.direct.query(
      `create or replace function writes() returns int language sql as 'update t set n = n returning n';
       create or replace view writing as select writes()`,
    )
    await functionsKnown(db)
    const held = holdBack(place)
    const { first, goOn } = await whileHeld(db, (tx) => tx.status(text))
    const next = watch(read(db))
    goOn()
    await until(() => held.link !== null)
    await place.direct.query('select 1')

    expect(behindCommit(held.link as Link)).toBe('')
    expect([next.state, db.stats().waiting]).toEqual(['pending', 1])
    ;(held.link as Link).break('reset')
    await caught(first)
    await sound(place)
  })
})

test('settings of a scope and names set for one transaction do not reach whoever is lent its connection', async () => {
  await using place = await site(alone)
  const { db, direct } = place
  await direct.query(`drop schema if exists apart cascade; create schema apart; create table apart.t (n int);
    insert into apart.t values (42); insert into t values (1)`)
  const setting = (): Promise<unknown> =>
    db.transaction((tx) => tx.scalar(`select coalesce(current_setting('app.user', true), '')`))

  const turns = Array.from({ length: 5 }, () => [
    db.scope(setting, { settings: { 'app.user': 'ann' } }),
    setting(),
    db.transaction(async (tx) => {
      await tx.scalar(`select set_config('search_path', 'apart', true)`)
      return tx.scalar('select n from t')
    }),
    db.transaction((tx) => tx.scalar('select n from t')),
  ])

  expect(await Promise.all(turns.map((turn) => Promise.all(turn)))).toEqual(
    Array.from({ length: 5 }, () => ['ann', '', 42, 1]),
  )
  await sound(place)
})
