/**
 * The transaction of a request that has changed nothing gives its connection to whoever waits as soon as its COMMIT has left. The answer
 * waits for that of the COMMIT all the same, and whatever becomes of the COMMIT or its request is not felt behind it.
 */

import { createServer, type ClientRequest } from 'node:http'
import { ConnectionLostError, SessionMovedError, type Db } from 'genever'
import { afterEach, describe, expect, test } from 'vitest'
import { RequestScope } from '../../src/plugins/request/scope.ts'
import { RequestTransaction } from '../../src/plugins/request/transaction.ts'
import { caught } from '../support/caught.ts'
import { functionsKnown } from '../support/functions.ts'
import { gate, type Gate } from '../support/gate.ts'
import { forgedError, type Link, type Moment } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { short, site, sound, watch, type Site } from '../faults/support.ts'
import { listening, type RunningApp } from './adapter.ts'
import { send } from './client.ts'
import { inTransactions, type Wanted } from './in-transactions.ts'

const commitGone: Moment = { to: 'server', text: 'COMMIT', when: 'after' }
const commitDone: Moment = { to: 'client', type: 'C', text: 'COMMIT', when: 'before' }
const names = Object.keys(inTransactions)

const alone = { driver: 'socket', pool: { max: 1 } } as const
const read = (db: Db): Promise<unknown> => db.transaction((tx) => tx.scalar('select 1'))

/** Opened at the end of each test: what waits for them ends. */
const gates: Gate[] = []
afterEach(() => gates.splice(0).forEach((each) => each.open()))
const gated = (): Gate => {
  const made = gate()
  gates.push(made)
  return made
}

interface Request {
  readonly app: RunningApp
  readonly sent: ClientRequest
  /** The status of the answer; 0: there was none. */
  readonly status: Promise<number>
  /** Lets its handler return. */
  goOn(): void
}

/** A request that has the only connection when this resolves: `work` has run, and the handler waits. */
async function request(name: string, { work, ...wanted }: Wanted): Promise<Request> {
  const [begun, waited] = [gated(), gated()]
  const listener = await inTransactions[name]!({
    ...wanted,
    async work(query, body) {
      const value = await work(query, body)
      begun.open()
      await waited.promise
      return value
    },
  })
  const app = await listening(createServer(listener))
  const sent = send(app.port, 'GET /')
  const status = new Promise<number>((resolve) => {
    sent.once('response', (response) => resolve(response.resume().statusCode ?? 0)).once('close', () => resolve(0))
  })
  await Promise.race([begun.promise, status])
  return { app, sent, status, goOn: () => waited.open() }
}

/** Holds the answers of the server back once a COMMIT has gone to it. */
function holdBack({ proxy }: Site): { readonly link: Link | null; goOn(): void } {
  const answered = gated()
  const rule = proxy.on(commitGone, (link) => link.toClient.hold(answered.promise))
  return {
    get link() {
      return rule.link
    },
    goOn: () => answered.open(),
  }
}

/** What a plug-in opens for a request. */
async function openScope(db: Db): Promise<RequestScope> {
  return new RequestScope(db, await db.engineHere(), { what: () => 'GET /', onAbort: 'continue' })
}

/** A request whose transaction has read. */
async function readIn(db: Db, given?: RequestScope): Promise<{ scope: RequestScope; transaction: RequestTransaction }> {
  const scope = given ?? (await openScope(db))
  const transaction = new RequestTransaction(db, {}, scope)
  await scope.run(() => transaction.run(() => db.scalar('select 5')))
  return { scope, transaction }
}

function answer(scope: RequestScope): void {
  scope.handlerSettled()
  scope.responseClosed(true)
}

const behindCommit = (link: Link | null): string =>
  link === null ? '' : link.toServer.types.slice(link.toServer.types.lastIndexOf('Q') + 1)

