/** COMMIT is lost on its way, or its time is over, and the server is asked what became of it: `resolveCommitMs`. */

import {
  AbortedError,
  AfterCommitError,
  ConnectionLostError,
  createDb,
  QueryTimeoutError,
  TransactionTimeoutError,
} from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { hasPgBouncer, startPgBouncer, startPooler } from '../support/pooler.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { leapingTime } from '../support/virtual-time.ts'
import { committing, leapMs, overInCommit, slowRows } from './slow-commit.ts'
import { commitDone, commitGoes, commitTold, insert, insertSlow, resolving, slowly, statusTold } from './resolving.ts'
import { sound, watch, short } from './support.ts'

describe('a COMMIT that is lost', () => {
  test('is known, forty times, before it reached the server and after the server had done it', async () => {
    await using place = await resolving()
    const committed: number[] = []
    const undone: number[] = []

    for (let n = 0; n < 40; n++) {
      const [moment, list] = (
        [
          [commitGoes, undone],
          [commitDone, committed],
        ] as const
      )[n % 2]!
      const incident = place.proxy.cut(moment, n % 4 < 2 ? 'reset' : 'finish')
      const run = watch(place.db.transaction((tx) => tx.status('insert into t values ($1)', [n]).then(() => n)))
      await until(() => run.state !== 'pending')

      expect(incident.link).not.toBeNull()
      if (run.state === 'resolved') expect(run.value).toBe(n)
      else expect(run.value).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back', retryable: true })
      expect(run.state).toBe(list === committed ? 'resolved' : 'rejected')
      list.push(n)
    }

    await sound(place)
    expect(await place.rows()).toEqual(committed)
    expect(undone).toHaveLength(20)
  })

  test('when the server had done it is a commit: its value, its hooks, its event, and one row', async () => {
    await using place = await resolving({ name: 'lost-and-done' })
    using heard = hear('lost-and-done')
    place.proxy.cut(commitTold)
    const ran: string[] = []
    let runs = 0

    const value = await place.db.transaction(
      async (tx) => {
        runs++
        tx.afterRollback(() => ran.push('rollback'))
        tx.afterCommit(async () => ran.push(`commit sees ${String(await place.db.scalar('select n from t'))}`))
        await tx.status(insert)
        return 'value'
      },
      { retry: 5 },
    )

    expect({ value, runs, ran }).toEqual({ value: 'value', runs: 1, ran: ['commit sees 1'] })
    expect(heard.transactions.map(({ event }) => event)).toEqual(['begin', 'commit'])
    await sound(place)
    expect(await place.rows()).toEqual([1])
  })

  test('before the server had it is a rollback: its hooks, its event, and no second run', async () => {
    await using place = await resolving({ name: 'lost-and-undone' })
    using heard = hear('lost-and-undone')
    place.proxy.cut(commitGoes)
    const ran: string[] = []
    let runs = 0

    const error = await caught(
      place.db.transaction(
        async (tx) => {
          runs++
          tx.afterRollback(() => ran.push('rollback'))
          tx.afterCommit(() => ran.push('commit'))
          await tx.status(insert)
        },
        { retry: 5, isolation: 'serializable' },
      ),
    )

    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ outcome: 'rolled_back', retryable: true })
    expect({ runs, ran }).toEqual({ runs: 1, ran: ['rollback'] })
    expect(heard.transactions.map(({ event }) => event)).toEqual(['begin', 'rollback'])
    await sound(place)
    expect(await place.rows()).toEqual([])
  })

  test('is waited for while the server goes on committing', async () => {
    await using place = await slowly()
    const [link] = place.proxy.links
    const run = watch(place.db.transaction((tx) => tx.status(insertSlow).then(() => 'done')))
    await committing(place)
    link!.break('reset')
    await until(() => place.proxy.links.length > 1, { what: 'the server is being asked' })
    await place.letCommit()

    await until(() => run.state !== 'pending')

    expect(run).toEqual({ state: 'resolved', value: 'done' })
    await sound(place)
    expect(await slowRows(place)).toEqual([{ n: 1 }])
  })

  test('is asked for again when the connection that asks is lost too', async () => {
    await using place = await resolving()
    place.proxy.on(commitDone, (link) => {
      link.break('reset')
      place.proxy.cut(statusTold)
    })

    expect(await place.db.transaction((tx) => tx.status(insert).then(() => 'done'))).toBe('done')

    expect(place.proxy.links.length).toBeGreaterThan(2)
    await sound(place)
    expect(await place.rows()).toEqual([1])
  })

  test('and fails in its hooks tells that it was committed', async () => {
    await using place = await resolving()
    place.proxy.cut(commitDone)
    const reason = new TypeError('mine')

    const error = await caught(
      place.db.transaction(async (tx) => {
        await tx.status(insert)
        tx.afterCommit(() => {
          throw reason
        })
        return 'value'
      }),
    )

    expect(error).toBeInstanceOf(AfterCommitError)
    expect(error).toMatchObject({ outcome: 'committed', result: 'value', errors: [reason] })
  })

  test.each([
    ['done', commitDone, [1, 3], ['outer commit', 'inner commit', 'undone rollback']],
    ['undone', commitGoes, [], ['outer rollback', 'inner rollback', 'undone rollback']],
  ] as const)('decides on the savepoints inside: %s', async (_, moment, rows, hooks) => {
    await using place = await resolving()
    place.proxy.cut(moment)
    const ran: string[] = []
    const hook = (tx: { afterCommit(hook: () => void): void; afterRollback(hook: () => void): void }, name: string) => {
      tx.afterCommit(() => void ran.push(`${name} commit`))
      tx.afterRollback(() => void ran.push(`${name} rollback`))
    }

    const run = watch(
      place.db.transaction(async (tx) => {
        hook(tx, 'outer')
        await tx.status(insert)
        await place.db.transaction(async (inner) => {
          hook(inner, 'inner')
          await inner.status('insert into t values (3)')
        })
        await place.db.transaction(async (inner) => {
          hook(inner, 'undone')
          await inner.status('insert into t values (2)')
          inner.raiseRollback()
        })
      }),
    )
    await until(() => run.state !== 'pending')

    expect(run.state).toBe(moment === commitDone ? 'resolved' : 'rejected')
    expect(ran).toEqual(hooks)
    await sound(place)
    expect(await place.rows()).toEqual(rows)
  })

  test.each([
    ['done', commitDone, [1]],
    ['undone', commitGoes, []],
  ] as const)(
    'of a scope is asked for beside its dead connection, and the scope goes on: %s',
    async (_, moment, rows) => {
      await using place = await resolving()

      await place.db.scope(
        async () => {
          await place.db.scalar('select 1')
          place.proxy.cut(moment)
          const run = watch(place.db.transaction((tx) => tx.status(insert)))
          const sibling = place.db.scalar('select count(*)::int from t')
          await until(() => run.state !== 'pending')
          expect(run.state).toBe(moment === commitDone ? 'resolved' : 'rejected')
          expect(await sibling).toBe(rows.length)
          expect(await place.db.scalar(`select current_setting('app.tenant')`)).toBe('7')
        },
        { settings: { 'app.tenant': '7' } },
      )

      await sound(place)
      expect(await place.rows()).toEqual(rows)
    },
  )

  test.each([
    ['done', commitDone, [1]],
    ['undone', commitGoes, []],
  ] as const)('of a transaction begun by hand is known too: %s', async (_, moment, rows) => {
    await using place = await resolving({ resolveCommitMs: 0 })
    place.proxy.cut(moment)
    const ran: string[] = []
    const tx = await place.db.begin({ resolveCommitMs: 50_000 })
    tx.afterCommit(() => ran.push('commit'))
    tx.afterRollback(() => ran.push('rollback'))
    await tx.status(insert)

    const run = watch(tx.commit())
    await until(() => run.state !== 'pending')

    if (moment === commitDone) expect(run.state).toBe('resolved')
    else expect(run.value).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
    expect(ran).toEqual([moment === commitDone ? 'commit' : 'rollback'])
    await sound(place)
    expect(await place.rows()).toEqual(rows)
  })

  test('waits for its turn in a pool that is full', async () => {
    await using place = await resolving({ pool: { max: 2 } })
    const held = await place.db.acquire()
    await held.scalar('select 1')
    place.proxy.on(commitDone, (link) => {
      link.break('reset')
      void place.db.acquire().then((other) => other.scalar('select 1 from pg_sleep(0.2)').then(() => other.release()))
    })

    await place.db.transaction((tx) => tx.status(insert))

    await held.release()
    await sound(place)
    expect(await place.rows()).toEqual([1])
  })
})

