/**
 * Reads that are issued together in a scope run side by side on connections that nobody uses or wants. What may change
 * anything keeps its place among them.
 */

import { createDb, type Db, type EngineOptions } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl, freshDatabase, urlForPg } from '../support/database.ts'
import { functionsKnown } from '../support/functions.ts'
import { gate } from '../support/gate.ts'
import { heldTable } from '../support/held-table.ts'
import { pid, postgres, quiet } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { leaseChannel, type LeaseEvent } from '../../src/observe/channels.ts'

const { words } = postgres
/** A read of this value, or column of a pause, that takes so long. */
const lasting = (value: number | string, seconds: number | string): string =>
  `select ${value} from (${words.sleep(seconds)}) as pause`
const slow = lasting(1, 0.08)
let made = 0

async function warm(options: EngineOptions = {}): Promise<Db> {
  const name = `spare reads ${++made}`
  // A URL that names no driver takes any.
  const url = options.driver === undefined ? await databaseUrl() : urlForPg(await databaseUrl())
  const db = createDb(url, { name, ...options, pool: { min: 5, max: 5, ...options.pool } })
  await db.open()
  await functionsKnown(db)
  await until(() => db.stats().idle === 5)
  return db
}

async function table(db: Db): Promise<string> {
  const name = `spare_${process.pid}_${++made}`
  await db.status(`create table ${name} (v int)`)
  return name
}

/** The most connections that were lent at one moment while `work` ran. */
async function mostLent(db: Db, work: () => Promise<unknown>): Promise<number> {
  const { name } = await db.engineHere()
  let [lent, most] = [db.stats().reserved, 0]
  const count = ({ engine, event }: LeaseEvent): void => {
    if (engine !== name) return
    lent += event === 'acquire' ? 1 : -1
    most = Math.max(most, lent)
  }
  leaseChannel.subscribe(count)
  await work().finally(() => leaseChannel.unsubscribe(count))
  return most
}

/** A driver that sends several statements at once on one connection finds out first which of them take long. */
async function knownSlow(db: Db, text: string): Promise<void> {
  const two = (): Promise<unknown> => Promise.all([db.scalar(text), db.scalar(text)])
  await until(async () => (await side(db, two)) === 2, { what: 'two of them run side by side' })
}

/** … in a scope. */
const side = (db: Db, work: () => Promise<unknown>): Promise<number> => mostLent(db, () => db.scope(work))

test('five reads in one scope run on five connections, and all go back', async () => {
  await using db = await warm()
  await knownSlow(db, slow)

  const most = await side(db, () => Promise.all(Array.from({ length: 5 }, () => db.scalar(slow))))

  expect(most).toBe(5)
  await until(() => db.stats().idle === 5)
})

test('reads that have not run yet run side by side, and those that were quick stay together from then on', async () => {
  await using db = await warm({ driver: 'socket' })
  const texts = (from: number): string[] => Array.from({ length: 5 }, (_, n) => `select ${from + n} as fresh`)
  const together = (some: readonly string[]): Promise<number> =>
    side(db, () => Promise.all(some.map((text) => db.scalar(text))))

  expect(await together(Array.from({ length: 5 }, (_, n) => lasting(n, 0.05)))).toBe(5)
  // On a busy machine a quick one may look slow for a while.
  await until(async () => (await together(texts(10))) === 1, { what: 'quick ones stay together' })
  expect(await together(texts(20))).toBe(5)
})

test('a driver that sends several at once keeps quick reads on one connection; what takes long, or stands behind that, leaves', async () => {
  await using db = await warm({ driver: 'socket' })
  const reads = (...texts: string[]): Promise<number> =>
    side(db, () => Promise.all(texts.map((text) => db.scalar(text))))
  const quick = (n: number): string => `select ${n}`

  // On a busy machine a quick one may look slow for a while.
  await until(async () => (await reads(quick(1), quick(2), quick(3))) === 1, { what: 'quick ones run on one' })
  await knownSlow(db, slow)
  expect(await reads(slow, quick(4))).toBe(2)
  expect(await reads(quick(5), slow)).toBe(2)
  await until(async () => (await reads(quick(1), quick(2), quick(3))) === 1, { what: 'quick ones still run on one' })
})

test.each<[string, (db: Db) => Promise<unknown>]>([
  ['a function of the user', (db) => db.scalar('select my_own(:n)', { n: 1 }).catch(() => {})],
  ['SET', (db) => db.status("set application_name = 'x'")],
  ['a write', (db) => db.status('create temporary table if not exists w ()')],
])('after %s no read leaves the connection', async (_, before) => {
  await using db = await warm()

  const most = await side(db, async () => {
    await before(db)
    await Promise.all([db.scalar(slow), db.scalar(slow)])
  })

  expect(most).toBe(1)
})

