/** What comes together with recall: long queues, contexts, leaks, sandboxes, poolers. */

import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { sandboxed } from 'genever/testing'
import { expect, test } from 'vitest'
import { gate, noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'
import { runScript } from '../support/script.ts'
import { until } from '../support/until.ts'

forEachDriver(
  (driver) => {
    const { words } = driver

    test('in a queue that is never empty every kind of request goes on: quick ones, waiting ones, tenants in turns, newcomers', async () => {
      const db = await driver.db({ pool: { max: 2, acquireTimeoutMs: 60_000 } })
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
              const seen = await db.scalar(words.setting('app.tenant'))
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
      const db = await driver.db({ pool: { max: 1 } })
      const context = new AsyncLocalStorage<number>()
      const here = (me: number): void => expect(context.getStore()).toBe(me)
      await Promise.all(
        Array.from({ length: 9 }, (_, me) =>
          context.run(me, async () => {
            await db.scope(async () => {
              for (let i = 0; i < 3; i++) {
                expect(await db.scalar(words.integer, [me])).toBe(me)
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
      const db = await driver.db({ pool: { max: 1 }, leak: { afterMs: 30 } })
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
      const table = await driver.table('n int')
      const db = await driver.db({ pool: { max: 3 } })
      await sandboxed(db, async () => {
        await Promise.all(
          [1, 2, 3, 4].map((n) =>
            db.scope(async () => {
              await db.status(`insert into ${table} values (:n)`, { n })
              await sleep(2)
              expect(await db.scalar(`${words.count(table)} where n = :n`, { n })).toBe(1)
            }),
          ),
        )
        expect(await db.scalar(words.count(table))).toBe(4)
      })
      expect(await db.scalar(words.count(table))).toBe(0)
    })

    // MySQL has no pooler.
    test.each(driver.name === 'mysql' ? [{}] : [{}, { pooler: 'transaction' } as const])(
      'behind a pooler or not, settings are those of the scope after each wait: %j',
      async (options) => {
        const db = await driver.db({ ...options, pool: { max: 1 } })
        const seen = await Promise.all(
          ['a', 'b', 'c'].map((me) =>
            db.scope(
              async () => {
                const all: unknown[] = []
                for (let i = 0; i < 4; i++) {
                  all.push(await db.scalar(words.setting('app.me')))
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
    let ran
    const running = new Promise((resolve) => (ran = resolve))
    const other = db.scope(async () => { await db.scalar('select 1'); ran(); await new Promise(() => {}) })
    await running
    console.log(await db.scalar('select 7'), db.stats().recalls)
    void other
    `,
        { env: { TARGET: await driver.url() } },
      )

      // Nothing is open that could ever end the scope: Node.js does not wait for it.
      expect([code, stdout.trim(), stderr]).toEqual([0, '7 1', ''])
    })

    test('a scope that had to wait long to begin may wait again after its connection was taken', async () => {
      const acquireTimeoutMs = 1_000
      const db = await driver.db({ pool: { max: 1, acquireTimeoutMs } })
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
  },
  { connections: 2 },
)