describe('a COMMIT whose time is over', () => {
  test('and that the server has stopped is a rollback', async () => {
    using time = leapingTime()
    await using place = await slowly({ resolveCommitMs: 10 * leapMs })
    const ran: string[] = []

    const told = caught(
      place.db.transaction(
        async (tx) => {
          tx.afterRollback(async () => ran.push(`rollback ${String(await place.db.scalar('select 1'))}`))
          await tx.status(insertSlow)
        },
        { timeoutMs: leapMs },
      ),
    )
    await overInCommit(place, time)

    const error = await told
    expect(error).toBeInstanceOf(TransactionTimeoutError)
    expect(error.outcome).toBe('rolled_back')
    expect(error.message).toMatch(/^The transaction begun at .*commit-outcome.test.* was rolled back/)
    expect(ran).toEqual(['rollback 1'])
    await sound(place)
    expect(await slowRows(place)).toEqual([])
  })

  test('by a signal tells its reason', async () => {
    await using place = await slowly()
    const controller = new AbortController()
    const reason = new TypeError('enough')
    const told = caught(place.db.transaction((tx) => tx.status(insertSlow), { signal: controller.signal }))
    await committing(place)

    controller.abort(reason)

    const error = await told
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ outcome: 'rolled_back', cause: reason })
    await sound(place)
    expect(await slowRows(place)).toEqual([])
  })

  test('by the time of statements, in a scope that has the only connection, is a rollback', async () => {
    using time = leapingTime()
    await using place = await slowly()

    await place.db.scope(async () => {
      const before = await place.db.scalar('select pg_backend_pid()')
      const told = caught(place.db.transaction((tx) => tx.status(insertSlow), { query: { timeoutMs: leapMs } }))
      await overInCommit(place, time)
      const error = await told
      expect(error).toBeInstanceOf(QueryTimeoutError)
      expect(error.outcome).toBe('rolled_back')
      expect(await place.db.scalar('select pg_backend_pid()')).toBe(before)
    })

    await sound(place)
    expect(await slowRows(place)).toEqual([])
  })

  test('although the server has done it is a commit', async () => {
    using time = leapingTime()
    await using place = await resolving({ ...short, resolveCommitMs: 10 * leapMs })
    const incident = place.proxy.cut(commitDone, 'blackhole')
    const run = place.db.transaction((tx) => tx.status(insert).then(() => 'done'), { timeoutMs: leapMs })
    await until(() => incident.link !== null)
    time.leap(leapMs)

    expect(await run).toBe('done')

    await sound(place)
    expect(await place.rows()).toEqual([1])
  })

  test('while the server is being asked changes nothing', async () => {
    using time = leapingTime()
    await using place = await slowly({ resolveCommitMs: 10 * leapMs })
    const [link] = place.proxy.links
    const run = watch(place.db.transaction((tx) => tx.status(insertSlow).then(() => 'done'), { timeoutMs: leapMs }))
    await committing(place)
    link!.break('reset')
    await until(() => place.proxy.links.length > 1, { what: 'the server is being asked' })
    time.leap(leapMs)
    await place.letCommit()

    await until(() => run.state !== 'pending')

    expect(run).toEqual({ state: 'resolved', value: 'done' })
    await sound(place)
    expect(await slowRows(place)).toEqual([{ n: 1 }])
  })
})

const poolers = (
  [
    ['a pooler', true, startPooler],
    ['PgBouncer', hasPgBouncer, startPgBouncer],
  ] as const
).filter(([, there]) => there)

test.each(poolers)('behind %s another session of the server is asked', async (_, __, start) => {
  const direct = await freshDatabase('create table t (n int)')
  await using pooler = await start(direct.url, 2)
  await using proxy = await startProxy(pooler.url)
  await using db = createDb(proxy.url, {
    pooler: 'transaction',
    resolveCommitMs: 50_000,
    pool: { max: 1, acquireTimeoutMs: 50_000 },
  })
  await db.open()
  const told: number[] = []

  for (let n = 0; n < 10; n++) {
    proxy.cut(n % 2 === 0 ? commitGoes : commitDone)
    const run = watch(db.transaction((tx) => tx.status('insert into t values ($1)', [n])))
    await until(() => run.state !== 'pending')
    if (run.state === 'resolved') told.push(n)
    else expect(run.value).toMatchObject({ code: 'GENEVER_CONNECTION_LOST', outcome: 'rolled_back' })
  }

  expect(told).toEqual([1, 3, 5, 7, 9])
  expect((await direct.query('select n from t order by n')).map(({ n }) => n)).toEqual(told)
})