test('what a function of the user set holds for every read that comes with it and after it', async () => {
  await using database = await freshDatabase(
    `create function set_tenant(t text) returns text language sql as $$ select set_config('app.tenant', t, false) $$`,
  )
  await using db = createDb(database.url, { pool: { min: 4, max: 4 } })
  await db.open()
  await until(() => db.stats().idle === 4)
  const read = (): Promise<string | undefined> => db.scalar<string>("select current_setting('app.tenant', true)")

  const seen = await db.scope(async () => [
    await Promise.all([db.scalar("select set_tenant('7')"), read(), read()]),
    await Promise.all([read(), read(), read()]),
  ])

  expect(seen).toEqual([
    ['7', '7', '7'],
    ['7', '7', '7'],
  ])
})

test('nor does any in a transaction, with hold, with pool.spareReads: false, or when it asks for its session', async () => {
  await using db = await warm()
  await using off = await warm({ pool: { spareReads: false } })
  const two = (on: Db, text = slow): Promise<unknown> => Promise.all([on.scalar(text), on.scalar(text)])

  expect(await side(db, () => db.transaction(() => two(db)))).toBe(1)
  expect(await side(off, () => two(off))).toBe(1)
  expect(await side(db, () => two(db, `${words.session} from (${words.sleep(0.05)}) as pause`))).toBe(1)
  expect(await side(db, () => db.scope(() => two(db), { hold: true }))).toBe(1)
})

test('a write that is issued after reads waits for all of them, and a read that is issued after it sees it', async () => {
  await using db = await warm()
  const t = await table(db)
  const read = (ms: number): Promise<number | undefined> =>
    db.scalar<number>(lasting(`(${words.count(t)})`, ':seconds'), { seconds: ms / 1000 })

  const seen = await db.scope(() =>
    Promise.all([
      read(20),
      read(80),
      read(50),
      db.status(`insert into ${t} values (1)`).then(() => 'written'),
      read(1),
      read(1),
    ]),
  )

  expect(seen).toEqual([0, 0, 0, 'written', 1, 1])
})

test.each<readonly [string, (db: Db) => Promise<unknown>, EngineOptions]>([
  ['a transaction', (db) => db.transaction(() => db.scalar('select 1')), {}],
  ['a call of a function of the user', (db) => caught(db.scalar('select no_such_function()')), {}],
  ['SET', (db) => db.status("set application_name = 'y'"), {}],
  ['release()', (db) => db.current!.release(), {}],
  ['rawConnection()', (db) => db.current!.rawConnection(), { driver: 'pg' }],
])('%s waits for reads on other connections', async (_, next, options) => {
  await using db = await warm(options)
  const order: string[] = []

  await db.scope(async () => {
    const reads = [
      db.scalar(lasting(1, 0.02)).then(() => order.push('own')),
      db.scalar(lasting(1, 0.06)).then(() => order.push('other')),
    ]
    await next(db)
    order.push('next')
    await Promise.all(reads)
  })

  expect(order.toSorted()).toEqual(['next', 'other', 'own'])
  expect(order.at(-1)).toBe('next')
})

test('the end of a scope waits for them as for its own', async () => {
  await using db = await warm()
  const ended: string[] = []

  await db.scope(() => {
    void db.scalar('select 1').then(() => ended.push('own'))
    void db.scalar(lasting(1, 0.05)).then(() => ended.push('other'))
    return Promise.resolve()
  })
  await until(() => ended.length === 2)

  expect(ended.toSorted()).toEqual(['other', 'own'])
  await until(() => db.stats().idle === 5)
})

test('a read is cancelled on the connection it runs on', async () => {
  await using db = await warm()

  await db.scope(async () => {
    const own = db.scalar(slow)
    const error = await caught(db.scalar(words.sleep(60), [], { timeoutMs: 30 }))
    expect(error.name).toBe('QueryTimeoutError')
    expect(await own).toBe(1)
  })

  await until(() => db.stats().idle === 5)
})

test('close() while they run waits for them, and breaks none', async () => {
  const db = await warm()
  await using held = await heldTable()
  const read = `select n from ${held.name}, (${words.sleep(0.02)}) as pause`
  await held.free()
  await knownSlow(db, read)
  await held.hold()
  const reads = db.scope(() => Promise.all(Array.from({ length: 4 }, () => db.scalar(read))))
  await until(() => db.stats().reserved === 4)

  const closing = db.close({ timeoutMs: 30_000 })
  await held.free()

  expect([await reads, (await closing).broken]).toEqual([[1, 1, 1, 1], []])
})

test('one that meets a dead connection is sent again', async () => {
  await using db = await warm()
  const sessions = await Promise.all(Array.from({ length: 5 }, () => db.transaction((tx) => pid(tx))))
  expect(new Set(sessions).size).toBe(5)
  await until(() => db.stats().idle === 5)

  const answers = await db.scope(async () => {
    const own = await pid(db)
    for (const session of sessions) if (session !== own) await postgres.kill(session)
    return Promise.all([db.scalar(slow), db.scalar(slow), db.scalar(slow)])
  })

  expect(answers).toEqual([1, 1, 1])
})

