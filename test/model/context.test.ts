/**
 * The rules of the context against a model of them: random programs run on a real server and on the model, and every step
 * sees the same connection, settings, rows and errors on both. Once with connections for all, and once while others wait
 * for connections all the time, so that every scope that is quiet is recalled.
 */

import { fc } from '../support/fast-check.ts'
import { createDb, type Db } from 'genever'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase, type FreshDatabase } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { functionsKnown } from '../support/functions.ts'
import { until } from '../support/until.ts'
import { Database } from './database.ts'
import { Model, type Session } from './model.ts'
import { type Entry, Play, type Seen } from './play.ts'
import { type Body, program } from './program.ts'

let database: FreshDatabase

beforeAll(async () => {
  database = await freshDatabase()
  await database.query('create unlogged table seen (program int, n int); create index on seen (program)')
})
afterAll(() => database[Symbol.asyncDispose]())

let programs = 0

/** Both traces, with the sessions of each told in the same words. */
async function both(db: Db, body: Body, pressed: boolean): Promise<readonly [told: Entry[], promised: Entry[]]> {
  const promised = await new Play(new Model()).run(body)
  const told = await new Play(new Database(db, ++programs)).run(body)
  const pids = new Map<number, number>()
  const wrong = (entry: Entry | undefined, { session }: { readonly session: Session }): string => {
    const pid = (entry?.saw as Seen | undefined)?.session as number | undefined
    if (pid === undefined) return 'as promised'
    for (const [lease, kept] of session.others)
      if ((kept || !pressed) && pids.get(lease) === pid) return `session ${pid} belongs to borrow ${lease}`
    if (session.lease === null || (pressed && !session.kept)) return 'as promised'
    const known = pids.get(session.lease)
    if (known === undefined) pids.set(session.lease, pid)
    else if (known !== pid) return `session ${pid} instead of ${known}`
    return 'as promised'
  }
  const sessions = promised.map(({ saw }, i) =>
    isSeen(saw) ? wrong(told[i], { session: saw.session as Session }) : '',
  )
  const worded = (entries: readonly Entry[], words: readonly string[]): Entry[] =>
    entries.map((entry, i) => (isSeen(entry.saw) ? { ...entry, saw: { ...entry.saw, session: words[i] } } : entry))
  return [
    worded(told, sessions),
    worded(
      promised,
      promised.map(() => 'as promised'),
    ),
  ]
}

function isSeen(saw: unknown): saw is Seen {
  return typeof saw === 'object' && saw !== null && 'session' in saw
}

const numRuns = sample({ once: 150, matrix: 300, soak: 50_000 })
const seed = sampleSeed(1)

test.each([
  ['with a connection for everybody', false],
  ['while others wait for connections all the time', true],
])('every step is as the pages promise, %s', { timeout: 3_600_000 }, async (_, pressed) => {
  // No program needs more at once. All are open: a scope may be recalled rather than have somebody wait for a new one.
  await using db = createDb(database.url, { pool: { min: pressed ? 0 : 10, max: 10 } })
  await functionsKnown(db)
  if (!pressed) await until(() => db.stats().idle === 10)
  const on = { running: pressed }
  const others = Array.from({ length: 12 }, async () => {
    while (on.running) await db.scalar('select pg_sleep(0.001)')
  })
  try {
    await fc.assert(
      fc.asyncProperty(program, async (body) => {
        const [told, promised] = await both(db, body, pressed)
        expect(told).toEqual(promised)
        if (!pressed) await until(() => db.stats().reserved === 0)
      }),
      { numRuns, seed },
    )
  } finally {
    on.running = false
    await Promise.all(others)
  }
  if (pressed) expect(db.stats().recalls).toBeGreaterThan(0)
})
