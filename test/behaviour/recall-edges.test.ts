/** What comes together with recall: sequences drawn by triggers, reads on other connections, long queues, contexts, leaks, sandboxes. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDb, type Db, isGeneverError } from 'genever'
import { sandboxed } from 'genever/testing'
import { expect, test } from 'vitest'
import { databaseUrl, freshDatabase, onServer } from '../support/database.ts'
import { gate, noticesDuring } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'
import { runScript } from '../support/script.ts'
import { functionsKnown } from '../support/functions.ts'
import { until } from '../support/until.ts'

test('the number that a trigger has drawn is that of its scope, or refused', async () => {
  await using database = await freshDatabase(`create sequence drawn; create table t (owner int, n int);
    create function number() returns trigger language plpgsql as $$ begin new.n := nextval('drawn'); return new; end $$;
    create trigger number before insert on t for each row execute function number()`)
  await using db = createDb(database.url, { pool: { max: 2 } })
  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, me) =>
      db.scope(async () => {
        await db.status('insert into t (owner) values ($1)', [me])
        await sleep(3)
        const n = await db.scalar('select lastval()').catch((error: unknown) => {
          if (!isGeneverError(error, 'SESSION_MOVED')) throw error
          return null
        })
        return n === null || (await db.scalar('select owner from t where n = $1', [n])) === me
      }),
    ),
  )

  expect(seen).toEqual(Array(20).fill(true))
})

test('a connection that dies while reads run side by side costs at most its own read, and the scope goes on', async () => {
  await using database = await freshDatabase('create table held as select 1 as n')
  const name = `edges-${process.pid}`
  await using db = createDb(database.url, { applicationName: name, pool: { min: 4, max: 4 } })
  await db.open()
  await until(() => db.stats().idle === 4)
  await functionsKnown(db)
  await using locker = createDb(database.url, { pool: { max: 1 } })
  await db.scope(async () => {
    let reads: Promise<unknown>[] = []
    // They run for as long as the table is locked.
    await locker.transaction(async () => {
      await locker.status('lock table held in access exclusive mode')
      reads = [0, 1, 2, 3].map((n) =>
        db.scalar(`select ${n} from held`).catch((error: unknown) => (error as Error).name),
      )
      const running = "application_name = $1 and wait_event_type = 'Lock'"
      await until(async () => (await onServer(`select from pg_stat_activity where ${running}`, [name])).length === 4)
      const [killed] = await onServer(
        `select pid, pg_terminate_backend(pid) from pg_stat_activity where ${running} and query like 'select 2 from%'`,
        [name],
      )
      const there = 'select from pg_stat_activity where pid = $1'
      await until(async () => (await onServer(there, [killed?.['pid']])).length === 0)
    })
    const answers = await Promise.all(reads)
    expect([answers[0], answers[1], answers[3]]).toEqual([0, 1, 3])
    expect([2, 'ConnectionLostError']).toContain(answers[2])
    expect(await db.scalar('select 5')).toBe(5)
  })
  await quiet(db)
})

test('in a queue that is never empty every kind of request goes on: quick ones, waiting ones, tenants in turns, newcomers', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 2, acquireTimeoutMs: 60_000 } })
  const done = new Map<string, number>()
  const on = { wanted: true }
  const wrong: unknown[] = []
  const client = async (name: string, request: () => Promise<unknown>): Promise<void> => {
    while (on.wanted) {
      await request().catch((error: unknown) => wrong.push(error))
      done.set(name, (done.get(name) ?? 0) + 1)
    }
  }
  const tenant = (id: string) => (): Promise<unknown> =>
    db.scope(
      async () => {
        for (let i = 0; i < 3; i++) {
          const seen = await db.scalar("select current_setting('app.tenant')")
          if (seen !== id) wrong.push(`${id} saw ${String(seen)}`)
          await sleep(1)
        }
      },
      { settings: { 'app.tenant': id } },
    )
  const clients = [
    ...['quick 1', 'quick 2', 'quick 3'].map((name) =>
      client(name, () =>
        db.scope(async () => {
          for (let i = 0; i < 3; i++) await db.scalar('select 1')
        }),
      ),
    ),
    ...['waiting 1', 'waiting 2', 'waiting 3'].map((name) =>
      client(name, () =>
        db.scope(async () => {
          for (let i = 0; i < 4; i++) {
            await db.scalar('select 2')
            await sleep(2)
          }
        }),
      ),
    ),
    client('tenant a', tenant('a')),
    client('tenant b', tenant('b')),
    client('without a scope 1', () => db.scalar('select 3')),
    client('without a scope 2', () => db.transaction(() => db.scalar('select 4'))),
  ]
  await until(() => done.size === clients.length && [...done.values()].every((times) => times >= 20), {
    timeoutMs: 50_000,
  })
  on.wanted = false
  await Promise.all(clients)

  expect(wrong).toEqual([])
  expect(db.stats().recalls).toBeGreaterThan(0)
})

test('whoever takes a connection from whom, each goes on in a context that is its own', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 1 } })
  const context = new AsyncLocalStorage<number>()
  const here = (me: number): void => expect(context.getStore()).toBe(me)
  await Promise.all(
    Array.from({ length: 9 }, (_, me) =>
      context.run(me, async () => {
        await db.scope(async () => {
          for (let i = 0; i < 3; i++) {
            expect(await db.scalar('select $1::int', [me])).toBe(me)
            here(me)
            await db.transaction(async (tx) => {
              tx.afterCommit(() => here(me))
              await tx.scalar('select 1')
            })
            await sleep(1)
            here(me)
          }
        })
        here(me)
      }),
    ),
  )
  expect(db.stats().recalls).toBeGreaterThan(0)
})

test('a scope that is forgotten and was recalled is no leak', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 1 }, leak: { afterMs: 30 } })
  const forgotten = gate()
  const notices = await noticesDuring(async () => {
    const scope = db.scope(async () => {
      await db.scalar('select 1')
      await forgotten.promise
    })
    expect(await db.scalar('select 2')).toBe(2)
    await sleep(100)
    forgotten.open()
    await scope
  })

  expect(notices).toEqual([])
})

test('in a sandbox scopes that wait share its connection, and all is rolled back', async () => {
  await using database = await freshDatabase('create table t (n int)')
  const db = createDb(database.url, { pool: { max: 3 } })
  await sandboxed(db, async () => {
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        db.scope(async () => {
          await db.status('insert into t values ($1)', [n])
          await sleep(2)
          expect(await db.scalar('select count(*)::int from t where n = $1', [n])).toBe(1)
        }),
      ),
    )
    expect(await db.scalar('select count(*)::int from t')).toBe(4)
  })
  expect(await db.scalar('select count(*)::int from t')).toBe(0)
  await db.close()
})

test.each([{}, { pooler: 'transaction' } as const])(
  'behind a pooler or not, settings are those of the scope after each wait: %j',
  async (options) => {
    await using db: Db = createDb(await databaseUrl(), { ...options, pool: { max: 1 } })
    const seen = await Promise.all(
      ['a', 'b', 'c'].map((me) =>
        db.scope(
          async () => {
            const all: unknown[] = []
            for (let i = 0; i < 4; i++) {
              all.push(await db.scalar("select current_setting('app.me', true)"))
              await sleep(2)
            }
            return all
          },
          { settings: { 'app.me': me } },
        ),
      ),
    )

    expect(seen).toEqual(['a', 'b', 'c'].map((me) => Array(4).fill(me)))
    expect(db.stats().recalls).toBeGreaterThan(0)
  },
)

test('a script that ends in the turn in which a connection would be judged exits by itself', async () => {
  const { code, stdout, stderr } = await runScript(
    `
    import { createDb } from 'genever'
    const db = createDb(process.env.TARGET, { pool: { max: 1 } })
    const other = db.scope(async () => { await db.scalar('select 1'); await new Promise(() => {}) })
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(await db.scalar('select 7'), db.stats().recalls)
    void other
    `,
    { env: { TARGET: await databaseUrl() } },
  )

  // Nothing is open that could ever end the scope: Node.js does not wait for it.
  expect([code, stdout.trim(), stderr]).toEqual([0, '7 1', ''])
})

test('a scope that had to wait long to begin may wait again after its connection was taken', async () => {
  const acquireTimeoutMs = 1_000
  await using db = createDb(await databaseUrl(), { pool: { max: 1, acquireTimeoutMs } })
  /** A transaction that keeps the only connection for so long. */
  const hog = (ms: number): Promise<void> => db.transaction(() => db.scalar('select 1').then(() => sleep(ms)))
  const outside = AsyncLocalStorage.snapshot()
  const attempt = async (): Promise<boolean> => {
    const first = hog(0.9 * acquireTimeoutMs)
    const served = await db
      .scope(async () => {
        await db.scalar('select 2')
        const second = outside(hog, 0.2 * acquireTimeoutMs)
        await until(() => db.stats().waiting === 0)
        const answer = await db.scalar('select 3').catch(() => null)
        await second
        return answer === 3
      })
      .catch(() => false)
    await first
    return served
  }

  // A machine that is busy makes the waits longer: one attempt that succeeds says that there is time left.
  let served = false
  for (let i = 0; i < 10 && !served; i++) served = await attempt()
  expect(served).toBe(true)
})

test('a session that took too long to say what keeps its connection is asked again', async () => {
  await using database = await freshDatabase()
  const name = `asked-${process.pid}`
  await using proxy = await startProxy(database.url)
  await using db = createDb(proxy.url, { applicationName: name, pool: { max: 1 }, resetTimeoutMs: 100 })
  await functionsKnown(await db.open())
  const ask = { to: 'server', text: 'pg_my_temp_schema', when: 'after' } as const
  const asked = proxy.on(ask, () => {})
  const idle = "select from pg_stat_activity where application_name = $1 and state = 'idle'"
  await using locker = createDb(database.url, { pool: { max: 1 } })

  await db.scope(async () => {
    await db.status('create temp table kept (n int)')
    await db.status('drop table kept')
    let waiter: Promise<unknown> = Promise.resolve()
    await locker.transaction(async () => {
      await locker.status('lock table pg_class in access exclusive mode')
      waiter = db.detached(() => db.scalar('select 7'))
      await until(() => asked.link !== null)
      await until(() => proxy.links.some(({ cancels }) => cancels))
      await until(async () => (await onServer(idle, [name])).length === 1)
    })
    expect(await waiter).toBe(7)
  })
})