test('none takes a connection that somebody waits for', async () => {
  await using db = createDb(await databaseUrl(), { pool: { min: 2, max: 2 } })
  await db.open()
  await until(() => db.stats().idle === 2)
  await using held = await heldTable()
  const read = `select n from ${held.name}`
  const leaves = gate()
  let spares = 0
  let waiter: Promise<unknown> = Promise.resolve()

  await db.scope(async () => {
    const gone = db.detached(() => db.transaction(() => leaves.promise))
    await until(() => db.stats().reserved === 1)
    const own = db.scalar(read)
    waiter = db.detached(() => db.transaction(() => db.scalar('select 1')))
    await until(() => db.stats().waiting === 1)
    const other = db.scalar(read)
    spares = db.stats().reserved - 2
    leaves.open()
    await held.free()
    await Promise.all([gone, own, other])
  })
  await waiter

  expect(spares).toBe(0)
})

test.each(['before', 'between', 'after'])(
  'nor one that somebody asks for in the same turn, %s the reads: all are answered',
  async (comes) => {
    await using db = createDb(await databaseUrl(), { pool: { min: 2, max: 2 } })
    await db.open()
    await functionsKnown(db)
    await until(() => db.stats().idle === 2)
    await using held = await heldTable()
    const order: string[] = []
    const ask = (): Promise<unknown> => db.detached(() => db.transaction(() => db.scalar('select 7')))
    const read = (name: string): Promise<unknown> =>
      db.scalar(`select n from ${held.name}`).then(() => order.push(name))
    await db.scope(async () => {
      const asked = (when: string): Promise<unknown>[] =>
        when === comes ? [ask().then((answer) => order.push(`waiter ${String(answer)}`))] : []
      const all = [asked('before'), read('own'), asked('between'), read('second'), asked('after')].flat()
      if (comes !== 'after') await until(() => order.length > 0, { what: 'it is answered while both reads wait' })
      await held.free()
      await Promise.all(all)
    })

    expect(order.toSorted()).toEqual(['own', 'second', 'waiter 7'])
  },
)

test('settings go with them, and only reads known not to be quick leave where settings have to be sent', async () => {
  await using db = await warm()
  const text = lasting("current_setting('app.tenant')", 0.03)
  const run = (tenant: string): Promise<unknown> =>
    db.scope(() => Promise.all(Array.from({ length: 4 }, () => db.scalar(text))), {
      settings: { 'app.tenant': tenant },
    })

  expect(await run('7')).toEqual(['7', '7', '7', '7'])
  await until(() => db.stats().idle === 5)
  const both = (): Promise<number> =>
    mostLent(db, async () =>
      expect(await Promise.all([run('8'), run('9')])).toEqual([Array(4).fill('8'), Array(4).fill('9')]),
    )
  // On a busy machine a slow one may look quick for a while.
  await until(async () => (await both()) > 2, { what: 'two scopes use more than two connections' })
  expect(await db.scalar("select coalesce(current_setting('app.tenant', true), '')")).toBe('')
})

test('reads that wait for each other make a small pool grow', async () => {
  await using db = createDb(await databaseUrl(), { pool: { max: 4 } })
  await db.open()
  const five = (): Promise<unknown> => db.scope(() => Promise.all(Array.from({ length: 5 }, () => db.scalar(slow))))

  await until(() => five().then(() => db.stats().open > 1), { what: 'the pool has grown' })
})

test('a connection that dies while reads run side by side costs at most its own read, and the scope goes on', async () => {
  await using database = await freshDatabase('create table held as select 1 as n')
  const mark = `from held, (${words.sleep(0.02)}) as pause /* edges ${process.pid} */`
  await using db = createDb(database.url, { pool: { min: 4, max: 4 } })
  await db.open()
  await until(() => db.stats().idle === 4)
  await functionsKnown(db)
  await knownSlow(db, `select 0 ${mark}`)
  await using locker = createDb(database.url, { pool: { max: 1 } })
  await db.scope(async () => {
    let reads: Promise<unknown>[] = []
    // They run for as long as the table is locked.
    await locker.transaction(async () => {
      await locker.status('lock table held in access exclusive mode')
      reads = [0, 1, 2, 3].map((n) => db.scalar(`select ${n} ${mark}`).catch((error: unknown) => (error as Error).name))
      await until(async () => (await postgres.running(mark)) === 4)
      for (const session of await postgres.runners(`select 2 ${mark}`)) await postgres.kill(session)
    })
    const answers = await Promise.all(reads)
    expect([answers[0], answers[1], answers[3]]).toEqual([0, 1, 3])
    expect([2, 'ConnectionLostError']).toContain(answers[2])
    expect(await db.scalar('select 5')).toBe(5)
  })
  await quiet(db)
})
