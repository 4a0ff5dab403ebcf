/** Answers that wait for a COMMIT, beside other middlewares that put methods of theirs on the response, and beside further transactions. */

import { createServer, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import express, { type Express, type Request, type RequestHandler } from 'express'
import { createDb, type Db } from 'genever'
import { genever } from 'genever/express'
import { genever as httpPlugin } from 'genever/http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'
import { listening, type RunningApp } from './adapter.ts'
import { ask, head, send } from './client.ts'

let database: FreshDatabase
let db: Db
let other: Db

beforeAll(async () => {
  database = await freshDatabase('create table notes (text text)')
})
beforeEach(async () => {
  await database.query('truncate notes')
  db = await createDb(database.url, { pool: { max: 4 } }).open()
  other = await createDb(database.url, { pool: { max: 4 } }).open()
})
afterEach(async () => {
  expect([await db.close(), await other.close()].flatMap(({ broken }) => broken)).toEqual([])
})
afterAll(() => database.drop())

const note = (on: Db, words: string): Promise<unknown> => on.status('insert into notes values ($1)', [words])
const notes = async (): Promise<unknown[]> => {
  for (const each of [db, other]) await quiet(each)
  return (await database.query('select text from notes order by 1')).map((row) => row['text'])
}

const serve = (app: Express): Promise<RunningApp> => listening(createServer(app))

/** As sessions, compression and loggers do: it sets a header with the head, and sees all that is written. */
function watching(name: string, seen: string[]): RequestHandler {
  return (_request, response, next) => {
    watch(name, response, seen)
    next()
  }
}

type Method = 'writeHead' | 'write' | 'end'

/** Puts a method of a middleware on a response; `below` is the one that was there. */
function put(response: ServerResponse, name: Method, method: (below: () => unknown, piece: unknown) => unknown): void {
  const was: unknown = response[name]
  const mine = (...given: unknown[]): unknown =>
    method(() => Reflect.apply(was as () => unknown, response, given), given[0])
  Object.assign(response, { [name]: mine })
}

function watch(name: string, response: ServerResponse, seen: string[]): void {
  const written = (piece: unknown): void => {
    if (typeof piece === 'string' || Buffer.isBuffer(piece)) seen.push(`${name}: ${String(piece)}`)
  }
  put(response, 'writeHead', (below) => {
    response.setHeader(`x-${name}`, 'seen')
    return below()
  })
  put(response, 'write', (below, piece) => {
    written(piece)
    return below()
  })
  put(response, 'end', (below, piece) => {
    written(piece)
    seen.push(`${name} ends`)
    return below()
  })
}

describe('methods that other middlewares put on a response', () => {
  test('are called once, in the order of the layers, whether they come before the transaction or after it', async () => {
    const seen: string[] = []
    const app = express().disable('etag')
    app.use(watching('before', seen), genever(db, { log: false, transaction: true }), watching('after', seen))
    app.post('/whole', async (_request, response) => {
      await note(db, 'whole')
      response.send('all')
    })
    app.post('/parts', async (_request, response) => {
      await note(db, 'parts')
      if (!response.write('one')) await once(response, 'drain')
      response.write('two')
      response.end('three')
    })
    await using served = await serve(app)

    const whole = await head(send(served.port, 'POST /whole'))
    expect([whole.headers['x-before'], whole.headers['x-after']]).toEqual(['seen', 'seen'])
    whole.resume()
    expect(seen.splice(0)).toEqual(['after: all', 'after ends', 'before: all', 'before ends'])
    expect(await ask(served.port, 'POST /parts')).toEqual({ status: 200, body: 'onetwothree' })
    const pieces = ['one', 'two', 'three']
    for (const name of ['before', 'after'])
      expect(seen.filter((line) => line.startsWith(name))).toEqual([
        ...pieces.map((piece) => `${name}: ${piece}`),
        `${name} ends`,
      ])
    expect(await notes()).toEqual(['parts', 'whole'])
  })

  test('that write later, as those that compress do, come through after the COMMIT', async () => {
    const sent = gate()
    const late: RequestHandler = (_request, response, next) => {
      put(response, 'end', (below) => {
        response.flushHeaders()
        void sent.promise.then(below)
        return response
      })
      next()
    }
    const app = express().use(genever(db, { log: false, transaction: true }), late)
    app.post('/', async (_request, response) => {
      await note(db, 'kept')
      response.end('answer')
    })
    await using served = await serve(app)

    const answer = await head(send(served.port, 'POST /'))
    sent.open()
    expect(await text(answer)).toBe('answer')
    expect(await notes()).toEqual(['kept'])
  })

  test('do not see the answer of an error twice, when the COMMIT failed behind them', async () => {
    await database.query('create table unique_notes (text text unique deferrable initially deferred)')
    const seen: string[] = []
    const app = express().disable('etag').set('env', 'test')
    app.use(watching('before', seen), genever(db, { log: false, transaction: true }), watching('after', seen))
    app.post('/', async (_request, response) => {
      for (let each = 0; each < 2; each++) await db.status("insert into unique_notes values ('same')")
      response.send('done')
    })
    await using served = await serve(app)

    expect((await ask(served.port, 'POST /')).status).toBe(500)
    expect(seen.filter((line) => line.endsWith(' ends'))).toEqual(['after ends', 'before ends'])
    expect(seen.join()).not.toContain('before: done')
  })
})

describe('several transactions around one answer', () => {
  test('of two databases are both committed before it is sent, and both rolled back for an error', async () => {
    const app = express()
    app.use(genever(db, { log: false, transaction: true }))
    app.use(genever(other, { log: false, transaction: true, as: 'other' }))
    app.post('/', async (request, response) => {
      await note(db, 'one')
      await note(other, 'two')
      response.status(Number(request.query['status'])).json('done')
    })
    await using served = await serve(app)

    const [created, refused] = [
      await ask(served.port, 'POST /?status=201'),
      await ask(served.port, 'POST /?status=409'),
    ]
    expect([created.status, refused.status]).toEqual([201, 409])
    expect(await notes()).toEqual(['one', 'two'])
  })

  test('of one database are nested: that of the route in that of every request', async () => {
    const web = genever(db, { log: false, transaction: true })
    const app = express().use(web)
    const work = async (request: Request, words: string): Promise<void> => {
      await note(db, words)
      if (request.query['end'] === 'throw') throw new RangeError('boom')
    }
    app.post(
      '/handler',
      web.transactional(async (request, response) => {
        await work(request, 'handler')
        response.json('done')
      }),
    )
    app.post('/middleware', web.transaction(), async (request, response) => {
      await work(request, 'middleware')
      response.json('done')
    })
    await using served = await serve(app)

    for (const path of ['/handler', '/middleware'])
      for (const [end, status] of Object.entries({ return: 200, throw: 500 }))
        expect((await ask(served.port, `POST ${path}?end=${end}`)).status).toBe(status)
    expect(await notes()).toEqual(['handler', 'middleware'])
  })

  test('of handlers of node:http around each other are all committed', async () => {
    const [outer, inner] = [httpPlugin(db, { log: false }), httpPlugin(other, { log: false, as: 'other' })]
    for (const plugin of [outer, inner]) await plugin.open()
    const innermost = inner.handler(
      async (_request, response) => {
        await note(db, 'outer')
        await note(other, 'inner')
        response.end('done')
      },
      { transaction: true },
    )
    const server = createServer(outer.handler(innermost, { transaction: true }))
    await using served = await listening(server)

    expect(await ask(served.port, 'GET /')).toEqual({ status: 200, body: 'done' })
    expect(await notes()).toEqual(['inner', 'outer'])
  })
})

describe('an answer whose head was sent before its transaction began', () => {
  const early: RequestHandler = (_request, response, next) => {
    response.flushHeaders()
    next()
  }

  async function started(transaction: boolean, handler: (response: ServerResponse) => unknown): Promise<RunningApp> {
    const app = express().set('env', 'test').use(early)
    app.use(genever(db, { log: false, transaction }))
    app.get('/', async (_request, response) => {
      await note(db, 'kept')
      await handler(response)
    })
    return serve(app)
  }

  test('is begun for whoever asks, and its body waits for the COMMIT', async () => {
    const states: unknown[] = []
    for (const transaction of [false, true]) {
      await using served = await started(transaction, (response) => {
        const refused = thrownBy(() => response.writeHead(201))
        states.push([response.headersSent, response.writableEnded, response.finished, refused])
        response.end('done')
        states.push([response.headersSent, response.writableEnded, response.finished])
      })
      expect(await ask(served.port, 'GET /')).toEqual({ status: 200, body: 'done' })
    }

    expect(states.slice(2)).toEqual(states.slice(0, 2))
    expect(states[0]).toEqual([true, false, false, 'ERR_HTTP_HEADERS_SENT'])
    expect(await notes()).toEqual(['kept', 'kept'])
  })

  test('is cut off by an error behind it, which rolls back and ends nothing else', async () => {
    await using served = await started(true, () => {
      throw new RangeError('boom')
    })
    const answer = await head(send(served.port, 'GET /'))

    expect(await text(answer).catch(() => 'cut off')).toBe('cut off')
    expect(await notes()).toEqual([])
    expect((await head(send(served.port, 'GET /'))).statusCode).toBe(200)
  })
})

test('an error of a handler behind its answer takes nothing from the answer, and is logged', async () => {
  const lines: string[] = []
  const log = { info: () => {}, warn: () => {}, error: (line: string) => void lines.push(line) }
  const web = genever(db, { log })
  const app = express().set('env', 'test').use(web)
  app.get(
    '/',
    web.transactional(async (_request, response) => {
      await note(db, 'kept')
      response.send('first')
      response.send('second')
    }),
  )
  await using served = await serve(app)

  expect(await ask(served.port, 'GET /')).toEqual({ status: 200, body: 'first' })
  expect(await notes()).toEqual(['kept'])
  expect(lines).toEqual([expect.stringContaining('A handler failed after it had answered: Error: Cannot set headers')])
})

/** The code of what it throws. */
function thrownBy(work: () => unknown): unknown {
  try {
    work()
    return 'nothing'
  } catch (error) {
    return (error as { code?: unknown }).code
  }
}
