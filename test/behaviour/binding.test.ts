/** What a `Db` stands for: nothing, a database to be opened, an engine, and no longer anything. */

import {
  AlreadyBoundError,
  ConnectError,
  createDb,
  createEngine,
  type Db,
  GeneverError,
  NotBoundError,
  PoolClosedError,
  UsageError,
} from 'genever'
import { expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { databaseUrl, serverUrl } from '../support/database.ts'
import { doing, forEachDriver } from '../support/matrix.ts'

/** Every way from a `Db` to a database. */
const paths: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  all: (db) => db.all('select 1'),
  first: (db) => db.first('select 1'),
  one: (db) => db.one('select 1'),
  oneOrNone: (db) => db.oneOrNone('select 1'),
  scalar: (db) => db.scalar('select 1'),
  status: (db) => db.status('select 1'),
  executeMany: (db) => db.executeMany('select :n + 0', [{ n: 1 }]),
  'executeMany, no set': (db) => db.executeMany('select :n + 0', []),
  sql: (db) => Promise.resolve(db.sql`select 1`),
  'sql, methods': (db) => db.sql`select 1`.first(),
  'iterate, read': (db) => db.iterate('select 1').read(),
  'iterate, for await': async (db) => {
    for await (const _ of db.iterate('select 1'));
  },
  transaction: (db) => db.transaction(() => {}),
  begin: (db) => db.begin(),
  acquire: (db) => db.acquire(),
  'acquire, lazy': (db) => db.acquire({ lazy: true }),
  'acquire, reusing': (db) => db.acquire({ reuse: true }),
  scope: (db) => db.scope(() => {}),
  detached: (db) => db.detached(() => {}),
  idle: (db) => db.idle(() => {}),
  open: (db) => db.open(),
}
const every = Object.entries(paths)

