/** Rows whose key has a time with more digits than a Date: an instance finds its own row, however it was read. */

import { integer, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { NoSuchRowError } from 'genever'
import { many, Model } from 'genever/models'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const near = '2024-01-01 00:00:00.123'
const exact = `${near}456`

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function visits(driver: TestedDriver, withTimezone: boolean) {
  const db = await driver.db({ settings: { TimeZone: 'Asia/Kolkata' } })
  const rooms = pgTable(await driver.table('id int primary key'), { id: integer().primaryKey() })
  const type = withTimezone ? 'timestamptz' : 'timestamp'
  const name = await driver.table(
    `room int not null, at ${type} not null default now(), who text, primary key (room, at)`,
  )
  const table = pgTable(
    name,
    {
      room: integer()
        .notNull()
        .references(() => rooms.id),
      at: timestamp({ withTimezone }).notNull().defaultNow(),
      who: text(),
    },
    (t) => [primaryKey({ columns: [t.room, t.at] })],
  )
  class Room extends Model(db, rooms) {}
  class Visit extends Model(db, table, { pk: ['room', 'at'] }) {}
  await db.status(`insert into ${name} values (1, '${near}${withTimezone ? '+00' : ''}', 'near')`)
  await db.status(`insert into ${name} values (1, '${exact}${withTimezone ? '+00' : ''}', 'exact')`)
  await Room.create({ id: 1 })
  const stored = (): Promise<unknown> =>
    db.all<{ who: string }>(`select who from ${name} order by at`).then((rows) => rows.map(({ who }) => who))
  return { db, name, Room, Visit, stored }
}

forEachDriver((driver) => {
  describe.each([['timestamp', false] as const, ['timestamptz', true] as const])('by a key with a %s', (_, zoned) => {
    test('an update and a delete meet the row of the instance, however it was read', async () => {
      const { db, name, Room, Visit, stored } = await visits(driver, zoned)
      const own = Visit.where({ who: 'exact' })
      const first = await own.one()
      const read = [
        first,
        await Visit.getOr404([1, first.at]),
        await Visit.where({ room: 1, at: first.at }).one(),
        (await own.load(Visit.load({})))[0]!,
        (await own.load(Visit.load({}), { strategy: 'select-in' }))[0]!,
        (await own.load([Visit] as const))[0]![0],
        await db.one(`select * from ${name} where who = 'exact'`, [], { into: Visit }),
        (await Room.query().load(Room.load({ visits: many(Visit) })))[0]!.visits[1]!,
        (await Room.query().load(Room.load({ visits: many(Visit) }), { strategy: 'select-in' }))[0]!.visits[1]!,
      ]

      for await (const visit of own.iterate()) read.push(visit)

      for (const [index, visit] of read.entries()) {
        expect(visit.at).toEqual(new Date('2024-01-01T00:00:00.123Z'))
        await visit.update({ who: `${index}` })
        expect(await stored()).toEqual(['near', `${index}`])
        expect((await visit.reload()).who).toBe(`${index}`)
      }
      await read.at(-1)!.delete()
      expect(await stored()).toEqual(['near'])
      expect(await caught(first.reload())).toBeInstanceOf(NoSuchRowError)
    })

    test('a row that was created with the time of the server is found', async () => {
      const { Visit, stored } = await visits(driver, zoned)
      await Visit.delete().everyRow()
      const made = [await Visit.create({ room: 1, who: 'a' }), ...(await Visit.createMany([{ room: 2, who: 'b' }]))]

      for (const visit of made) await visit.update({ who: 'changed' })
      expect(await stored()).toEqual(['changed', 'changed'])
    })

    test('a time that was read is the same time in a column of the other type', async () => {
      const { db, Visit } = await visits(driver, zoned)
      const { at } = await Visit.where({ who: 'exact' }).one()
      const name = await driver.table(`at ${zoned ? 'timestamp' : 'timestamptz'} primary key`)
      class Other extends Model(db, pgTable(name, { at: timestamp({ withTimezone: !zoned }).primaryKey() })) {}
      const other = await Other.create({ at })

      expect(other.at).toEqual(at)
      expect(await db.scalar(`select extract(epoch from at)::text from ${name}`)).toBe('1704067200.123456')
    })

    test('a time that was read goes on with its digits, and one that was changed since counts as it is', async () => {
      const { name, db, Visit } = await visits(driver, zoned)
      const { at } = await Visit.where({ who: 'exact' }).one()
      await Visit.create({ room: 2, at, who: 'copy' })
      await Visit.createMany([
        { room: 3, at, who: 'copy' },
        { room: 4, at, who: 'copy' },
      ])
      const digits = `select to_char(at at time zone 'UTC', 'US') from ${name} where room = $1`
      const told = zoned ? digits : `select to_char(at, 'US') from ${name} where room = $1`
      for (const room of [2, 3, 4]) expect(await db.scalar(told, [room])).toBe('123456')

      at.setUTCSeconds(1)
      await Visit.create({ room: 5, at, who: 'later' })
      expect(await db.scalar(told, [5])).toBe('123000')
    })
  })
})
