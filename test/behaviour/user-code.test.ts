/** What callbacks and values of the user throw reaches whoever they were for, as it is or as the cause, and nobody else. */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { ConnectError, createDb, type Db, type EngineOptions, ParameterError, QueryError } from 'genever'
import { FakeDriver } from 'genever/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { loggerOf } from '../../src/plugins/log.ts'
import { caught } from '../support/caught.ts'
import { noticesDuring } from '../support/gate.ts'
import { forEachDriver } from '../support/matrix.ts'

/** What ends no process here: each test looks at them when it has ended. */
const escaped: unknown[] = []
const keep = (error: unknown): void => void escaped.push(error)
beforeEach(() => {
  escaped.length = 0
  process.on('unhandledRejection', keep)
  process.on('uncaughtExceptionMonitor', keep)
})
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5))
  process.off('unhandledRejection', keep)
  process.off('uncaughtExceptionMonitor', keep)
  expect(escaped).toEqual([])
})

const hostile = new Proxy(new Error('proxy'), {
  get() {
    throw new Error('a trap')
  },
  has() {
    throw new Error('a trap')
  },
})

/** Everything that code can throw. */
const thrown: readonly (readonly [string, unknown])[] = [
  ['an error', new RangeError('vault')],
  ['undefined', undefined],
  ['null', null],
  ['text', 'vault'],
  ['a symbol', Symbol('vault')],
  ['a function', () => {}],
  ['what looks like a failure', { kind: 'vault', outcome: 'committed' }],
  ['what looks like a loss of ours', { kind: 'server', outcome: 'committed', fields: { code: '28P01' } }],
  ['what looks like an answer of the server', { severity: 'FATAL', code: '3D000', message: 'vault' }],
  [
    'an error with a code that throws',
    Object.defineProperty(new Error('vault'), 'code', {
      get() {
        throw new Error('a getter')
      },
    }),
  ],
  ['what throws whenever it is looked at', hostile],
]

const ways: Readonly<Record<string, (what: unknown) => () => unknown>> = {
  throws: (what) => () => {
    throw what
  },
  'rejects with': (what) => async () => {
    await Promise.resolve()
    throw what
  },
  'gives a thenable that rejects with': (what) => () => ({
    then: (_: unknown, reject: (reason: unknown) => void) => reject(what),
  }),
}

const everyWay = Object.entries(ways).flatMap(([way, make]) =>
  thrown.map(([name, what]) => [`${way} ${name}`, make(what)] as const),
)

forEachDriver((driver) => {
  test.each(everyWay)('onConnect %s: its caller is told, and the next one is served', async (_, hook) => {
    let calls = 0
    const db = createDb(await driver.url(), { pool: { max: 1 }, onConnect: () => (++calls === 1 ? hook() : undefined) })

    const error = await caught(db.scalar('select 1'))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.outcome).toBe('not_started')
    expect(await db.scalar('select 2')).toBe(2)
    await db.close()
  })

  test.each(everyWay)('a source that %s: its caller gets just that', async (_, source) => {
    const db = createDb(source as () => never)
    let expected: unknown
    try {
      await source()
    } catch (error) {
      expected = error
    }

    const told = await db.scalar('select 1').then(
      () => 'resolved',
      (error: unknown) => ({ error }),
    )

    expect((told as { error: unknown }).error === expected).toBe(true)
    await db.close()
  })

  test.each(everyWay)(
    'a transaction whose work %s: its caller gets just that, and it is rolled back',
    async (_, work) => {
      const db = await driver.single()
      const table = await driver.table('n int')
      const [inner, outer]: unknown[][] = [[], []]

      const told = await db
        .transaction(async (tx) => {
          await tx.status(`insert into ${table} values (1)`)
          try {
            return await work()
          } catch (error) {
            inner?.push(error)
            throw error
          }
        })
        .then(
          () => false,
          (error: unknown) => {
            outer?.push(error)
            return true
          },
        )

      expect([told, outer?.[0] === inner?.[0]]).toEqual([true, true])
      expect(await db.scalar(`select count(*) from ${table}`)).toBe(0)
    },
  )

  test('values that throw when they are read fail their statement alone, among others on one connection', async () => {
    const db = await driver.single()
    const fails = (): never => {
      throw new RangeError('value')
    }
    const values: unknown[] = [
      { toJSON: fails },
      {
        get a() {
          return fails()
        },
      },
      [{ toJSON: fails }],
      new Proxy({}, { ownKeys: fails }),
      new Proxy([], { get: fails }),
      Object.assign(new Date(), { toISOString: fails, getTime: fails }),
    ]

    const ends = await Promise.all(
      values.flatMap((value, i) => [
        caught(db.scalar(driver.words.json, [value])),
        db.scalar<number>(driver.words.integer, [i]),
      ]),
    )

    for (let i = 0; i < values.length; i++) {
      expect(ends[2 * i]).toBeInstanceOf(Error)
      expect(ends[2 * i + 1]).toBe(i)
    }
    expect(ends[0]).toBeInstanceOf(ParameterError)
  })

  test('loaders that throw fail their statement alone', async () => {
    const db = await driver.single()
    const baked = db.bake<{ n: number }>('select 1 as n', {
      loader: () => {
        throw new RangeError('loader')
      },
    })

    const [error, answer] = await Promise.all([caught(baked.all()), db.scalar('select 2')])

    expect([error.message, answer]).toEqual(['loader', 2])
  })
})

