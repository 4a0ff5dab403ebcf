/**
 * pgvector, citext, hstore and ltree themselves, where the server has them: models, lists, conditions, bulk inserts and COPY. Debian
 * has them for its PostgreSQL (`postgresql-15-pgvector`), so that `npm run test:matrix` finds them there.
 */

import { asc, eq, l2Distance, sql } from 'drizzle-orm'
import { customType, halfvec, integer, pgTable, serial, sparsevec, text, vector } from 'drizzle-orm/pg-core'
import { createDb, type Db, type EngineOptions } from 'genever'
import { many, Model } from 'genever/models'
import { sparsevec as asSparse, vector as asList } from 'genever/types'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const types = { vector: asList, halfvec: asList, sparsevec: asSparse }

let database: FreshDatabase
const there = new Set<string>()

beforeAll(async () => {
  database = await freshDatabase()
  const found = await database.query(
    "select name::text from pg_available_extensions where name in ('vector', 'hstore', 'ltree', 'citext')",
  )
  for (const { name } of found) {
    await database.query(`create extension ${String(name)}`)
    there.add(String(name))
  }
  if (there.has('vector'))
    await database.query(`create table owners (id int primary key);
      create table items (id serial primary key, owner_id int, one vector(3), half halfvec(3), sparse sparsevec(5), more vector[]);
      insert into owners values (1), (2)`)
})
afterAll(() => database.drop())

const rows = Array.from({ length: 12 }, (_, n) => ({
  ownerId: 1 + (n % 2),
  one: n % 5 === 4 ? null : [n, n + 0.5, 1 - n],
  half: [n, 0.25, -1],
  sparse: n === 3 ? null : `{1:${n + 1},3:-2}/5`,
}))

