/** The outcome of a COMMIT that stays unknown, and the number by which the server is asked for it: `resolveCommitMs`. */

import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  createDb,
  QueryTimeoutError,
  TransactionTimeoutError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { wantedDrivers } from '../support/extent.ts'
import { pgliteStart } from '../support/patience.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { committing, leapMs } from './slow-commit.ts'
import { commitDone, commitGoes, insert, insertSlow, numberGoes, numberTold, resolving, slowly } from './resolving.ts'
import { killBackends, short, sound, watch } from './support.ts'

describe('it stays unknown', () => {
  test('when nobody can be asked in time, and the error has what to ask for', async () => {
    await using place = await resolving({ resolveCommitMs: 400, pool: { connectTimeoutMs: 600_000 } })
    place.proxy.on(commitDone, (link) => {
      place.proxy.refuse()
      link.break('reset')
    })
    const ran: string[] = []

    const error = await caught(
      place.db.transaction(async (tx) => {
        tx.afterCommit(() => ran.push('commit'))
        tx.afterRollback(() => ran.push('rollback'))
        await tx.status(insert)
      }),
    )

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error.outcome).toBe('unknown')
    expect(error.cause).toBeInstanceOf(ConnectionLostError)
    expect(ran).toEqual([])
    const { xid } = error as CommitOutcomeUnknownError
    expect(await place.direct.query(`select pg_xact_status('${xid}'::xid8) as status`)).toEqual([
      { status: 'committed' },
    ])
    await place.proxy.accept()
    await sound(place)
  })

  test('when the server is silent', async () => {
    await using place = await resolving({ resolveCommitMs: 400, pool: { connectTimeoutMs: 600_000 } })
    place.proxy.on(commitGoes, (link) => {
      void place.proxy.accept('silent')
      link.break('reset')
    })

    const error = await caught(place.db.transaction((tx) => tx.status(insert)))

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    await place.proxy.accept()
  })

  test('while the transaction is still open on a server that does not know that its client is gone', async () => {
    using time = leapingTime()
    await using place = await resolving({ ...short, resolveCommitMs: 600, query: { timeoutMs: leapMs } })
    const incident = place.proxy.cut(commitGoes, 'blackhole')
    const told = caught(place.db.transaction((tx) => tx.status(insert)))
    await until(() => incident.link !== null)
    time.leap(leapMs)

    const error = await told
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error.cause).toBeInstanceOf(QueryTimeoutError)
  })

  test('until the server finds out', async () => {
    using time = leapingTime()
    await using place = await resolving({ ...short, resolveCommitMs: 10 * leapMs, query: { timeoutMs: leapMs } })
    const incident = place.proxy.cut(commitGoes, 'blackhole')
    const run = watch(place.db.transaction((tx) => tx.status(insert)))
    await until(() => incident.link !== null)
    time.leap(leapMs)
    await until(() => incident.link?.held === false)
    expect(run.state).toBe('pending')
    await killBackends(place.direct.name)

    await until(() => run.state !== 'pending')

    expect(run.value).toMatchObject({ code: 'GENEVER_QUERY_TIMEOUT', outcome: 'rolled_back' })
    expect(await place.rows()).toEqual([])
  })

  test('when the engine is closed', async () => {
    await using place = await slowly()
    const [link] = place.proxy.links
    const told = caught(place.db.transaction((tx) => tx.status(insertSlow)))
    await committing(place)
    link!.break('reset')
    await until(() => place.proxy.links.length > 1)
    await place.db.close()

    expect(await told).toBeInstanceOf(CommitOutcomeUnknownError)
  })

  test('without the option, which costs nothing then', async () => {
    await using place = await resolving({ resolveCommitMs: 0, name: 'not-asked' })
    using heard = hear('not-asked')
    place.proxy.cut(commitDone)

    const error = await caught(place.db.transaction((tx) => tx.status(insert)))

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).not.toHaveProperty('xid')
    expect(heard.statements.map(({ sql }) => sql)).toEqual([insert])
  })

  test('with an option of its own, 0, against that of the engine', async () => {
    await using place = await resolving()
    place.proxy.cut(commitDone)

    const error = await caught(place.db.transaction((tx) => tx.status(insert), { resolveCommitMs: 0 }))

    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
  })
})

