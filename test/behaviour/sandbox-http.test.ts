/** A server under test joins the sandbox of the test, although its handlers run in other frames. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createDb, type Db, isGeneverError } from 'genever'
import { sandbox, sandboxed } from 'genever/testing'
import { afterAll, aroundEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { forEachDriver, type TestedDatabase } from '../support/matrix.ts'

forEachDriver(
  (driver) => {
    let database: TestedDatabase
    let db: Db
    let server: Server
    let origin = ''

    beforeAll(async () => {
      database = await driver.fresh(
        `create table users (${driver.words.id}, name varchar(40) unique)`,
        'create table log (line varchar(40))',
      )
      db = createDb(database.url, { pool: { max: 16 } })
      server = createServer((request, response) => void handle(request, response))
      // A connection that is closed because it was idle for long, just when a request comes, would lose that.
      server.keepAliveTimeout = 0
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    })

    afterAll(async () => {
      server.closeAllConnections()
      server.close()
      await db.close()
      await database[Symbol.asyncDispose]()
    })

    async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
      const { pathname, searchParams } = new URL(request.url ?? '/', origin)
      const name = searchParams.get('name') ?? ''
      let status = 200
      let body: unknown
      try {
        body = await db.scope(() => routes[`${request.method} ${pathname}`]?.(name))
      } catch (error) {
        status = isGeneverError(error, 'UNIQUE_VIOLATION') ? 409 : 500
        body = { error: String(error) }
      }
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? null))
    }

    const names = async (): Promise<unknown[]> =>
      (await db.all<{ name: string }>('select name from users order by name')).map((row) => row.name)
    const log = (line: string): Promise<unknown> => db.status('insert into log values (:line)', { line })
    const add = (name: string): Promise<unknown> => db.status('insert into users (name) values (:name)', { name })

    const routes: Readonly<Record<string, (name: string) => unknown>> = {
      'GET /users': () => names(),
      'POST /users': (name) => add(name),
      // A failure that the handler answers for, followed by more statements.
      'PUT /users': async (name) => {
        try {
          await add(name)
          return 'created'
        } catch {
          return `known ${String(await db.scalar('select count(*) from users'))}`
        }
      },
      'POST /pairs': (name) =>
        db.transaction(async (tx) => {
          await add(`${name} 1`)
          tx.afterCommit(() => log(`pair ${name}`))
          await db.transaction(() => log(`begun ${name}`), { reuse: false })
          await db.transaction(() => add(`${name} 2`))
          if (name === 'bad') tx.raiseRollback('refused')
          return 'created'
        }),
      'GET /everything': async () => {
        const [users, lines] = await Promise.all([names(), db.all('select line from log order by line')])
        const seen: unknown[] = []
        const read = 'select name from users order by name'
        await db.transaction(async () => {
          // MySQL runs nothing between the rows of a cursor.
          const rows =
            driver.name === 'mysql' ? await db.all<{ name: string }>(read) : db.iterate<{ name: string }>(read)
          for await (const { name } of rows) {
            await log(`seen ${name}`)
            seen.push(name)
          }
        })
        return { users, lines, seen }
      },
    }

    const call = async (method: string, path: string): Promise<{ status: number; body: unknown }> => {
      const response = await fetch(`${origin}${path}`, { method })
      return { status: response.status, body: await response.json() }
    }

    const inDatabase = async (): Promise<unknown[]> => database.query('select name from users')

    describe('with sandboxed()', () => {
      test('requests and the test see each other, and everything is gone afterwards', async () => {
        await sandboxed(db, async () => {
          await add('ann')
          expect(await call('POST', '/users?name=bob')).toMatchObject({ status: 200 })
          expect(await call('GET', '/users')).toEqual({ status: 200, body: ['ann', 'bob'] })
          expect(await call('POST', '/users?name=bob')).toMatchObject({ status: 409 })
          expect(await call('PUT', '/users?name=bob')).toEqual({ status: 200, body: 'known 2' })
          expect(await names()).toEqual(['ann', 'bob'])
          expect(await inDatabase()).toEqual([])
        })

        expect(await call('GET', '/users')).toEqual({ status: 200, body: [] })
        expect(await inDatabase()).toEqual([])
      })

      test('transactions of handlers end as they would: nested, on their own, rolled back, with hooks', async () => {
        await sandboxed(db, async () => {
          expect(await call('POST', '/pairs?name=good')).toEqual({ status: 200, body: 'created' })
          expect(await call('POST', '/pairs?name=bad')).toEqual({ status: 200, body: 'refused' })
          expect(await call('POST', '/pairs?name=good')).toMatchObject({ status: 409 })
          expect(await call('GET', '/everything')).toEqual({
            status: 200,
            body: {
              users: ['good 1', 'good 2'],
              lines: [{ line: 'begun good' }, { line: 'pair good' }],
              seen: ['good 1', 'good 2'],
            },
          })
        })
        expect(await inDatabase()).toEqual([])
      })

      test('many requests at the same time take turns', async () => {
        await sandboxed(db, async () => {
          const pairs = Array.from({ length: 12 }, (_, i) => call('POST', `/pairs?name=${i % 8}`))
          const answers = await Promise.all(pairs)

          expect(answers.filter(({ status }) => status === 200)).toHaveLength(8)
          expect(answers.filter(({ status }) => status === 409)).toHaveLength(4)
          expect(await names()).toHaveLength(16)
        })
        expect(await inDatabase()).toEqual([])
      })
    })

    describe('with aroundEach(sandbox(db))', () => {
      aroundEach(sandbox(() => db))

      beforeEach(() => add('made before each test'))

      test.each(['first', 'second'])('what beforeEach does belongs to the sandbox of the %s test', async (name) => {
        expect(await names()).toEqual(['made before each test'])
        await call('POST', `/users?name=${name}`)
        expect(await names()).toEqual([name, 'made before each test'].toSorted())
      })

      test.concurrent.for([1, 2, 3, 4, 5, 6, 7])(
        'tests that run at the same time take turns: %i',
        async (n, { expect }) => {
          await call('POST', `/users?name=${n}`)
          expect(await names()).toEqual([String(n), 'made before each test'])
          expect(await inDatabase()).toEqual([])
        },
      )
    })
  },
  { connections: 2 },
)
