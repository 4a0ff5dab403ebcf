/** The context does not grow and keeps nothing alive, however long code goes on in it. */

import { createDb, type Db } from 'genever'
import { expect, test } from 'vitest'
import { FakeDriver } from '../support/fake/driver.ts'
import { currentChain } from '../../src/engine/context/chain.ts'
import { runScript } from '../support/script.ts'

/** How many frames the code that is running can see. */
function depth(): number {
  let frames = 0
  for (let link = currentChain(); link !== undefined; link = link.next) frames++
  return frames
}

/** A worker that starts itself again from inside of what it runs in; the greatest depth it saw. */
function reschedule(times: number, enter: (work: () => void) => Promise<unknown>): Promise<number> {
  return new Promise((resolve, reject) => {
    let left = times
    let deepest = 0
    const tick = (): void => {
      enter(() => {
        deepest = Math.max(deepest, depth())
        if (--left === 0) resolve(deepest)
        else setImmediate(tick)
      }).catch(reject)
    }
    tick()
  })
}

function open(): Promise<Db> {
  return createDb({ driver: new FakeDriver() }).open()
}

test('a worker that reschedules itself 200,000 times from its scope has one frame and one end marker', async () => {
  await using db = await open()

  expect(await reschedule(200_000, (work) => db.scope(work))).toBeLessThanOrEqual(2)
})

const entries: Readonly<Record<string, (db: Db, other: Db, work: () => void) => Promise<unknown>>> = {
  'a scope of its own': (db, _, work) => db.scope(work, { reuse: false }),
  'a scope that is not reusable': (db, _, work) => db.scope(work, { reuse: false, reusable: false }),
  'a scope that only adds a limit of time': (db, _, work) =>
    db.scope(() => db.scope(work, { query: { timeoutMs: 60_000 } })),
  'detached work': (db, _, work) => db.detached(work),
  'detached work with settings': (db, _, work) => db.detached(work, { settings: { 'app.tenant': '7' } }),
  'a detached scope': (db, _, work) => db.detached(() => db.scope(work, { settings: { 'app.tenant': '7' } })),
  'a detached transaction': (db, _, work) => db.detached(() => db.transaction(work)),
  'a handle': (db, _, work) =>
    db.acquire({ lazy: true }).then(async (connection) => {
      await connection.run(work)
      await connection.release()
    }),
  withBind: async (db, other, work) => {
    const engine = await db.withBind(await engineOf(other), (bound) => bound)
    return db.withBind(engine, work)
  },
  'scopes of two engines': (db, other, work) => db.scope(() => other.scope(work)),
}

test.each(Object.entries(entries))('it is as short for any way to go round: %s', async (_, enter) => {
  await using db = await open()
  await using other = await open()

  // Two frames at a time, and one marker for each engine and each db.
  expect(await reschedule(2_000, (work) => enter(db, other, work))).toBeLessThanOrEqual(6)
})

test('a chain of live frames is as long as their number', async () => {
  await using db = await open()
  const nest = (levels: number): Promise<number> =>
    levels === 0 ? Promise.resolve(depth()) : db.scope(() => nest(levels - 1), { reuse: false })

  expect([depth(), await nest(1), await nest(20), depth()]).toEqual([0, 1, 20, 0])
})

/** The engine of a db that is open. */
async function engineOf(db: Db): Promise<Parameters<Db['withBind']>[0] & object> {
  const engine = db.unbind()
  if (engine === undefined) throw new Error('not open')
  await db.bind(engine)
  return engine
}

const preamble = `
import { createDb } from 'genever'
import { FakeDriver } from 'genever/testing'
import { AsyncLocalStorage } from 'node:async_hooks'
const db = await createDb({ driver: new FakeDriver({ answer: () => [[1]] }) }).open()
const request = new AsyncLocalStorage()
/** Whether what work returns a WeakRef of is collected once it is over. */
async function collected(work) {
  const ref = await work()
  for (let i = 0; i < 50; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    global.gc()
    if (ref.deref() === undefined) return true
  }
  return false
}
`