describe('a password function', () => {
  let port = 0
  /** A server that asks for a proof of the password, as SCRAM does. */
  const server = createServer((socket) => {
    const mechanisms = Buffer.from('SCRAM-SHA-256\0\0')
    const head = Buffer.alloc(9)
    head.write('R')
    head.writeInt32BE(8 + mechanisms.length, 1)
    head.writeInt32BE(10, 5)
    socket.on('error', () => {}).once('data', () => socket.write(Buffer.concat([head, mechanisms])))
  })
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ;({ port } = server.address() as { port: number })
  })
  afterAll(() => void server.close())
  const withPassword = (password: unknown): Db =>
    createDb({
      host: '127.0.0.1',
      port,
      user: 'postgres',
      database: 'none',
      password: password as EngineOptions['password'],
      pool: { connectTimeoutMs: 20_000 },
    })

  test.each(everyWay)('that %s: its caller is told', async (_, password) => {
    const db = withPassword(password)

    const error = await caught(db.scalar('select 1'))

    expect(error).toBeInstanceOf(ConnectError)
    expect(error.message).toContain('password failed')
    await db.close()
  })

  test.each([undefined, null, 5, {}, [], Buffer.from('x'), () => 'x', 'a\0b'].map((each) => [each]))(
    'that gives %o is refused by name',
    async (answer) => {
      const db = withPassword(() => Promise.resolve(answer))

      expect((await caught(db.scalar('select 1'))).code).toBe('GENEVER_INVALID_OPTION')
      await db.close()
    },
  )
})

describe('what is only told', () => {
  test('a logger that throws or rejects stops no plug-in', async () => {
    const notices = await noticesDuring(async () => {
      for (const [, log] of everyWay.slice(0, 3)) {
        const logger = loggerOf({ info: log, warn: log, error: log })
        logger.info('a line')
        logger.warn('a line')
        logger.error('a line')
      }
      await Promise.resolve()
    })

    expect(new Set(notices.map(({ code }) => code))).toEqual(new Set(['hook-failed']))
    expect(notices).toHaveLength(9)
  })

  test('an answer function of a FakeDriver that throws fails its statement alone', async () => {
    const driver = new FakeDriver({
      answer(text) {
        if (text === 'guilty') throw new RangeError('answer')
        return undefined
      },
    })
    await using db = await createDb({ driver }, { pool: { max: 1 } }).open()

    const [error, answer] = await Promise.all([caught(db.scalar('guilty')), db.scalar('select 1')])

    expect([error instanceof QueryError, answer]).toEqual([true, 1])
    expect(error.message).toContain('RangeError: answer')
  })

  test('hooks after a transaction that throw anything are named by AfterCommitError or a notice', async () => {
    const driver = new FakeDriver()
    await using db = await createDb({ driver }).open()
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    for (const [, hook] of everyWay) {
      const committed = await caught(db.transaction((tx) => tx.afterCommit(hook)))
      const notices = await noticesDuring(() =>
        db
          .transaction(async (tx) => {
            tx.afterRollback(hook)
            await tx.scalar('select 1')
            tx.raiseRollback()
          })
          .catch(() => {}),
      )

      expect([committed.code, notices.map(({ code }) => code)]).toEqual(['GENEVER_AFTER_COMMIT', ['hook-failed']])
    }
    vi.restoreAllMocks()
  })
})
