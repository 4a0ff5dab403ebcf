/**
 * A transaction with a signal or a time of its own, or with the settings of a scope, which gives its connection on behind its COMMIT:
 * what ends its wait for the answer is not felt by those who have the connection then.
 */

import {
  AbortedError,
  CommitOutcomeUnknownError,
  ConnectionLostError,
  QueryError,
  TransactionAbortedError,
  type Db,
  type EngineOptions,
  type TransactionOptions,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { functionsKnown } from '../support/functions.ts'
import { gate } from '../support/gate.ts'
import { forgedError, type Link, type Moment } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { short, site, sound, watch, type Site } from './support.ts'

const commitGone: Moment = { to: 'server', text: 'COMMIT', when: 'after' }
const commitComes: Moment = { to: 'server', text: 'COMMIT', when: 'before' }
const commitDone: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'before' }

const alone = { driver: 'socket', pool: { max: 1 } } satisfies EngineOptions
const longMs = 50_000

const read = (db: Db): Promise<unknown> => db.transaction((tx) => tx.scalar('select 1'))

interface Held {
  readonly first: Promise<unknown>
  readonly link: Link | null
  /** Lets its callback return. */
  goOn(): void
  /** Lets the answers of the server through. */
  answer(): void
}

/** A transaction with the only connection, whose COMMIT will not be answered before that is said. */
async function held({ db, proxy }: Site, options: TransactionOptions): Promise<Held> {
  const [begun, waited, answered] = [gate(), gate(), gate()]
  const rule = proxy.on(commitGone, (link) => link.toClient.hold(answered.promise))
  const first = db.transaction(async (tx) => {
    await tx.scalar('select 1')
    begun.open()
    await waited.promise
  }, options)
  first.catch(() => {})
  await Promise.race([begun.promise, first])
  return {
    first,
    get link() {
      return rule.link
    },
    goOn: () => waited.open(),
    answer: () => answered.open(),
  }
}

/** What has gone to the server behind the COMMIT, by the types of its messages. */
const behindCommit = ({ link }: Held): string =>
  link === null ? '' : link.toServer.types.slice(link.toServer.types.lastIndexOf('Q') + 1)

const leaves = (first: Held): Promise<unknown> =>
  until(() => behindCommit(first) !== '', { what: 'the next BEGIN leaves' })

const cancels = ({ proxy }: Site): number => proxy.links.filter((link) => link.cancels).length

