/** How the statements of one level of `select-in` travel. */

import { createDb } from 'genever'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

const ones = pgTable('one', { id: integer().primaryKey() })
const twos = pgTable('two', { id: integer().primaryKey(), one: integer().references(() => ones.id) })
const threes = pgTable('three', { id: integer().primaryKey(), one: integer().references(() => ones.id) })
const fours = pgTable('four', { id: integer().primaryKey(), two: integer().references(() => twos.id) })
const fives = pgTable('five', { id: integer().primaryKey(), three: integer().references(() => threes.id) })
const rows = `create table one (id int primary key); create table two (id int primary key, one int);
  create table three (id int primary key, one int); create table four (id int primary key, two int);
  create table five (id int primary key, three int);
  insert into one values (1); insert into two values (1, 1); insert into three values (1, 1), (2, 1);
  insert into four values (1, 1); insert into five values (1, 2)`

const drivers = ['socket', 'pg'] as const
/** Which table waits, and how many statements have gone out by then: the objects, and all lists of one level after another. */
const waits = [
  ['two', 3],
  ['three', 3],
  ['four', 5],
  ['five', 5],
] as const
const places = ['outside of a transaction', 'in a transaction'] as const

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function setUp(driver: (typeof drivers)[number]) {
  const database = await freshDatabase(rows)
  const proxy = await startProxy(database.url)
  const db = createDb(proxy.url, { driver, pool: { max: 1 } })
  class One extends Model(db, ones) {}
  class Two extends Model(db, twos) {}
  class Three extends Model(db, threes) {}
  class Four extends Model(db, fours) {}
  class Five extends Model(db, fives) {}
  const loader = One.load({
    twos: many(Two.load({ fours: many(Four) })),
    threes: many(Three.load({ fives: many(Five) })),
  })
  const query = One.query().load(loader, { strategy: 'select-in' })
  return {
    database,
    proxy,
    db,
    query,
    async [Symbol.asyncDispose]() {
      await db.close()
      await proxy[Symbol.asyncDispose]()
      await database.drop()
    },
  }
}

const cases = drivers.flatMap((driver) =>
  places.flatMap((place) => waits.map(([table, sent]) => [driver, place, table, sent] as const)),
)
test.each(cases)(
  'by the driver %s, %s, the statements of a level take one trip: while %s is waited for, %d are sent',
  async (driver, place, table, sent) => {
    await using world = await setUp(driver)
    const { database, proxy, db, query } = world
    await using other = createDb(database.url)
    const ask = () => (place === 'in a transaction' ? db.transaction(() => query.all()) : query.all())
    await ask()
    const executed = (): number => (proxy.links[0]?.toServer.types ?? '').split('E').length - 1
    const loaded = await other.transaction(async (tx) => {
      await tx.status(`lock table ${table}`)
      const before = executed() + (place === 'in a transaction' ? 1 : 0)
      const found = ask()
      await until(() =>
        other.detached(() =>
          other.scalar(
            "select count(*) = 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
          ),
        ),
      )
      await until(() => executed() - before === sent, { what: `${sent} are sent` })
      return { found }
    })

    expect(await loaded.found).toMatchObject([{ twos: [{ fours: [{}] }], threes: [{ fives: [] }, { fives: [{}] }] }])
  },
)

test.each(drivers.flatMap((driver) => places.map((place) => [driver, place] as const)))(
  'by the driver %s, %s, a level that fails says why, whichever of its statements did',
  async (driver, place) => {
    for (const table of ['two', 'three', 'four', 'five']) {
      await using world = await setUp(driver)
      const { database, db, query } = world
      const ask = () => (place === 'in a transaction' ? db.transaction(() => query.all()) : query.all())
      await ask()
      await database.query(`drop table ${table}`)
      expect(await caught(ask())).toMatchObject({ sqlState: '42P01', message: expect.stringMatching(table) })
      await database.query(`create table ${table} (id int primary key, one int, two int, three int)`)
      expect(await ask()).toHaveLength(1)
    }
  },
)
