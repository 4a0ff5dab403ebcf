/**
 * Scopes at random on few connections: settings, roles, pins, temporary tables, transactions, cursors, reads together, waits,
 * functions that leave something behind, sequences, statements that are cancelled. Each step checks what it was given, and
 * callers without a scope check that nothing of all that has reached them.
 */

import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { type Connection, createDb, type Db, isGeneverError } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { random } from '../support/junk.ts'
import { quiet } from '../support/matrix.ts'

const schema = `create table items (id serial primary key, owner int not null); create index on items (owner);
  create function leave(what text) returns text language sql as $$ select set_config('app.left', what, false) $$;
  create function draw(owner int) returns int language sql as $$ insert into items (owner) values (owner) returning id $$;
  grant all on items to pg_monitor; grant all on items_id_seq to pg_monitor`

/** As many as asked for, shared out to the pools. */
const scopes = Math.ceil(sample({ once: 400, matrix: 2_000, soak: 100_000 }) / 4)
const atOnce = 12
const first = sampleSeed(1)

interface Scope {
  readonly db: Db
  readonly own: Connection
  readonly me: number
  readonly settings: boolean
  readonly below: (n: number) => number
  /** How many rows it has committed. */
  rows: number
  /** What it has done to its session, which has to stay. */
  pinned: boolean
  left: boolean
  temporary: boolean
}

type Step = (scope: Scope) => Promise<unknown>

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase(schema)
})
afterAll(() => database.drop())

/** Settings of a scope, or what a statement may find of somebody else's. */
const mine = (db: Db): Promise<string | undefined> => db.scalar<string>("select current_setting('app.me', true)")
const isMine = ({ me, settings }: Scope, seen: unknown): void =>
  expect(seen === null ? '' : seen).toBe(settings ? String(me) : '')
const owned = (db: Db, me: number): Promise<number> =>
  db.scalar<number>('select count(*)::int from items where owner = $1', [me]).then(Number)
const add = (db: Db, me: number): Promise<unknown> => db.status('insert into items (owner) values ($1)', [me])

const together: Step = async (scope) => {
  const { db, me, below } = scope
  const reads = Array.from({ length: 2 + below(4) }, () =>
    db.one<{ me: string | null; n: number }>(
      "select current_setting('app.me', true) as me, $1::int as n from pg_sleep(0.001)",
      [me],
    ),
  )
  const before = owned(db, me)
  const written = below(2) === 0 ? add(db, me) : null
  const after = owned(db, me)
  for (const read of await Promise.all(reads)) {
    isMine(scope, read.me)
    expect(read.n).toBe(me)
  }
  await written
  expect(await before).toBe(scope.rows)
  if (written !== null) scope.rows++
  expect(await after).toBe(scope.rows)
}

const transaction: Step = async (scope) => {
  const { db, me, below } = scope
  const end = below(4)
  const work = db.transaction(async (tx) => {
    await add(db, me)
    if (below(2) === 0) await sleep(below(3))
    await db
      .transaction(async () => {
        await add(db, me)
        throw new RangeError('nested')
      })
      .catch((error: unknown) => {
        if (!(error instanceof RangeError)) throw error
      })
    if (below(2) === 0) void db.executeMany('insert into items (owner) values ($1)', [[me], [me]])
    else await Promise.all([add(db, me), add(db, me)])
    expect(await tx.scalar('select $1::int', [me])).toBe(me)
    isMine(scope, await mine(db))
    if (end === 0) tx.raiseRollback()
    if (end === 1) throw new TypeError('out')
  })
  await work.catch((error: unknown) => {
    if (!(error instanceof TypeError)) throw error
  })
  if (end > 1) scope.rows += 3
  expect(await owned(db, me)).toBe(scope.rows)
}

const cursor: Step = async ({ db, me, below }) => {
  const [length, stop] = [1 + below(7), below(9)]
  let seen = 0
  const rows = db.iterate<{ n: number }>('select $1::int + n as n from generate_series(1, $2::int) n', [me, length], {
    batchSize: 1 + below(3),
  })
  for await (const { n } of rows) {
    expect(n).toBe(me + ++seen)
    if (below(4) === 0) await sleep(below(2))
    if (seen === stop) break
  }
  expect(seen).toBe(stop === 0 ? length : Math.min(stop, length))
}

const sequence: Step = async (scope) => {
  const { db, me, below } = scope
  await add(db, me)
  scope.rows++
  if (below(2) === 0) await sleep(below(4))
  const asked = await db
    .scalar(below(2) === 0 ? 'select lastval()' : "select currval('items_id_seq')")
    .catch((error: unknown) => {
      if (!isGeneverError(error, 'SESSION_MOVED')) throw error
      return null
    })
  if (asked !== null) expect(await db.scalar('select owner from items where id = $1', [asked])).toBe(me)
}