describe.each(names)('a request of %s that reads', (name) => {
  test('lets others send behind its COMMIT, and is answered with its answer', async () => {
    await using place = await site(alone)
    await read(place.db)
    const held = holdBack(place)
    const first = await request(name, { db: place.db, work: () => place.db.scalar('select 5') })
    await using _app = first.app
    const [answer, next] = [watch(first.status), watch(read(place.db))]
    first.goOn()
    await until(() => behindCommit(held.link) !== '', { what: 'the next BEGIN leaves' })

    expect(behindCommit(held.link)).toMatch(/^B?E?BEBES$/)
    expect([answer.state, next.state]).toEqual(['pending', 'pending'])
    held.goOn()
    expect(await first.status).toBe(200)
    await until(() => next.state === 'resolved')
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test('is the only one to hear that its COMMIT failed', async () => {
    await using place = await site(alone)
    await read(place.db)
    place.proxy.on(commitDone, (link) => link.toClient.write(forgedError('40001')))
    const first = await request(name, { db: place.db, work: () => place.db.scalar('select 5') })
    await using _app = first.app
    const next = read(place.db)
    first.goOn()

    expect(await first.status).toBe(500)
    expect(await next).toBe(1)
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test('is no success when its COMMIT is lost, and what was sent behind it is rolled back', async () => {
    await using place = await site(alone)
    await functionsKnown(place.db)
    const held = holdBack(place)
    const first = await request(name, { db: place.db, work: () => place.db.scalar('select 5') })
    await using _app = first.app
    const next = caught(place.db.transaction((tx) => tx.status('insert into t values (1)')))
    first.goOn()
    await until(() => behindCommit(held.link) !== '')
    held.link?.break('reset')

    expect(await first.status).toBe(500)
    expect(await next).toBeInstanceOf(ConnectionLostError)
    expect(await next).toMatchObject({ outcome: 'rolled_back', retryable: true })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('stops nothing of others when its client leaves while it commits', async () => {
    await using place = await site(alone)
    await read(place.db)
    const held = holdBack(place)
    const first = await request(name, {
      db: place.db,
      onAbort: 'cancel',
      work: () => place.db.scalar('select 5'),
    })
    await using _app = first.app
    const next = place.db.transaction((tx) => tx.scalar('select 6 from pg_sleep(0.2)'))
    first.goOn()
    await until(() => behindCommit(held.link) !== '')
    first.sent.destroy()
    await first.status
    await until(async () => (await place.sleeping()) === 1)
    held.goOn()

    expect(await next).toBe(6)
    await sound(place)
    expect(place.proxy.links.filter(({ cancels }) => cancels)).toEqual([])
    expect(place.proxy.arrived).toBe(1)
  })

  test('has no time left while it commits, which ends its own wait alone', async () => {
    await using place = await site(alone)
    await read(place.db)
    const held = holdBack(place)
    const late = new AbortController()
    const first = await request(name, {
      db: place.db,
      transaction: { signal: late.signal },
      work: () => place.db.scalar('select 5'),
    })
    await using _app = first.app
    const next = watch(read(place.db))
    first.goOn()
    await until(() => behindCommit(held.link) !== '')
    late.abort()

    expect(await first.status).toBe(500)
    expect(next.state).toBe('pending')
    held.goOn()
    await until(() => next.state === 'resolved')
    await sound(place)
    expect(place.proxy.arrived).toBe(1)
  })

  test.each([
    ['it has written', { text: 'insert into t values (7)' }],
    ['its session is pinned', { text: 'set work_mem = 4096' }],
    ['it holds its connection', { text: 'select 1', holdForRequest: true }],
  ])('is waited for where %s', async (_, { text, ...options }: { text: string; holdForRequest?: boolean }) => {
    await using place = await site(alone)
    await functionsKnown(place.db)
    const held = holdBack(place)
    const first = await request(name, {
      db: place.db,
      work: async () => Number(await place.db.status(text)),
      ...options,
    })
    await using _app = first.app
    const next = watch(read(place.db))
    first.goOn()
    await until(() => held.link !== null)
    await place.direct.query('select 1')

    expect(behindCommit(held.link)).toBe('')
    expect([next.state, place.db.stats().waiting]).toEqual(['pending', 1])
    held.goOn()
    await first.status
    await until(() => next.state === 'resolved')
    await sound(place)
  })
})

test('a COMMIT that nobody waits for any more and that is not answered either ends its connection', async () => {
  await using place = await site({ ...alone, ...short })
  await read(place.db)
  place.proxy.on(commitGone, (link) => link.break('blackhole'))
  const late = new AbortController()
  const first = await request('http', {
    db: place.db,
    transaction: { signal: late.signal },
    work: () => place.db.scalar('select 5'),
  })
  await using _app = first.app
  const next = caught(place.db.transaction((tx) => tx.scalar('select 6')))
  first.goOn()
  await until(() => place.db.stats().waiting === 0)
  late.abort()

  expect(await first.status).toBe(500)
  expect(await next).toBeInstanceOf(ConnectionLostError)
  expect(await next).toMatchObject({ outcome: 'rolled_back', retryable: true })
  await sound(place)
})

describe('a request that goes on behind its COMMIT', () => {
  test('gets its next connection before those who came later, with the settings of its scope', async () => {
    await using place = await site(alone)
    const { db } = place
    await read(db)
    const held = holdBack(place)
    const order: string[] = []
    const { scope, transaction } = await readIn(db)
    const next = read(db)
    const third = db.transaction(async (tx) => {
      await tx.scalar('select 1')
      order.push('later')
    })
    const committed = transaction.answering(200)
    await until(() => behindCommit(held.link) !== '')
    // Issued while the COMMIT is on its way: not inside, and not in the transaction of whoever is lent the connection.
    const more = scope
      .run(() => db.scalar('select pg_current_xact_id_if_assigned()::text'))
      .then(() => order.push('more'))
    held.goOn()
    await Promise.all([committed, next, third, more])

    expect(order).toEqual(['more', 'later'])
    answer(scope)
    await sound(place)
  })

  test('keeps its connection where a statement of it waits already', async () => {
    await using place = await site(alone)
    const { db } = place
    await read(db)
    const held = holdBack(place)
    const { scope, transaction } = await readIn(db)
    const more = scope.run(() => db.scalar('select 6'))
    const next = watch(read(db))
    const committed = transaction.answering(200)
    await until(() => held.link !== null)
    await place.direct.query('select 1')

    expect([behindCommit(held.link), db.stats().waiting]).toEqual(['', 1])
    held.goOn()
    expect(await more).toBe(6)
    await committed
    answer(scope)
    await until(() => next.state === 'resolved')
    await sound(place)
  })

  test('has no session any more that knows the numbers it has drawn', async () => {
    await using place = await site(alone)
    const { db, direct } = place
    await direct.query('create sequence if not exists numbers')
    await functionsKnown(db)
    const held = holdBack(place)
    const scope = await openScope(db)
    await scope.run(() => db.scalar(`select nextval('numbers')`))
    const { transaction } = await readIn(db, scope)
    const next = read(db)
    const committed = transaction.answering(200)
    await until(() => behindCommit(held.link) !== '')
    held.goOn()
    await Promise.all([committed, next])

    await expect(scope.run(() => db.scalar(`select currval('numbers')`))).rejects.toBeInstanceOf(SessionMovedError)
    answer(scope)
    await sound(place)
  })

  test('may end, and its database may be closed, before the answer', async () => {
    await using place = await site(alone)
    const { db } = place
    await read(db)
    const held = holdBack(place)
    const { scope, transaction } = await readIn(db)
    const next = read(db)
    const committed = transaction.answering(200)
    await until(() => behindCommit(held.link) !== '')
    answer(scope)
    const closed = db.close({ timeoutMs: 50_000 })
    held.goOn()

    expect(await Promise.all([committed, next, closed])).toMatchObject([undefined, 1, { broken: [] }])
  })

  test('and whose client has left is not waited for by the end of its database', async () => {
    await using place = await site(alone)
    const { db } = place
    await read(db)
    const held = holdBack(place)
    // Express does not say when a handler has settled.
    const { scope, transaction } = await readIn(db)
    scope.responseClosed(false)
    const next = read(db)
    const committed = transaction.answering(200)
    await until(() => behindCommit(held.link) !== '')
    held.goOn()
    await Promise.all([committed, next])

    expect(await db.close({ timeoutMs: 3_600_000 })).toEqual({ drained: 1, broken: [] })
  })
})