describe('the number of the transaction', () => {
  test.each([
    ['its question', numberGoes],
    ['its answer', numberTold],
  ] as const)('is lost with %s: nothing was committed', async (_, moment) => {
    await using place = await resolving()
    const incident = place.proxy.cut(moment)

    const error = await caught(place.db.transaction((tx) => tx.status(insert)))

    expect(incident.link).not.toBeNull()
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ outcome: 'rolled_back', retryable: true })
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('does not come within the timeoutMs of the transaction: it is rolled back', async () => {
    using time = leapingTime()
    await using place = await resolving(short)
    const incident = place.proxy.cut(numberGoes, 'blackhole')
    const told = caught(place.db.transaction((tx) => tx.status(insert), { timeoutMs: leapMs }))
    await until(() => incident.link !== null)
    time.leap(leapMs)

    const error = await told
    expect(error).toBeInstanceOf(TransactionTimeoutError)
    expect(error.outcome).toBe('rolled_back')
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('does not come within the time of statements: it is rolled back', async () => {
    using time = leapingTime()
    await using place = await resolving(short)
    const incident = place.proxy.cut(numberGoes, 'blackhole')
    const told = caught(place.db.transaction((tx) => tx.status(insert), { query: { timeoutMs: leapMs } }))
    await until(() => incident.link !== null)
    time.leap(leapMs)

    const error = await told
    expect(error).toBeInstanceOf(QueryTimeoutError)
    expect(error.outcome).toBe('rolled_back')
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('is not there when nothing was changed: the transaction is told as rolled back, and nobody is asked', async () => {
    await using place = await resolving({ name: 'nothing-changed' })
    using heard = hear('nothing-changed')
    place.proxy.cut(commitDone)

    const error = await caught(place.db.transaction((tx) => tx.all('select n from t')))

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error.outcome).toBe('rolled_back')
    expect(heard.statements.map(({ sql }) => sql)).toHaveLength(2)
    await sound(place)
  })

  test('is not asked for when the transaction is readOnly, rolled back, failed, empty, or that of a cursor', async () => {
    await using place = await resolving({ name: 'not-numbered' })
    using heard = hear('not-numbered')

    await place.db.transaction((tx) => tx.scalar('select 1'), { readOnly: true })
    await place.db.transaction(async (tx) => {
      await tx.scalar('select 2')
      tx.raiseRollback()
    })
    await caught(place.db.transaction((tx) => caught(tx.scalar('select 1 / 0')).then(() => 'swallowed')))
    await place.db.transaction(() => 'empty')
    await caught(place.db.transaction((tx) => tx.status('insert into nowhere values (1)')))

    for await (const n of place.db.iterate('select 3 as n')) expect(n).toEqual({ n: 3 })

    expect(heard.statements.map(({ sql }) => sql).filter((sql) => !/cursor|fetch|close/i.test(sql))).toEqual([
      'select 1',
      'select 2',
      'select 1 / 0',
      'insert into nowhere values (1)',
      'select 3 as n',
    ])
    place.proxy.cut(commitGoes)
    const error = await caught(place.db.transaction((tx) => tx.scalar('select 1'), { readOnly: true }))
    expect(error).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
  })

  test('of a function that writes behind a select is known', async () => {
    await using place = await resolving()
    await place.direct.query(
      `create or replace function book() returns int language sql as 'insert into t values (5) returning n'`,
    )
    place.proxy.cut(commitDone)

    expect(await place.db.transaction((tx) => tx.scalar('select book()'))).toBe(5)

    await sound(place)
    expect(await place.rows()).toEqual([5])
  })
})

test.each([-1, Number.NaN, Infinity, '5'])('resolveCommitMs %j is refused before any SQL', async (resolveCommitMs) => {
  await using place = await resolving({ name: 'refused' })
  using heard = hear('refused')

  const error = await caught(
    place.db.transaction((tx) => tx.scalar('select 1'), { resolveCommitMs: resolveCommitMs as number }),
  )

  expect(error).toMatchObject({ code: 'GENEVER_INVALID_OPTION', message: expect.stringContaining('"resolveCommitMs"') })
  expect(heard.statements).toEqual([])
})

test.skipIf(!wantedDrivers().includes('pglite'))('PGlite takes the option', async () => {
  await using db = await createDb('pglite://memory', { pool: pgliteStart, resolveCommitMs: 1000 }).open()
  await db.status('create table t (n int)')

  await db.transaction(async (tx) => {
    await tx.status(insert)
    await db.transaction((inner) => inner.status('insert into t values (2)'))
  })

  expect(await db.scalar('select sum(n)::int from t')).toBe(3)
})