test.each(every)('an unbound db says so, and what to do: %s', async (_, use) => {
  const error = await caught(use(createDb()))

  expect(error).toBeInstanceOf(NotBoundError)
  expect(error.message).toBe(thrownBy(() => createDb().stats()).message)
  expect(error.message).toMatch(/createDb\(\) a URL|bind\(/)
})

test('an unbound db can be made, printed, asked, unbound and closed', async () => {
  const db = createDb()

  const answers = [String(db), db.bound, db.current, db.unbind(), await db.close(), String(db)]

  expect(answers).toEqual(['Db { unbound }', false, undefined, undefined, { drained: 0, broken: [] }, 'Db { closed }'])
})

forEachDriver((driver) => {
  test('options given to createDb() without a source hold for the one that bind() brings', async () => {
    const db = createDb(undefined, { name: 'waiting', pool: { max: 1 } })
    const engine = await db.bind(await driver.url())
    expect([engine.name, db.stats().max, await db.scalar('select 1')]).toEqual(['waiting', 1, 1])

    db.unbind()
    await engine.close()
    const both = await caught(db.bind(await driver.url(), { pool: { max: 1 } }))
    expect(both).toBeInstanceOf(UsageError)
    expect([both.message, String(db)]).toEqual([expect.stringContaining('createDb()'), 'Db { unbound }'])
    await using other = await createEngine(await driver.url(), { name: 'its own', pool: { max: 1 } })
    expect((await db.bind(other)).name).toBe('its own')
    db.unbind()
  })

  test.each(every)('a closed db says so: %s', async (_, use) => {
    const db = await createDb(await driver.url()).open()
    await db.close()

    expect(await caught(use(db))).toBeInstanceOf(PoolClosedError)
  })

  test.each(every.filter(([name]) => name !== 'idle'))(
    'a configured db opens itself on first use: %s',
    async (_, use) => {
      const db = createDb(await driver.url(), { pool: { max: 1 } })
      const before = [db.bound, String(db)]

      await use(db).then(async (value) => {
        if (value !== db && typeof value === 'object' && value !== null && Symbol.asyncDispose in value)
          await (value as AsyncDisposable)[Symbol.asyncDispose]()
      })

      expect([before, db.bound]).toEqual([[false, 'Db { configured }'], true])
      expect(doing(db)).toBe('0 lent, 1 idle, 0 waiting')
      await db.close()
    },
  )

  test('concurrent first uses open one engine', async () => {
    const db = createDb(await driver.url(), { pool: { max: 1 } })

    const engines = await Promise.all([
      db.open(),
      db.scalar('select 1'),
      db.open(),
      db.scope(() => db.scalar('select 2')),
    ])

    expect([engines[1], engines[3], doing(db)]).toEqual([1, 2, '0 lent, 1 idle, 0 waiting'])
    await db.close()
  })

  test('a configured db has no counts before it is opened, and tells how to get them', async () => {
    const db = createDb(await driver.url())

    const error = thrownBy(() => db.stats())

    expect([error instanceof NotBoundError, error.message]).toEqual([true, expect.stringContaining('open()')])
  })

  test('bind() with a source opens it, and gives its engine', async () => {
    const db = createDb()

    const engine = await db.bind(await driver.url(), { pool: { max: 1 } })

    expect([db.bound, await db.scalar('select 1'), engine.stats()]).toEqual([true, 1, db.stats()])
    await db.close()
    expect(engine.closed).toBe(true)
  })

  test('bind() takes an engine that is open, and several dbs on it share its connections', async () => {
    await using engine = await createEngine(await driver.url(), { pool: { max: 1 } })
    const [one, two] = [createDb(), createDb()]
    await Promise.all([one.bind(engine), two.bind(engine)])
    const table = await driver.table('n int')

    await one.transaction(async () => {
      await two.status(`insert into ${table} values (1)`)
      expect([await engine.scalar(`select n from ${table}`), two.current?.raw]).toEqual([1, one.current?.raw])
    })

    expect(await two.scope(() => one.scalar('select 2'))).toBe(2)
  })

  test('a second bind is refused, whatever the first was', async () => {
    await using engine = await createEngine(await driver.url())
    const url = await driver.url()
    const bound = createDb()
    await bound.bind(engine)
    const configured = createDb(url)
    const opened = await createDb(url).open()

    const errors = [
      await caught(bound.bind(url)),
      await caught(bound.bind(engine)),
      await caught(configured.bind(url)),
      await caught(opened.bind(url)),
    ]

    expect(errors.filter((error) => !(error instanceof AlreadyBoundError))).toEqual([])
    await opened.close()
  })

  test('a bind that fails leaves the db unbound', async () => {
    const db = createDb()

    await expect(db.bind('postgres://nobody@127.0.0.1:1/nothing')).rejects.toThrow(ConnectError)

    await expect(db.all('select 1')).rejects.toThrow(NotBoundError)
    await db.bind(await driver.url())
    expect(await db.scalar('select 1')).toBe(1)
    await db.close()
  })

  test('two binds at once bind one of them', async () => {
    const db = createDb()
    const url = await driver.url()

    const ends = await Promise.allSettled([db.bind(url), db.bind(url)])

    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await db.close()
  })

  test('unbind() takes the engine away without closing it, and the db can be bound again', async () => {
    const db = await driver.db()
    const engine = db.unbind()

    await expect(db.all('select 1')).rejects.toThrow(NotBoundError)
    expect([await engine?.scalar('select 1'), db.unbind()]).toEqual([1, undefined])
    await db.bind(engine as NonNullable<typeof engine>)
    expect(await db.scalar('select 2')).toBe(2)
  })

  test('inside of a scope opened through it a db keeps its engine, bound to another one meanwhile or to none', async () => {
    await using other = await createEngine(serverUrl())
    const db = await driver.single()

    const engine = await db.scope(async (connection) => {
      const unbound = db.unbind()
      expect((await db.acquire({ reuse: true, lazy: true })).owner).toBe(false)
      await db.bind(other)
      await db.scalar('select 1')
      expect([connection.borrowed, other.stats().reserved]).toEqual([true, 0])
      return unbound
    })

    expect(db.unbind()).toBe(other)
    await db.bind(engine as NonNullable<typeof engine>)
  })

  test('close() is final: no use, no open, no bind afterwards', async () => {
    const db = await createDb(await driver.url()).open()
    await db.close()

    const errors = [
      await caught(db.open()),
      await caught(db.bind(await driver.url())),
      await caught(db.all('select 1')),
    ]

    expect(errors.map((error) => error instanceof PoolClosedError)).toEqual([true, true, true])
    expect([String(db), db.bound, db.unbind()]).toEqual(['Db { closed }', false, undefined])
  })

  test('close() while it is being opened closes what was opened', async () => {
    const db = createDb(await driver.url())
    const opening = db.open().catch((error: unknown) => error)

    await db.close()

    const end = await opening
    expect(end === db || end instanceof GeneverError).toBe(true)
    await expect(db.all('select 1')).rejects.toThrow(PoolClosedError)
  })
})

test('a URL object is taken, and not changed', async () => {
  const url = new URL(await databaseUrl())
  const before = url.href

  await using db = createDb(url)

  expect(await db.scalar('select 1')).toBe(1)
  expect(url.href).toBe(before)
})
