/** The error for a value that cannot be read names the column and the statement, and has the caller's line. */

import { type Db, ProtocolError, sql, UnsafeIntegerError } from 'genever'
import { bigint as pgBigint, pgTable } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

const text = "select 1 as small, null as nothing, 9007199254740993 as large, 'a' as behind"

const doors: Readonly<Record<string, (db: Db) => Promise<unknown>>> = {
  'all()': async (db) => void (await db.all(text)),
  'all(), as rows are read by code made for them': async (db) => {
    const digits = Array.from({ length: 10 }, (_, n) => `select ${n} as n`).join(' union all ')
    await db.all(`with d as (${digits})
      select a.n as small, 1 as large from d a, d b, d c, d e where e.n < 3 union all select 0, 9007199254740993`)
  },
  'first()': async (db) => void (await db.first(text)),
  'scalar()': async (db) => void (await db.scalar('select 9007199254740993 as large')),
  'status()': async (db) => void (await db.status(text)),
  'status(), rows as lists': async (db) => void (await db.status(text, [], { rows: 'array' })),
  'a query of the tag': async (db) => void (await db.sql`${sql.raw(text)}`),
  'a baked statement': async (db) => void (await db.bake(text).all()),
  'into a function': async (db) => void (await db.all(text, [], { into: (row: object) => row })),
  'the read() of a cursor': async (db) => void (await db.iterate(text).read()),
  'a loop over a cursor': async (db) => {
    for await (const _ of db.iterate(text));
  },
  'a loop over lists of a cursor': async (db) => {
    for await (const _ of db.iterate(text).batches());
  },
}

forEachDriver((driver) => {
  test.each(Object.entries(doors))('%s', async (_, ask) => {
    const db = await driver.db()
    for (const run of [
      () => ask(db),
      () => ask(db),
      () => db.scope(() => ask(db)),
      () => db.transaction(() => ask(db)),
    ]) {
      const error = await caught(run())

      expect(error).toBeInstanceOf(UnsafeIntegerError)
      expect(error.message).toMatch(/^Column "large" could not be read\. An 8-byte integer in the answer is larger/)
      expect(error).toMatchObject({ statement: { sql: expect.stringContaining('9007199254740993') as string } })
      expect(error.stack).toMatch(/^UnsafeIntegerError: Column "large" could not be read\./)
      expect(error.stack).toContain('unread-columns.test.ts')
    }
  })

  test('an error that two statements throw names the column once for each', async () => {
    const db = await driver.db()
    const [first, second] = [await caught(db.all(text)), await caught(db.all(text))]

    expect(second.message).toBe(first.message)
    expect(second.message.match(/could not be read/g)).toHaveLength(1)
  })

  test.runIf(driver.name !== 'mysql')('a column of a model is named by its key', async () => {
    const db = await driver.db()
    const name = await driver.table('id int primary key, how_many bigint')
    await db.status(`insert into ${name} values (1, 9007199254740993)`)
    const id = pgBigint({ mode: 'number' }).primaryKey()
    class Row extends Model(db, pgTable(name, { id, howMany: pgBigint('how_many', { mode: 'number' }) })) {}

    expect((await caught(Row.get(1))).message).toMatch(/^Column "howMany" could not be read\. /)
  })

  test.runIf(driver.name !== 'mysql')('a conversion of the user that throws is named with its column', async () => {
    const db = await driver.db()
    const mood = `mood_${await driver.table('n int')}`
    await db.status(`create type ${mood} as enum ('ok')`)
    const read = (): never => {
      throw new Error('boom')
    }
    const asked = [
      () => db.all('select 1 as a, 1.5 as b', [], { types: { numeric: read } }),
      () => db.all(`select 1 as a, 'ok'::${mood} as b`, [], { types: { [mood]: read } }),
      () => db.iterate('select 1 as a, 1.5 as b', [], { types: { numeric: read } }).read(),
    ]

    for (const each of asked) {
      const error = await caught(each())
      expect(error).toBeInstanceOf(ProtocolError)
      expect(error.message).toBe('Column "b" could not be read. The cause says why.')
      expect(error.cause).toMatchObject({ message: 'boom' })
    }
  })
})
