/** Bodies that are streamed from a cursor. */

import { connect } from 'node:net'
import { type Db } from 'genever'
import { describe, expect, test } from 'vitest'
import { hear } from '../../support/events.ts'
import { gate } from '../../support/gate.ts'
import { functionsKnown } from '../../support/functions.ts'
import { quiet } from '../../support/matrix.ts'
import { type Answer, type Call } from '../adapter.ts'
import { ask, head, send } from '../client.ts'
import { get, never, type RequestTest } from './request-test.ts'

export function streamedBodies({ open, start }: RequestTest): void {
  describe('a streamed body', () => {
    const lines = async function* (db: Db, rows: number, width = 0): AsyncGenerator<string> {
      const cursor = db.iterate<{ line: string }>(
        "select n || repeat(' ', $2::int) || e'\\n' as line from generate_series(1, $1::int) n",
        [rows, width],
        { batchSize: 50 },
      )
      for await (const { line } of cursor) yield line
    }

    test('comes row by row from a cursor, which keeps the connection until its end', async () => {
      const { db, name } = await open()
      const rows = (): AsyncIterable<string> => lines(db, 1000)
      await using app = await start({ db, routes: [get('/rows', async () => ({ stream: rows() }))] })
      // Else the engine would borrow a connection to read what the functions of the database do.
      await functionsKnown(db)
      using heard = hear(name)
      const { status, body } = await ask(app.port, 'GET /rows')

      expect([status, body]).toEqual([200, Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join('')])
      await quiet(db)
      expect(heard.leases.filter(({ event }) => event === 'acquire').length).toBe(1)
    })

    test('is on the connection of the request also when its cursor was made by the handler', async () => {
      const { db } = await open()
      const work = async (call: Call): Promise<Answer> => {
        const cursor = call.connection().iterate<{ n: number }>('select n from generate_series(1, 300) n')
        const texts = async function* (): AsyncGenerator<string> {
          for await (const { n } of cursor) yield `${n} `
        }
        return { stream: texts() }
      }
      await using app = await start({ db, routes: [get('/rows', work)] })

      expect((await ask(app.port, 'GET /rows')).body).toHaveLength(1092)
      await quiet(db)
    })

    test('that waits behind another answer of its socket closes its cursor when the client leaves', async () => {
      const { db } = await open()
      const streaming = gate()
      const work = async (): Promise<Answer> => {
        const piped = async function* (): AsyncGenerator<string> {
          for await (const line of lines(db, 20_000, 10_000)) {
            streaming.open()
            yield line
          }
        }
        return { stream: piped() }
      }
      await using app = await start({ db, routes: [get('/hanging', never), get('/rows', work)] })
      const socket = connect(app.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(['/hanging', '/rows'].map((path) => `GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`).join(''))
      await streaming.promise
      expect(db.stats().reserved).toBe(1)
      socket.destroy()

      await quiet(db)
      expect(await db.scalar('select 1')).toBe(1)
    })

    test('that nobody reads any more closes its cursor and gives the connection back', async () => {
      const { db } = await open()
      const rows = (): AsyncIterable<string> => lines(db, 20_000, 10_000)
      await using app = await start({ db, routes: [get('/rows', async () => ({ stream: rows() }))] })
      const sent = send(app.port, 'GET /rows')
      const response = await head(sent)
      await new Promise((resolve) => response.once('data', resolve))
      expect(db.stats().reserved).toBe(1)
      response.destroy()

      await quiet(db)
      expect(await db.scalar('select 1')).toBe(1)
    })
  })
}
