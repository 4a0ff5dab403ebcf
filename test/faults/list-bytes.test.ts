/** How many bytes the rows of a list take on the wire. */

import { integer, pgTable, timestamp } from 'drizzle-orm/pg-core'
import { createDb } from 'genever'
import { many, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { startProxy } from '../support/proxy.ts'

const rows = 100
/** Of DataRow: its head, seven lengths, the number and kind, and three columns of four and eight bytes. */
const inBinary = 7 + 7 * 4 + 8 + 4 + 4 + 8

test.each(['pg', 'socket'] as const)('by the driver %s rows of lists come in binary', async (driver) => {
  await using database = await freshDatabase(
    `create table one (id int primary key);
     create table two (id int primary key, one int, at timestamptz not null);
     insert into one select 100000000 + n from generate_series(1, 2) n;
     insert into two select 200000000 + n, 100000001, '2025-01-01 10:11:12.123456Z' from generate_series(1, ${rows}) n`,
  )
  await using proxy = await startProxy(database.url)
  await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
  const ones = pgTable('one', { id: integer().primaryKey() })
  const twos = pgTable('two', {
    id: integer().primaryKey(),
    one: integer().references(() => ones.id),
    at: timestamp({ withTimezone: true }).notNull(),
  })
  class One extends Model(db, ones) {}
  class Two extends Model(db, twos) {}
  const query = One.query().load(One.load({ twos: many(Two) }))
  await query
  await query
  const bytes = (): number => proxy.links[0]?.toClient.bytes ?? 0
  const before = bytes()

  const found = await query

  expect(found.map((one) => one.twos.length)).toEqual([rows, 0])
  expect(found[0]?.twos[0]?.at).toEqual(new Date('2025-01-01T10:11:12.123Z'))
  expect(bytes() - before).toBeLessThan(rows * inBinary + 500)
})