const steps: readonly Step[] = [
  async ({ db, me }) => expect(await db.scalar('select $1::int + 1', [me])).toBe(me + 1),
  async (scope) => isMine(scope, await mine(scope.db)),
  async (scope) =>
    isMine(scope, (await scope.own.one<{ me: string | null }>("select current_setting('app.me', true) as me")).me),
  ({ below }) => sleep(below(4)),
  ({ below }) => sleep(below(4)),
  () => immediate(),
  ({ db, below }) => db.idle(() => sleep(below(3))),
  together,
  transaction,
  cursor,
  sequence,
  async (scope) => {
    await scope.db.status(`set app.pinned = 'of ${scope.me}'`)
    scope.pinned = true
  },
  async ({ db, me, pinned }) => {
    if (pinned) expect(await db.scalar("select current_setting('app.pinned')")).toBe(`of ${me}`)
  },
  async (scope) => {
    const { db, me } = scope
    if (!scope.temporary) await db.status('create temp table kept (owner int)')
    scope.temporary = true
    await db.status('insert into kept values ($1)', [me])
    expect(await db.all('select distinct owner from kept')).toEqual([{ owner: me }])
  },
  async (scope) => {
    await scope.db.scalar('select leave($1)', [`by ${scope.me}`])
    scope.left = true
  },
  async ({ db, me, left }) => {
    if (left) expect(await db.scalar("select current_setting('app.left')")).toBe(`by ${me}`)
  },
  async (scope) => {
    const { db, me, below } = scope
    const id = await db.scalar('select draw($1)', [me])
    scope.rows++
    await sleep(below(3))
    expect(await db.scalar('select owner from items where id = $1', [id])).toBe(me)
  },
  async ({ db }) => {
    const error: unknown = await db
      .scalar('select pg_sleep(600)', [], { timeoutMs: 2 })
      .catch((thrown: unknown) => thrown)
    expect(['QueryTimeoutError', 'AcquireTimeoutError']).toContain((error as Error).name)
  },
  async ({ db }) => {
    const error: unknown = await db.scalar('select 1/0').catch((thrown: unknown) => thrown)
    expect((error as { sqlState?: string }).sqlState).toBe('22012')
  },
]

/** A scope of some steps; the same number has the same steps. */
async function run(db: Db, me: number): Promise<void> {
  const below = random(me)
  const kind = below(8)
  const settings =
    kind < 3 ? { 'app.me': String(me) } : kind === 3 ? { 'app.me': String(me), role: 'pg_monitor' } : undefined
  await db.scope(
    async (own) => {
      const scope: Scope = {
        db,
        own,
        me,
        below,
        settings: settings !== undefined,
        rows: 0,
        pinned: false,
        left: false,
        temporary: false,
      }
      for (let i = 2 + below(6); i > 0; i--) await steps[below(steps.length)]?.(scope)
      if (kind === 3) expect(await db.scalar('select current_user')).toBe('pg_monitor')
      if (scope.rows > 0) expect(await owned(db, me)).toBe(scope.rows)
    },
    { ...(settings === undefined ? {} : { settings }), hold: below(10) === 0 },
  )
}

const foreign = `select concat(current_setting('app.me', true), current_setting('app.pinned', true), current_setting('app.left', true),
  to_regclass('pg_temp.kept')::text, nullif(current_user, session_user))`

test.each([1, 2, 3, 20])(
  'every scope has what is its own, and nothing else: pool of %i',
  { timeout: 3_600_000 },
  async (max) => {
    // A machine that is slow to stop or clean a session costs no scope what it holds.
    const patience = { cancelTimeoutMs: 60_000, resetTimeoutMs: 60_000 }
    await using db = createDb(database.url, { ...patience, pool: { max, acquireTimeoutMs: 60_000 } })
    const wrong: string[] = []
    const on = { running: true }
    let next = first + max * 1_000_000
    const end = next + scopes
    const worker = async (): Promise<void> => {
      while (next < end) {
        const me = next++
        await run(db, me).catch((error: unknown) => wrong.push(`scope ${me}: ${String(error)}`))
      }
    }
    const beside = async (): Promise<void> => {
      while (on.running) {
        const seen = await db.scalar(foreign).catch(String)
        if (seen !== '') wrong.push(`without a scope: ${String(seen)}`)
        await sleep(1)
      }
    }
    const others = [beside(), beside()]
    await Promise.all(Array.from({ length: atOnce }, worker))
    on.running = false
    await Promise.all(others)

    expect(wrong).toEqual([])
    await quiet(db)
    if (max < atOnce) expect(db.stats().recalls).toBeGreaterThan(0)
  },
)
