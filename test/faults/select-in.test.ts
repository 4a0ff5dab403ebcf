/** How the statements of one level of `select-in` travel. */

import { createDb } from 'genever'
import { integer, pgTable } from 'drizzle-orm/pg-core'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'

test.each([
  ['socket', 'together', true],
  ['pg', 'one after another', false],
] as const)('by the driver %s the statements of a level travel %s', async (driver, _, together) => {
  await using database = await freshDatabase(
    `create table one (id int primary key); create table two (id int primary key, one int);
     create table three (id int primary key, one int);
     insert into one values (1); insert into two values (1, 1); insert into three values (1, 1), (2, 1)`,
  )
  await using proxy = await startProxy(database.url)
  await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
  await using other = createDb(database.url)
  const ones = pgTable('one', { id: integer().primaryKey() })
  const two = pgTable('two', { id: integer().primaryKey(), one: integer().references(() => ones.id) })
  const three = pgTable('three', { id: integer().primaryKey(), one: integer().references(() => ones.id) })
  class One extends Model(db, ones) {}
  class Two extends Model(db, two) {}
  class Three extends Model(db, three) {}
  const loader = One.load({ twos: many(Two), threes: many(Three) })

  const query = One.query().load(loader, { strategy: 'select-in' })
  await query
  const executed = (): number => (proxy.links[0]?.toServer.types ?? '').split('E').length - 1

  const loaded = await other.transaction(async (tx) => {
    await tx.status('lock table two')
    const before = executed()
    const found = query.all()
    await until(() =>
      other.detached(() =>
        other.scalar(
          "select count(*) = 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        ),
      ),
    )
    // The objects, and the first list, which waits.
    if (together) await until(() => executed() === before + 3)
    else expect(executed()).toBe(before + 2)
    return { found }
  })

  expect((await loaded.found).map(({ twos, threes }) => [twos.length, threes.length])).toEqual([[1, 2]])
})
