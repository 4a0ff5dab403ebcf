/** Errors of a request, upgrades and readiness: the answer, and nothing that is held. */

import { connect } from 'node:net'
import { pgTable, text as textColumn } from 'drizzle-orm/pg-core'
import { NotFoundError, TransactionStateError } from 'genever'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { doing, pid, quiet } from '../../support/matrix.ts'
import { ask } from '../client.ts'
import { answers, get, type RequestTest } from './request-test.ts'

export function answersOfErrors({ driver, open, start, count }: RequestTest): void {
  describe('errors', () => {
    const boom = (): never => {
      throw new TransactionStateError('boom')
    }

    test('before the first statement, in a transaction and after the last are answered by 500, and nothing is held', async () => {
      const { db } = await open()
      const table = await driver.table('text text')
      const routes = [
        get('/before', async () => boom()),
        get('/in', () =>
          db.transaction(async () => {
            await db.status(`insert into ${table} values ('in')`)
            boom()
            return {}
          }),
        ),
        get('/after', async () => {
          await pid(db)
          return boom()
        }),
      ]
      await using app = await start({ db, routes })
      for (const { path } of routes) expect((await ask(app.port, `GET ${path}`)).status, path).toBe(500)
      await quiet(db)

      expect(await count(db, table)).toBe(0)
    })

    test('by status leave nothing held', async () => {
      const { db } = await open()
      const routes = [get('/conflict', async () => answers(pid(db), { status: 409 }))]
      await using app = await start({ db, routes })

      expect((await ask(app.port, 'GET /conflict')).status).toBe(409)
      await quiet(db)
    })

    test('of what is not found are answered by 404, with the message', async () => {
      const { db } = await open()
      const missing = async (): Promise<never> => {
        throw new NotFoundError('Bottle is not found')
      }
      await using app = await start({ db, routes: [get('/bottles', missing)] })
      const { status, body } = await ask(app.port, 'GET /bottles')

      expect([status, JSON.stringify(body)]).toEqual([404, expect.stringContaining('Bottle is not found')])
    })

    test('of models that have no such row name the model and never the key', async () => {
      const { db } = await open()
      class Bottle extends Model(
        db,
        pgTable(await driver.table('id text primary key'), { id: textColumn().primaryKey() }),
      ) {}
      const routes = [
        get('/bottle', () => answers(Bottle.getOr404('key-4711'))),
        get('/first', () => answers(Bottle.where({ id: 'key-4711' }).firstOr404())),
      ]
      await using app = await start({ db, routes })

      for (const path of ['/bottle', '/first']) {
        const { status, body } = await ask(app.port, `GET ${path}`)
        expect([status, JSON.stringify(body)]).toEqual([404, expect.stringContaining('Bottle')])
        expect(JSON.stringify(body)).not.toContain('4711')
      }
    })
  })

  describe('around requests', () => {
    test('an upgrade is left alone', async () => {
      const { db } = await open()
      await using app = await start({ db, routes: [get('/read', () => answers(pid(db)))] })
      const { server } = app
      if (server === undefined) return
      let seen: unknown
      server.on('upgrade', (_request, socket) => {
        socket.on('error', () => {})
        void (async () => {
          seen = [db.current, await db.scalar('select 1'), doing(db).startsWith('0 lent')]
          socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello')
        })()
      })
      const socket = connect(app.port, '127.0.0.1')
      socket.end('GET /read HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      let text = ''
      for await (const piece of socket) text += String(piece)

      expect([text.slice(-5), seen]).toEqual(['hello', [undefined, 1, true]])
    })

    test('readiness is 200 with counts, and 503 by its deadline when no connection is free; nothing in it is secret', async () => {
      const { db } = await open(1)
      // Some close the database with their application.
      await using patient = await start({ db, routes: [] })
      const ready = await ask(patient.port, 'GET /ready')
      await using hasty = await start({ db, routes: [], readyMs: 200 })
      const held = await db.acquire()
      const busy = await ask(hasty.port, 'GET /ready')
      await held.release()

      expect([ready.status, ready.body]).toMatchObject([200, { status: 'ok', pool: { max: 1 } }])
      expect([busy.status, busy.body]).toMatchObject([503, { status: 'unavailable', pool: { reserved: 1 } }])
      expect(Object.keys(busy.body as object).toSorted()).toEqual(['pool', 'reason', 'status'])
      expect(busy.body.reason).toMatch(/^GENEVER_\w+$/)
    })
  })
}
