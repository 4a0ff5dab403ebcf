/** Clients that leave: nothing is held, and a handler that goes on is not disturbed. */

import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { gate } from '../../support/gate.ts'
import { pid, quiet } from '../../support/matrix.ts'
import { until } from '../../support/until.ts'
import { type Answer, type Call, type RunningApp } from '../adapter.ts'
import { ask, send } from '../client.ts'
import { answers, get, never, type RequestTest } from './request-test.ts'

export function leavingClients({ driver, several, open, start, count }: RequestTest): void {
  describe('a client that leaves', () => {
    test('while the handler never answers leaves nothing held', async () => {
      const { db } = await open()
      const begun = gate()
      const routes = [
        get('/hang', async () => {
          await pid(db)
          begun.open()
          return never()
        }),
      ]
      await using app = await start({ db, routes })
      const sent = send(app.port, 'GET /hang')
      await begun.promise
      expect(db.stats().reserved).toBe(1)
      sent.destroy()

      await quiet(db)
    })

    test('while its request waits behind another one of its socket leaves nothing held', async () => {
      const { db } = await open()
      const [first, begun, hanging, last] = [gate(), gate(), gate(), gate()]
      const routes = [
        get('/first', async () => {
          await first.promise
          return answers('nobody hears it')
        }),
        get('/answered', async () => {
          await pid(db)
          begun.open()
          return answers('nobody hears it')
        }),
        get(
          '/hanging',
          async () => {
            await pid(db)
            hanging.open()
            return never()
          },
          { transaction: true },
        ),
        get('/last', async () => {
          last.open()
          return answers('one')
        }),
      ]
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes })
      const socket = connect(app.port, '127.0.0.1')
      socket.on('error', () => {})
      const paths = ['/first', '/answered', ...(several ? ['/hanging'] : []), '/last']
      socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`).join(''))
      await Promise.all([begun.promise, last.promise, ...(several ? [hanging.promise] : [])])
      socket.destroy()

      await quiet(db)
      first.open()
      expect(await ask(app.port, 'GET /last')).toMatchObject({ status: 200 })
    })

    test('does not disturb the handler, whose later statements borrow and give back at once', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const [begun, left, done] = [gate(), gate(), gate()]
      const seen: unknown[] = []
      const work = async (call: Call): Promise<Answer> => {
        const connection = call.connection()
        await pid(db)
        begun.open()
        await left.promise
        try {
          await connection.status(`insert into ${table} values ('handle')`)
          seen.push(connection.borrowed)
          await db.transaction(() => db.status(`insert into ${table} values ('ambient')`))
          seen.push(connection.borrowed)
          for await (const { text } of db.iterate<{ text: string }>(`select text from ${table} order by 1`))
            seen.push(text)
        } catch (error) {
          seen.push(String(error))
        }
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/slow', work)] })
      const sent = send(app.port, 'GET /slow')
      await begun.promise
      sent.destroy()
      await quiet(db)
      left.open()
      await done.promise

      expect(seen).toEqual([false, false, 'ambient', 'handle'])
      await quiet(db)
    })

    test('does not end a transaction that is open', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const [begun, left, done] = [gate(), gate(), gate()]
      const work = async (): Promise<Answer> => {
        await db.transaction(async () => {
          await db.status(`insert into ${table} values ('kept')`)
          begun.open()
          await left.promise
          await db.status(`insert into ${table} values ('kept too')`)
        })
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/slow', work)] })
      const sent = send(app.port, 'GET /slow')
      await begun.promise
      sent.destroy()
      if (app.server !== undefined) await disconnected(app.server)
      expect(db.stats().reserved).toBe(1)
      left.open()
      await done.promise
      await quiet(db)

      expect(await count(db, table)).toBe(2)
    })

    test('takes the state of the session along: a later statement is refused rather than run without it', async () => {
      const { db } = await open()
      const [begun, left, done] = [gate(), gate(), gate()]
      const seen: string[] = []
      const work = async (call: Call): Promise<Answer> => {
        await db.status("set app.tenant to '7'")
        begun.open()
        await left.promise
        for (const executor of [db, call.connection()])
          await executor.scalar('select 1').then(
            () => seen.push('ran'),
            (error: unknown) => seen.push((error as Error).name),
          )
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, routes: [get('/set', work)] })
      const sent = send(app.port, 'GET /set')
      await begun.promise
      sent.destroy()
      await quiet(db)
      left.open()
      await done.promise

      expect(seen).toEqual(['TransactionStateError', 'TransactionStateError'])
      expect(await db.scalar("select current_setting('app.tenant', true)")).not.toBe('7')
    })

    test.skipIf(!several)('cancels its statements if the option says so, and what comes later is refused', async () => {
      const { db } = await open()
      const [begun, done] = [gate(), gate()]
      const seen: string[] = []
      const work = async (call: Call): Promise<Answer> => {
        const refused = (error: Error): unknown => seen.push(error.name)
        const sleeping = db.scalar('select pg_sleep(60)').catch(refused)
        begun.open()
        await sleeping
        await db.scalar('select 1').catch(refused)
        await call.connection().scalar('select 1').catch(refused)
        done.open()
        return answers('nobody hears it')
      }
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes: [get('/sleep', work)] })
      const sent = send(app.port, 'GET /sleep')
      await begun.promise
      await until(() => db.stats().reserved === 1)
      sent.destroy()
      await done.promise

      expect(seen).toEqual(['AbortedError', 'AbortedError', 'AbortedError'])
      await quiet(db)
    })

    test('is not one who got all: onAbort cancels nothing then', async () => {
      const { db } = await open()
      const [answered, done] = [gate(), gate()]
      let late: unknown
      const work = async (): Promise<Answer> => {
        const after = async (): Promise<void> => {
          await answered.promise
          late = await db.scalar('select 5').catch(String)
          done.open()
        }
        return answers(pid(db), { after })
      }
      await using app = await start({ db, options: { onAbort: 'cancel' }, routes: [get('/late', work)] })
      await ask(app.port, 'GET /late')
      await quiet(db)
      answered.open()
      await done.promise

      expect(late).toBe(5)
      await quiet(db)
    })
  })
}

function disconnected(server: NonNullable<RunningApp['server']>): Promise<unknown> {
  return until(
    () =>
      new Promise<boolean>((resolve, reject) =>
        server.getConnections((error, open) => (error === null ? resolve(open === 0) : reject(error))),
      ),
  )
}
