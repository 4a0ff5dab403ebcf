/** Where code stands decides what becomes of its statements, by whichever door they come: text, models, Drizzle, Kysely, baked. */

import { integer, pgTable, serial } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { createDb, type Db } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { gate } from '../support/gate.ts'
import { quiet } from '../support/matrix.ts'

type Door = () => PromiseLike<unknown>

/** Every way to add a row, or to ask for the rows there are. */
function doorsOf(db: Db): Readonly<Record<string, Door>> {
  const rows = pgTable('door_rows', { id: serial().primaryKey(), n: integer() })
  class DoorRow extends Model(db, rows) {}
  const built = ambient(db, (client) => drizzle({ client }))
  const typed = kysely<{ door_rows: { n: number } }>(db)
  const baked = db.bake('insert into door_rows (n) values (:n) returning n')
  const insert = 'insert into door_rows (n) values (1)'
  return {
    text: () => db.status(insert),
    'db.sql': () => db.sql`insert into door_rows (n) values (1)`,
    'executeMany()': () => db.executeMany('insert into door_rows (n) values ($1)', [[1]]),
    'iterate()': () => db.iterate('select n from door_rows').read(),
    'a baked statement': () => baked.all({ n: 1 }),
    'Model.create()': () => DoorRow.create({ n: 1 }),
    'Model.query()': () => DoorRow.query(),
    'Model.update()': () => DoorRow.update({ n: 2 }).everyRow(),
    Drizzle: () => built.insert(rows).values({ n: 1 }),
    "Drizzle's transaction": () => built.transaction((tx) => tx.insert(rows).values({ n: 1 })),
    Kysely: () => typed.insertInto('door_rows').values({ n: 1 }).execute(),
    "Kysely's transaction": () =>
      typed.transaction().execute((tx) => tx.insertInto('door_rows').values({ n: 1 }).execute()),
    'transaction()': () => db.transaction(() => db.status(insert)),
  }
}

async function told(door: Door): Promise<string> {
  try {
    await door()
    return 'ran'
  } catch (error) {
    return (error as Error).name
  }
}

/** Where code stands, and what every door says there. */
const places: Readonly<Record<string, readonly [place: (db: Db, door: Door) => Promise<string>, right: string]>> = {
  'code that outlives its transaction': [
    async (db, door) => {
      const ended = gate()
      let late: Promise<string> = Promise.resolve('')
      await db.transaction(async () => {
        await db.scalar('select 1')
        late = ended.promise.then(() => told(door))
      })
      ended.open()
      return late
    },
    'TransactionEndedError',
  ],
  'code after a raise that was caught': [
    async (db, door) => {
      let seen = ''
      await db.transaction(async (tx) => {
        try {
          tx.raiseRollback()
        } finally {
          seen = await told(door)
        }
      })
      return seen
    },
    'TransactionExit',
  ],
  'code after a statement that failed': [
    async (db, door) => {
      let seen = ''
      const work = db.transaction(async () => {
        await db.scalar('select 1/0').catch(() => {})
        seen = await told(door)
      })
      await work.catch(() => {})
      return seen
    },
    'TransactionAbortedError',
  ],
  'code that outlives a scope with settings': [
    async (db, door) => {
      const ended = gate()
      let late: Promise<string> = Promise.resolve('')
      await db.scope(
        () => {
          late = ended.promise.then(() => told(door))
        },
        { settings: { 'app.me': '1' } },
      )
      ended.open()
      return late
    },
    'TransactionStateError',
  ],
  'detached code that a transaction on the only connection awaits': [
    (db, door) =>
      db.transaction(async () => {
        await db.scalar('select 1')
        return db.detached(() => told(door))
      }),
    'SelfDeadlockError',
  ],
  'code in the run() of a released handle': [
    async (db, door) => {
      const connection = await db.acquire()
      await connection.release()
      return told(() => connection.run(door))
    },
    'ReleasedConnectionError',
  ],
}

describe.each(Object.entries(places))('%s', (_, [place, right]) => {
  test('is told the same by every door, and nothing of it is written', async () => {
    await using database = await freshDatabase('create table door_rows (id serial primary key, n int)')
    await using db = createDb(database.url, { pool: { max: 1, acquireTimeoutMs: 5_000 } })
    const seen: Record<string, string> = {}
    for (const [name, door] of Object.entries(doorsOf(db))) {
      seen[name] = await place(db, door)
      await quiet(db)
    }

    expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((name) => [name, right])))
    expect(await db.scalar('select count(*)::int from door_rows')).toBe(0)
  })
})

test('what a callback returns without awaiting it runs in its transaction, by every door', async () => {
  await using database = await freshDatabase('create table door_rows (id serial primary key, n int)')
  await using db = createDb(database.url, { pool: { max: 1, acquireTimeoutMs: 5_000 } })
  for (const [name, door] of Object.entries(doorsOf(db))) {
    const work = db.transaction(async () => {
      await db.transaction(() => door())
      throw new RangeError('rolled back')
    })
    await expect(work, name).rejects.toThrow(RangeError)
  }

  expect(await db.scalar('select count(*)::int from door_rows')).toBe(0)
})