const kept: Readonly<Record<string, string>> = {
  'the connection and the data of a finished request': `
    const work = async () => {
      const data = { big: new Array(1e5).fill(7) }
      return await request.run(data, () => db.scope(async (connection) => {
        await connection.scalar('select 1')
        await db.transaction(async (tx) => { await tx.scalar('select 2') })
        return new WeakRef(data)
      }))
    }
    console.log(await collected(work))`,
  'the handle of a scope that a timer was started in': `
    const work = () => db.scope(async (connection) => {
      await connection.scalar('select 1')
      setInterval(() => {}, 10).unref()
      return new WeakRef(connection)
    })
    console.log(await collected(work))`,
  'the handle of a scope that a worker left in it still goes on from': `
    const work = () => db.scope(async (connection) => {
      await connection.scalar('select 1')
      void (async () => { for (;;) { await new Promise((r) => setTimeout(r, 5).unref()); await db.scope(() => {}) } })()
      return new WeakRef(connection)
    })
    console.log(await collected(work))`,
  'the handle of a scope that a worker detached itself from': `
    const work = () => db.scope(async (connection) => {
      await connection.scalar('select 1')
      void db.detached(async () => { for (;;) { await new Promise((r) => setTimeout(r, 5).unref()); await db.scope(() => {}) } })
      return new WeakRef(connection)
    })
    console.log(await collected(work))`,
  'the request in which another database was opened lazily': `
    const other = createDb({ driver: new FakeDriver({ answer: () => [[1]] }) })
    const work = async () => {
      const data = { big: new Array(1e5).fill(7) }
      return await request.run(data, () => db.scope(async () => {
        await other.scalar('select 1')
        await other.scope((connection) => connection.scalar('select 2'))
        return new WeakRef(data)
      }))
    }
    console.log(await collected(work), other.stats().open)`,
  'the request in which another database was opened': `
    const other = createDb({ driver: new FakeDriver({ answer: () => [[1]] }) })
    const work = async () => {
      const data = { big: new Array(1e5).fill(7) }
      return await request.run(data, async () => {
        await other.open()
        return new WeakRef(data)
      })
    }
    console.log(await collected(work), await other.scalar('select 1'))`,
  'the request in which the pool grew': `
    const held = await db.acquire()
    const work = async () => {
      const data = { big: new Array(1e5).fill(7) }
      return await request.run(data, async () => {
        await db.scope((connection) => connection.scalar('select 1'))
        return new WeakRef(data)
      })
    }
    console.log(await collected(work), db.stats().open)
    await held.release()`,
}

test.each(Object.entries(kept))('nothing keeps %s alive', async (_, text) => {
  const { stdout, stderr, code } = await runScript(preamble + text)

  expect({ stdout, stderr, code }).toEqual({ stdout: expect.stringMatching(/^true( \d)?$/), stderr: '', code: 0 })
})

test('those who have waited for a connection do not keep those alive who waited behind them', async () => {
  const { stdout, stderr, code } = await runScript(`
import v8 from 'node:v8'
import { createDb } from 'genever'
import { FakeDriver } from 'genever/testing'
const db = await createDb({ driver: new FakeDriver({ answer: () => [[1]] }), pool: { max: 2 } }).open()
let done = 0
const loop = async (times) => {
  while (times-- > 0) {
    await db.transaction(async (tx) => { await tx.scalar('select 1') })
    // Whatever has outlived two of these is counted as old, and is looked at by nobody until all is.
    if (++done % 500 === 0) global.gc({ type: 'minor' })
  }
}
const transactions = (times, loops) => Promise.all(Array.from({ length: loops }, () => loop(times / loops)))
const old = () => v8.getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space').space_used_size
const grown = async (loops) => {
  await transactions(2_000, loops)
  global.gc()
  const before = old()
  await transactions(8_000, loops)
  return (old() - before) / 8_000
}
// The driver remembers what it was sent.
const unhindered = await grown(2)
console.log(Math.round((await grown(40)) - unhindered))
process.exit()`)

  expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
  // Bytes for each.
  expect(Number(stdout)).toBeLessThan(300)
})