describe.each(['pg', 'socket'] as const)('on the driver %s', (driver) => {
  function open(options: EngineOptions = {}): Db {
    const db = createDb(database.url, { driver, ...options })
    onTestFinished(async () => void (await db.close()))
    return db
  }

  describe('pgvector', () => {
    // oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
    function models(options: EngineOptions = {}) {
      const db = open(options)
      const owners = pgTable('owners', { id: integer().primaryKey() })
      const items = pgTable('items', {
        id: serial().primaryKey(),
        ownerId: integer('owner_id').references(() => owners.id),
        one: vector({ dimensions: 3 }),
        half: halfvec({ dimensions: 3 }),
        sparse: sparsevec({ dimensions: 5 }),
      })
      class Item extends Model(db, items) {}
      class Owner extends Model(db, owners) {}
      return { db, Item, Owner }
    }

    const needed = (context: { skip(condition: boolean, why: string): void }): void =>
      context.skip(!there.has('vector'), 'the server has no pgvector')

    test.for([{}, { types }, { prepare: false }])(
      'models have its vectors as lists, one by one and in bulk: %#',
      async (options, context) => {
        needed(context)
        const { db, Item, Owner } = models(options)
        await db.status('truncate items')

        const single = await Item.create(rows[1] as (typeof rows)[number])
        expect(single).toMatchObject(rows[1] as object)
        expect(await Item.createMany(rows)).toMatchObject(rows)
        const found = await Item.query().orderBy(Item.c.id)
        expect(found).toMatchObject([rows[1], ...rows])
        await single.update({ one: [9, 9, 9], half: [0.5, 0, 0], sparse: '{}/5' })
        expect(await Item.get(single.id)).toMatchObject({ one: [9, 9, 9], half: [0.5, 0, 0], sparse: '{}/5' })
        await Item.upsertMany(found.map(({ id }) => ({ id, one: [id, 0, 0] })))
        expect((await Item.query().orderBy(Item.c.id)).map(({ id, one }) => [id, one])).toEqual(
          found.map(({ id }) => [id, [id, 0, 0]]),
        )
        for (const strategy of ['joined', 'select-in'] as const) {
          const lists = await Owner.query()
            .load(Owner.load({ items: many(Item) }), { strategy })
            .orderBy(Owner.c.id)
          expect(lists.flatMap(({ items }) => items).toSorted((a, b) => a.id - b.id)).toEqual(
            await Item.query().orderBy(Item.c.id),
          )
        }
      },
    )

    test('the nearest are found by the operators of Drizzle, and the same by SQL', async (context) => {
      needed(context)
      const { db, Item } = models({ types })
      await db.status('truncate items')
      await Item.createMany(rows)
      const near = await Item.where(sql`${Item.c.one} is not null`)
        .orderBy(asc(l2Distance(Item.c.one, [5, 5.5, -4])))
        .limit(2)
      expect(near.map(({ one }) => one)).toEqual([
        [5, 5.5, -4],
        [6, 6.5, -5],
      ])
      expect(await Item.where(eq(Item.c.one, [5, 5.5, -4])).all()).toHaveLength(1)
      expect(
        await db.all('select one, half, sparse from items where one = $1 and half = any($2) order by one <-> $1', [
          [5, 5.5, -4],
          [[5, 0.25, -1], null],
        ]),
      ).toEqual([{ one: [5, 5.5, -4], half: [5, 0.25, -1], sparse: { dimensions: 5, values: { 1: 6, 3: -2 } } }])
    })

    test('long arrays of vectors arrive as they were sent, and what is none is said by the server', async (context) => {
      needed(context)
      const db = open({ types })
      const list = Array.from({ length: 20 }, (_, n) => (n % 6 === 5 ? null : [n, -n, 0.5]))
      for (let run = 0; run < 3; run++) {
        expect(await db.scalar('select $1::vector[]', [list])).toEqual(list)
        expect(await db.scalar('select $1::halfvec[]', [list])).toEqual(list)
      }
      expect(await caught(db.scalar('select $1::vector(2)', [[1, 2, 3]]))).toMatchObject({
        sqlState: expect.stringMatching(/^22/) as unknown,
      })
      expect(await caught(db.scalar('select $1::vector', ['[1,x]']))).toMatchObject({
        sqlState: expect.stringMatching(/^22/) as unknown,
      })
    })

    test.for(['text', 'csv', 'binary'] as const)('COPY carries them as %s', async (format, context) => {
      needed(context)
      const { db, Item } = models()
      await db.status('truncate items')
      await Item.createMany(rows)
      const pieces: Uint8Array[] = []
      for await (const piece of db.copyTo('items (owner_id, one, half, sparse)', { format })) pieces.push(piece)
      await db.status('truncate items')
      expect(await db.copyFrom('items (owner_id, one, half, sparse)', { format }).from(pieces)).toBe(rows.length)
      expect(await Item.query().orderBy(Item.c.id)).toMatchObject(rows)
    })
  })

  test('models have columns of citext, hstore and ltree, one by one and in bulk', async ({ skip }) => {
    for (const name of ['citext', 'hstore', 'ltree']) skip(!there.has(name), `the server has no ${name}`)
    const db = open()
    const table = `labels_${driver}`
    await database.query(
      `create table ${table} (id serial primary key, name citext, attributes hstore, path ltree, names citext[])`,
    )
    const of = (type: string) => customType<{ data: string }>({ dataType: () => type })()
    class Label extends Model(
      db,
      pgTable(table, {
        id: serial().primaryKey(),
        name: of('citext'),
        attributes: of('hstore'),
        path: of('ltree'),
        names: text().array(),
      }),
    ) {}
    const labels = Array.from({ length: 10 }, (_, n) => ({
      name: `Ada "${n}" {,}\\`,
      attributes: `"c"=>NULL, "a b"=>"${n}"`,
      path: `Top.Science.N${n}`,
      names: n % 2 === 0 ? null : ['A,b', 'NULL', ''],
    }))

    expect(await Label.createMany(labels)).toMatchObject(labels)
    const unlisted = labels.map(({ name, attributes, path }) => ({ name, attributes, path }))
    expect(await Label.createMany(unlisted)).toMatchObject(unlisted)
    expect(await Label.create(labels[3] as (typeof labels)[number])).toMatchObject(labels[3] as object)
    expect(await Label.where(sql`${Label.c.name} = ${'ADA "3" {,}\\'}`).all()).toHaveLength(3)
    expect(await Label.where(sql`${Label.c.path} <@ ${'Top.Science'}::ltree`).all()).toHaveLength(21)
    expect(await db.scalar(`select count(*) from ${table} where attributes -> 'a b' = $1`, ['3'])).toBe(3)
  })
})
