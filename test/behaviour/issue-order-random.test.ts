/**
 * Random calls of every kind, issued together on one connection: what they do is seen in the order in which they were issued, what cannot
 * be done is refused by name and has done nothing, and the connection comes back.
 */

import { type Connection, type Db, type Executor, TransactionStateError } from 'genever'
import { expect, test } from 'vitest'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { forEachDriver, isAtRest, type TestedDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const numRuns = sample({ once: 60, matrix: 300, soak: 20_000 })

const places = ['handle', 'on', 'scope', 'managed', 'through the transaction', 'manual', 'manual on a handle'] as const
type Place = (typeof places)[number]

/** Whether its connection has run something before, has none yet, or has to wait for one. */
const starts = ['warm', 'cold', 'waiting'] as const
type Start = (typeof starts)[number]

/** Whether its end is asked for when all calls have settled, or together with them. */
const ends = ['later', 'together'] as const
type End = (typeof ends)[number]

const writes = ['status', 'many', 'transaction', 'savepoint', 'copyFrom'] as const
const reads = ['all', 'first', 'one', 'scalar', 'cursor', 'copyTo'] as const
const others = ['undone', 'failing many', 'notify', 'lock', 'idle', 'release for now'] as const
type Kind = (typeof writes)[number] | (typeof reads)[number] | (typeof others)[number]

const program = fc.record({
  place: fc.constantFrom(...places),
  start: fc.constantFrom(...starts),
  end: fc.constantFrom(...ends),
  kinds: fc.array(fc.constantFrom<Kind>(...writes, ...reads, ...others), { minLength: 2, maxLength: 7 }),
})

interface Program {
  readonly place: Place
  readonly start: Start
  readonly end: End
  readonly kinds: readonly Kind[]
}

class Undone extends Error {}

/** Where calls go: through `executor`, or those of the database that take no handle. */
interface Here {
  readonly db: Db
  readonly executor: Executor
  readonly on: { readonly on?: Connection }
  readonly owner: Connection | null
  readonly table: string
  readonly driver: TestedDriver
}

const insert = (executor: Executor, { table, on }: Here, step: number): Promise<unknown> =>
  executor.status(`insert into ${table} (step) values (${step})`, [], on)

/** Issues one call; gives what it has seen, if it reads. */
async function issue(kind: Kind, step: number, here: Here): Promise<number | undefined> {
  const { db, executor, on, table, driver } = here
  const text = `select count(*) as n from ${table}`
  const values = `insert into ${table} (step) values (${driver.words.placeholder(1)})`
  switch (kind) {
    case 'status':
      await insert(executor, here, step)
      return
    case 'many':
      await executor.executeMany(values, [[step], [step], [step]], on)
      return
    case 'failing many':
      await executor.executeMany(
        `insert into ${table} (step, once) values (${step}, ${driver.words.placeholder(1)})`,
        [[1], [1]],
        on,
      )
      return
    case 'all':
      return (await executor.all<{ n: number }>(text, [], on))[0]?.n
    case 'first':
      return (await executor.first<{ n: number }>(text, [], on))?.n
    case 'one':
      return (await executor.one<{ n: number }>(text, [], on)).n
    case 'scalar':
      return executor.scalar<number>(text, [], on)
    case 'cursor': {
      const [row] = await executor.iterate<{ n: number }>(text, [], on).read(2)
      return row?.n
    }
    case 'copyTo': {
      const pieces: Uint8Array[] = []
      for await (const piece of db.copyTo(text, { on: on.on ?? executor })) pieces.push(piece)
      return Number(Buffer.concat(pieces).toString())
    }
    case 'copyFrom':
      await db.copyFrom(`${table} (step)`, { on: on.on ?? executor }).from(`${step}\n`)
      return
    case 'transaction':
    case 'undone':
      return executor.transaction(async (tx) => {
        await insert(tx, { ...here, on: {} }, step)
        await new Promise((resolve) => setImmediate(resolve))
        const seen = await tx.scalar<number>(text)
        await insert(tx, { ...here, on: {} }, step)
        if (kind === 'undone') throw new Undone()
        return seen === undefined ? undefined : seen - 1
      }, on)
    case 'savepoint': {
      return executor.transaction(async (tx) => {
        await Promise.all([
          insert(tx, { ...here, on: {} }, step),
          tx.transaction((inner) => insert(inner, { ...here, on: {} }, step)),
          insert(tx, { ...here, on: {} }, step),
        ])
        return undefined
      }, on)
    }
    case 'notify':
      await db.notify('issued', '')
      return
    case 'lock':
      return executor.transaction(
        () =>
          db.lock('issued', async () => {
            await insert(db, { ...here, on: {} }, step)
            return undefined
          }),
        on,
      )
    case 'idle':
      await (here.owner ?? db).idle(() => new Promise<void>((resolve) => setImmediate(resolve)))
      return
    case 'release for now':
      await here.owner?.release({ permanent: false })
      return
  }
}

const rowsOf: Partial<Record<Kind, number>> = { status: 1, many: 3, transaction: 2, savepoint: 3, copyFrom: 1, lock: 1 }
/** A transaction is open for them, or they may have left something in the session. */
const keepers: ReadonlySet<Kind> = new Set<Kind>(['transaction', 'savepoint', 'undone', 'lock', 'copyFrom'])
/** An end that is asked for together with these waits for them, wherever they are. */
const plain: ReadonlySet<Kind> = new Set<Kind>(['status', 'many', 'all', 'first', 'one', 'scalar', 'notify'])
const readers: ReadonlySet<Kind> = new Set<Kind>([...reads, 'transaction'])

interface Expected {
  readonly rows: readonly number[]
  readonly seen: readonly (number | undefined | 'refused' | 'failed')[]
}

/** What the calls do, one after the other. */
function expected(kinds: readonly Kind[], inTransaction: boolean, driver: TestedDriver): Expected {
  const rows: number[] = []
  const seen: (number | undefined | 'refused' | 'failed')[] = []
  let holds = false
  let keeps = false
  for (const [step, kind] of kinds.entries()) {
    const refused = holds ? kind !== 'idle' : kind === 'release for now' && keeps
    if (refused) {
      seen.push('refused')
      continue
    }
    keeps ||= keepers.has(kind)
    if (kind === 'undone' || kind === 'failing many') seen.push('failed')
    else seen.push(readers.has(kind) ? rows.length : undefined)
    for (let i = 0; i < (rowsOf[kind] ?? 0); i++) rows.push(step)
    if (kind === 'copyTo' || (kind === 'cursor' && (!inTransaction || driver.name === 'mysql'))) holds = true
  }
  return { rows, seen }
}

/** Not every database has all of them, and not every place. */
function possible(kind: Kind, place: Place, driver: TestedDriver): boolean {
  const { name } = driver
  if (kind === 'copyFrom' || kind === 'copyTo') return name === 'socket' || name === 'pg'
  if (kind === 'release for now') return place === 'handle' || place === 'on'
  if ((kind === 'lock' || kind === 'notify') && name === 'mysql') return false
  if (kind === 'lock' || kind === 'notify')
    return place === 'scope' || place === 'managed' || place === 'through the transaction'
  if (kind === 'idle') return place === 'handle' || place === 'on' || place === 'scope'
  return true
}

async function run(driver: TestedDriver, db: Db, table: string, { place, start, end, kinds }: Program): Promise<void> {
  const { rows, seen } = expected(kinds, inTransaction(place), driver)
  await db.status(`delete from ${table}`)
  const together = end === 'together' && kinds.every((kind) => plain.has(kind))
  const all = async (here: Here, then: () => unknown = () => {}): Promise<void> => {
    if (start === 'warm') await here.executor.scalar('select 1', [], here.on)
    const calls = kinds.map((kind, step) => issue(kind, step, here))
    const ending = then()
    const results = await Promise.allSettled(calls)
    await ending
    const got = results.map((result) => {
      if (result.status === 'fulfilled') return result.value
      if (result.reason instanceof TransactionStateError) return 'refused'
      return result.reason instanceof Undone || /unique|duplicate/i.test(String(result.reason))
        ? 'failed'
        : String(result.reason)
    })
    expect(got).toEqual(seen)
  }
  const first: Here = { db, executor: db, on: {}, owner: null, table, driver }
  const holder = start === 'waiting' && !inTransaction(place) ? await db.acquire() : null
  const free = (): unknown => holder?.release()
  switch (place) {
    case 'handle':
    case 'on': {
      await using owner = await db.acquire({ lazy: true })
      // While it waits for its first connection a release refuses what waits with it.
      const then = together && start === 'warm' ? () => owner.release() : free
      await all({ ...first, owner, ...(place === 'on' ? { on: { on: owner } } : { executor: owner }) }, then)
      break
    }
    case 'scope':
      await db.scope(() => all(first, free))
      break
    case 'managed':
    case 'through the transaction':
      await db.transaction((tx) => all({ ...first, executor: place === 'managed' ? db : tx }))
      break
    case 'manual':
    case 'manual on a handle': {
      await using owner = place === 'manual' ? null : await db.acquire()
      await using tx = await (owner ?? db).begin()
      await all({ ...first, executor: owner ?? tx }, together ? () => tx.commit() : free)
      if (!together) await tx.commit()
    }
  }
  await until(() => isAtRest(db))
  const found = await db.all<{ step: number }>(`select step from ${table} order by id`)
  expect(found.map(({ step }) => step)).toEqual(rows)
}

const inTransaction = (place: Place): boolean => place !== 'handle' && place !== 'on' && place !== 'scope'

forEachDriver((driver) => {
  test('calls that are issued together have their effects in that order', async () => {
    const db = await driver.single({ pool: { acquireTimeoutMs: 20_000 } })
    const table = await driver.table(`${driver.words.id}, step int, once int unique`)
    await fc.assert(
      fc.asyncProperty(program, ({ kinds, ...rest }) =>
        run(driver, db, table, { ...rest, kinds: kinds.filter((kind) => possible(kind, rest.place, driver)) }),
      ),
      { numRuns },
    )
  })
})