describe.each([
  ['a signal', (): TransactionOptions => ({ signal: new AbortController().signal })],
  ['a time', (): TransactionOptions => ({ timeoutMs: longMs })],
  ['a question for its outcome', (): TransactionOptions => ({ resolveCommitMs: longMs, readOnly: true })],
])('a transaction with %s that has changed nothing', (_, options) => {
  test('gives its connection on as soon as its COMMIT has left, and waits for the answer', async () => {
    await using place = await site(alone)
    await read(place.db)
    const first = await held(place, options())
    const [ended, next] = [watch(first.first), watch(read(place.db))]
    first.goOn()
    await leaves(first)

    expect(behindCommit(first)).toMatch(/^B?E?BEBES$/)
    expect([ended.state, next.state]).toEqual(['pending', 'pending'])
    first.answer()
    await until(() => ended.state === 'resolved' && next.state === 'resolved')
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test('has the failure of its COMMIT for itself', async () => {
    await using place = await site(alone)
    await read(place.db)
    place.proxy.on(commitDone, (link) => link.toClient.write(forgedError('40001')))
    const first = await held(place, options())
    first.answer()
    const next = read(place.db)
    first.goOn()

    expect(await caught(first.first)).toBeInstanceOf(QueryError)
    expect(await caught(first.first)).toMatchObject({ sqlState: '40001', outcome: 'rolled_back' })
    expect(await next).toBe(1)
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })
})

describe('behind a COMMIT for which nobody waits any more', () => {
  test.each([
    ['its signal aborted', (signal: AbortSignal): TransactionOptions => ({ signal })],
    ['its time is over', (): TransactionOptions => ({ timeoutMs: 1_500 })],
    ['the time of its statements is over', (): TransactionOptions => ({ query: { timeoutMs: 1_500 } })],
  ])('because %s, others run to their end', async (_, options) => {
    await using place = await site(alone)
    await read(place.db)
    const aborting = new AbortController()
    const first = await held(place, options(aborting.signal))
    const next = watch(read(place.db))
    first.goOn()
    await leaves(first)
    aborting.abort()

    expect(await caught(first.first)).toMatchObject({ outcome: expect.stringMatching(/unknown|rolled_back/) })
    expect(next.state).toBe('pending')
    first.answer()
    await until(() => next.state === 'resolved')
    await sound(place)
    expect([cancels(place), place.proxy.arrived]).toEqual([0, 1])
  })

  test('a write that is lost may have been done, and is not sent again', async () => {
    await using place = await site(alone)
    await functionsKnown(place.db)
    const aborting = new AbortController()
    const first = await held(place, { signal: aborting.signal })
    const next = caught(place.db.status('insert into t values (0)'))
    first.goOn()
    await leaves(first)
    aborting.abort()
    await until(async () => (await place.rows()).length === 1)
    first.link?.break('reset')

    expect(await caught(first.first)).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(await next).toMatchObject({ outcome: 'unknown', retryable: false })
    await sound(place)
    expect(await place.rows()).toEqual([0])
  })

  test('one that is stopped has its statement stopped alone, when the COMMIT was answered', async () => {
    await using place = await site(alone)
    await read(place.db)
    const [aborting, leaving] = [new AbortController(), new AbortController()]
    const first = await held(place, { signal: aborting.signal })
    const next = caught(place.db.transaction((tx) => tx.scalar('select pg_sleep(60)'), { signal: leaving.signal }))
    first.goOn()
    await leaves(first)
    aborting.abort()
    await until(async () => (await place.sleeping()) === 1)
    leaving.abort()
    first.answer()

    expect(await next).toBeInstanceOf(AbortedError)
    await sound(place)
    expect(place.proxy.open).toHaveLength(1)
  })

  test('a connection that answers nothing is closed after the time for a cancel', async () => {
    await using place = await site({ ...alone, ...short })
    await read(place.db)
    const aborting = new AbortController()
    const first = await held(place, { signal: aborting.signal })
    const next = caught(place.db.transaction((tx) => tx.scalar('select 6')))
    first.goOn()
    await leaves(first)
    aborting.abort()

    expect(await caught(first.first)).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(await next).toBeInstanceOf(ConnectionLostError)
    expect(await next).toMatchObject({ outcome: 'rolled_back', retryable: true })
    await sound(place)
  })

  test('a connection that was given back unused, and answers nothing, is closed too', async () => {
    await using place = await site({ ...alone, ...short })
    await read(place.db)
    const first = await held(place, { query: { timeoutMs: 1_000 } })
    const next = place.db.acquire().then((handle) => handle.release())
    first.goOn()
    await until(() => first.link !== null)
    await next

    expect(await caught(first.first)).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    await sound(place)
  })
})

describe('where the server rolls back in place of a COMMIT, the settings of a scope', () => {
  const rollback = Buffer.from('Q\0\0\0\rROLLBACK\0', 'latin1')
  const user = (db: Db): Promise<unknown> =>
    db.transaction((tx) => tx.scalar(`select coalesce(current_setting('app.user', true), '')`))
  const asAnn = (db: Db): Promise<unknown> => db.detached(() => user(db), { settings: { 'app.user': 'ann' } })

  test('are set again for whoever had them', async () => {
    await using place = await site(alone)
    const { db, proxy } = place
    await read(db)
    proxy.on(commitComes, (link) => link.toServer.write(rollback))
    const rolledBack = caught(asAnn(db))
    const [next, waiting] = [asAnn(db), read(db)]

    expect(await rolledBack).toBeInstanceOf(TransactionAbortedError)
    expect(await next).toBe('ann')
    await waiting
    await sound(place)
  })

  test('are not in force again for others', async () => {
    await using place = await site(alone)
    const { db, proxy } = place
    await read(db)
    await asAnn(db)
    proxy.on(commitComes, (link) => link.toServer.write(rollback))
    const rolledBack = caught(user(db))
    const next = [user(db), user(db)]

    expect(await rolledBack).toBeInstanceOf(TransactionAbortedError)
    expect(await Promise.all(next)).toEqual(['', ''])
    await sound(place)
  })
})
