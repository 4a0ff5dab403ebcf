/** What is written before the database is known, or open, is in the words of MySQL when it runs there. */

import { eq, sql as drizzleSql } from 'drizzle-orm'
import { int, mysqlTable } from 'drizzle-orm/mysql-core'
import { drizzle } from 'drizzle-orm/mysql2'
import { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { closeGlobal, createDb, type Db, globalDb, sql } from 'genever'
import { ambient } from 'genever/drizzle'
import { geneverDialect, kysely, toQuery } from 'genever/kysely'
import { many, Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { expect, test } from 'vitest'
import { describeMysql, type FreshMysql, onFreshMysql } from '../support/mysql.ts'

const boxes = mysqlTable('boxes', { order: int().primaryKey(), n: int() })
const things = mysqlTable('things', { id: int().primaryKey(), box: int().references(() => boxes.order) })

interface Tables {
  boxes: { order: number; n: number }
}

const text = 'select `order` from boxes where `order` = :order'
const typed = (db: Db) => kysely<Tables>(db).selectFrom('boxes').select('order').where('order', '=', 1)

function modelsOf(db: Db) {
  class Box extends Model(db, boxes) {}
  class Thing extends Model(db, things) {}
  const full = Box.query()
    .orderBy(Box.c.order)
    .load(Box.load({ things: many(Thing) }))
  return { Box, full }
}

const drizzled = (db: Db) => ambient(db, (client) => drizzle({ client }))
const ofDrizzle = (db: Db) => drizzled(db).select({ order: boxes.order }).from(boxes)

const taken = async (rows: AsyncIterable<unknown>): Promise<unknown[]> => {
  const all: unknown[] = []
  for await (const row of rows) all.push(row)
  return all
}

const first = [{ order: 1 }]
const fullFirst = { order: 1, n: 1, things: [{ id: 1 }, { id: 2 }] }

/** Ways to ask, and what they give. */
const doors: Readonly<Record<string, readonly [ask: (db: Db) => Promise<unknown>, answer: unknown]>> = {
  text: [(db) => db.all(text, { order: 1 }), first],
  'db.sql': [
    (db) => db.sql`select ${sql.identifier('order')} from boxes where ${sql.identifier('order')} = ${1}`.all(),
    first,
  ],
  'a baked statement': [(db) => db.bake(text).all({ order: 1 }), first],
  Kysely: [(db) => typed(db).execute(), first],
  "Kysely's rows as they come": [(db) => taken(typed(db).stream()), first],
  "Kysely's transaction": [
    (db) =>
      kysely<Tables>(db)
        .transaction()
        .execute((tx) => tx.selectFrom('boxes').select('order').where('order', '=', 1).execute()),
    first,
  ],
  'a query of Kysely, run by the db': [(db) => db.all(typed(db)), first],
  'one that Kysely has compiled': [(db) => db.all(toQuery(typed(db).compile())), first],
  'a Kysely on the dialect': [
    (db) =>
      new Kysely<Tables>({ dialect: geneverDialect(db) })
        .selectFrom('boxes')
        .select('order')
        .where('order', '=', 1)
        .execute(),
    first,
  ],
  "Drizzle's own": [(db) => ofDrizzle(db).where(eq(boxes.order, 1)), first],
  "Drizzle's transaction": [
    (db) => drizzled(db).transaction((tx) => tx.select({ order: boxes.order }).from(boxes).where(eq(boxes.order, 1))),
    first,
  ],
  'a query of Drizzle, run by the db': [(db) => db.all(ofDrizzle(db).where(eq(boxes.order, 1))), first],
  "a query of Drizzle's rows as they come": [(db) => taken(db.iterate(ofDrizzle(db).where(eq(boxes.order, 1)))), first],
  'a query of Drizzle, baked': [(db) => db.bake(ofDrizzle(db).where(eq(boxes.order, 1))).all(), first],
  'a query of Drizzle with placeholders, baked': [
    (db) => db.bake(ofDrizzle(db).where(eq(boxes.order, drizzleSql.placeholder('order')))).all({ order: 1 }),
    first,
  ],
  'a function that gives a query of Drizzle, baked': [
    (db) => db.bake(({ order }: { order: number }) => ofDrizzle(db).where(eq(boxes.order, order))).all({ order: 1 }),
    first,
  ],
  'a query of Drizzle, bound': [
    (db) =>
      db.all(db.bake(({ order }: { order: number }) => ofDrizzle(db).where(eq(boxes.order, order))).bind({ order: 1 })),
    first,
  ],
  "Drizzle's sql": [
    (db) =>
      db.all(
        drizzleSql`select ${boxes.order} as ${drizzleSql.identifier('order')} from ${boxes} where ${eq(boxes.order, 1)}`,
      ),
    first,
  ],
  "Drizzle's sql, baked": [
    (db) => db.bake(drizzleSql`select ${boxes.order} from ${boxes} where ${eq(boxes.order, 1)}`).all(),
    first,
  ],
  'many sets of a query of Drizzle': [
    (db) =>
      db
        .executeMany(
          drizzled(db)
            .update(boxes)
            .set({ n: 1 })
            .where(eq(boxes.order, drizzleSql.placeholder('order'))) as never,
          [{ order: 1 }],
        )
        .then(() => first),
    first,
  ],
  "Kysely's, baked": [(db) => db.bake(typed(db)).all(), first],
  "Kysely's of values, baked": [
    (db) =>
      db
        .bake(({ order }: { order: number }) =>
          kysely<Tables>(db).selectFrom('boxes').select('order').where('order', '=', order),
        )
        .all({ order: 1 }),
    first,
  ],
  'objects of a condition of Drizzle': [
    (db) => modelsOf(db).Box.query().where(eq(boxes.order, 1)).all(),
    [{ order: 1, n: 1 }],
  ],
  'objects, baked': [
    (db) =>
      db
        .bake(({ order }: { order: number }) => modelsOf(db).Box.query().where(eq(boxes.order, order)))
        .all({ order: 1 }),
    [{ order: 1, n: 1 }],
  ],
  'an object by its key': [(db) => modelsOf(db).Box.getOr404(1), { order: 1, n: 1 }],
  'objects with lists': [(db) => modelsOf(db).full.all(), [fullFirst, { order: 2, n: 2, things: [{ id: 3 }] }]],
  'the first object with its list': [(db) => modelsOf(db).full.first(), fullFirst],
  'a page of objects with lists': [
    (db) =>
      modelsOf(db)
        .full.limit(1)
        .page()
        .then(({ rows }) => rows),
    [fullFirst],
  ],
  'objects with lists as they come': [(db) => taken(modelsOf(db).full.limit(1).iterate()), [fullFirst]],
}

describeMysql('before the database is known', () => {
  let server: FreshMysql
  onFreshMysql(
    [
      'create table boxes (`order` int primary key, n int)',
      'create table things (id int primary key, box int references boxes (`order`))',
      'insert into boxes values (1, 1), (2, 2)',
      'insert into things values (1, 1), (2, 1), (3, 2)',
    ],
    (made) => ({ server } = made),
  )

  const extra = (source: string | (() => string)): Db =>
    createRegistry({ main: 'pglite://memory', extra: { other: source } }).using('other')
  const dbs: Readonly<Record<string, (url: string) => Db>> = {
    'createDb() of a URL': (url) => createDb(url),
    'createDb() of a function': (url) => createDb(() => url),
    'globalDb() of a URL': (url) => globalDb(url),
    'globalDb() of a name': (url) => globalDb('boxes', () => url),
    'a registry': (url) => createRegistry({ main: () => url }),
    'a further database of a registry': (url) => extra(url),
    'one of a function': (url) => extra(() => url),
    'a tenant with a database': (url) =>
      createRegistry({ main: url, tenancy: { database: (id: string) => (id === 'a' ? url : '') } }).using({
        tenant: 'a',
      }),
  }

  test.each(Object.keys(dbs))('%s', async (name) => {
    const seen: Record<string, unknown> = {}
    for (const [door, [ask]] of Object.entries(doors)) {
      const db = (dbs[name] as (url: string) => Db)(server.url)
      seen[door] = await Promise.resolve(db)
        .then(ask)
        .catch((error: unknown) => error)
      await db.close().catch(() => {})
      await closeGlobal()
    }

    expect(seen).toMatchObject(Object.fromEntries(Object.entries(doors).map(([door, [, answer]]) => [door, answer])))
  })

  test("migrations of Kysely's own run under the lock of MySQL", async () => {
    await using db = createDb(() => server.url)
    const make: Migration = { up: (on) => on.schema.createTable('made').addColumn('id', 'integer').execute() }
    const migrator = new Migrator({
      db: kysely(db),
      provider: { getMigrations: () => Promise.resolve({ '1_make': make }) },
    })

    expect(await migrator.migrateToLatest()).toMatchObject({ results: [{ status: 'Success' }] })
    expect(await db.all('select * from made')).toEqual([])
  })
})
