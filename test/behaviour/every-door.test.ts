/** Where code stands decides what becomes of its statements, by whichever door they come: text, models, Drizzle, Kysely, baked. */

import { int, mysqlTable } from 'drizzle-orm/mysql-core'
import { drizzle as onMysql2 } from 'drizzle-orm/mysql2'
import { drizzle as onNodePostgres } from 'drizzle-orm/node-postgres'
import { integer, pgTable, serial } from 'drizzle-orm/pg-core'
import { type Db, sql } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { gate } from '../support/gate.ts'
import { forEachDriver, quiet, wordsFor } from '../support/matrix.ts'

type Door = () => PromiseLike<unknown>
type Doors = Readonly<Record<string, Door>>

/** Every way to add a row of the table, or to ask for the rows there are. */
function doorsOf(db: Db, table: string): Doors {
  const typed = kysely<Readonly<Record<string, { n: number }>>>(db)
  const insert = `insert into ${table} (n) values (1)`
  const baked = db.bake(`insert into ${table} (n) values (:n)`)
  return {
    text: () => db.status(insert),
    'db.sql': () => db.sql`insert into ${sql.identifier(table)} (n) values (1)`,
    'executeMany()': () => db.executeMany(`insert into ${table} (n) values (:n)`, [{ n: 1 }]),
    'iterate()': () => db.iterate(`select n from ${table}`).read(),
    'a baked statement': () => baked.status({ n: 1 }),
    Kysely: () => typed.insertInto(table).values({ n: 1 }).execute(),
    "Kysely's transaction": () => typed.transaction().execute((tx) => tx.insertInto(table).values({ n: 1 }).execute()),
    'transaction()': () => db.transaction(() => db.status(insert)),
    ...(wordsFor(db).system === 'mysql' ? onMysql(db, table) : onPostgres(db, table)),
  }
}

function onPostgres(db: Db, table: string): Doors {
  const rows = pgTable(table, { id: serial().primaryKey(), n: integer() })
  class DoorRow extends Model(db, rows) {}
  const built = ambient(db, (client) => onNodePostgres({ client }))
  return {
    'Model.create()': () => DoorRow.create({ n: 1 }),
    'Model.query()': () => DoorRow.query(),
    'Model.update()': () => DoorRow.update({ n: 2 }).everyRow(),
    Drizzle: () => built.insert(rows).values({ n: 1 }),
    "Drizzle's transaction": () => built.transaction((tx) => tx.insert(rows).values({ n: 1 })),
  }
}

function onMysql(db: Db, table: string): Doors {
  const rows = mysqlTable(table, { id: int().autoincrement().primaryKey(), n: int() })
  class DoorRow extends Model(db, rows) {}
  const built = ambient(db, (client) => onMysql2({ client }))
  return {
    'Model.create()': () => DoorRow.create({ n: 1 }),
    'Model.query()': () => DoorRow.query(),
    'Model.update()': () => DoorRow.update({ n: 2 }).everyRow(),
    Drizzle: () => built.insert(rows).values({ n: 1 }),
    "Drizzle's transaction": () => built.transaction((tx) => tx.insert(rows).values({ n: 1 })),
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
        await caught(db.scalar('select exp(1000)'))
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

forEachDriver((driver) => {
  const place = async (): Promise<{ db: Db; table: string }> => ({
    table: await driver.table(`${driver.words.id}, n int`),
    db: await driver.single({ pool: { acquireTimeoutMs: 5_000 } }),
  })

  describe.each(Object.entries(places))('%s', (_, [stand, right]) => {
    test('is told the same by every door, and nothing of it is written', async () => {
      const { db, table } = await place()
      const seen: Record<string, string> = {}
      for (const [name, door] of Object.entries(doorsOf(db, table))) {
        seen[name] = await stand(db, door)
        await quiet(db)
      }

      expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((name) => [name, right])))
      expect(await db.scalar(driver.words.count(table))).toBe(0)
    })
  })

  test('what a callback returns without awaiting it runs in its transaction, by every door', async () => {
    const { db, table } = await place()
    for (const [name, door] of Object.entries(doorsOf(db, table))) {
      const work = db.transaction(async () => {
        await db.transaction(() => door())
        throw new RangeError('rolled back')
      })
      await expect(work, name).rejects.toThrow(RangeError)
    }

    expect(await db.scalar(driver.words.count(table))).toBe(0)
  })
})
