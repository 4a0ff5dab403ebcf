/** Queries built with Kysely, run by Genever: in every method of an executor, and as parts of db.sql. */

import { bigint, integer, numeric, pgTable } from 'drizzle-orm/pg-core'
import { createDb, ParameterError, UsageError } from 'genever'
import { geneverDialect, kysely, toQuery } from 'genever/kysely'
import { Model } from 'genever/models'
import {
  CamelCasePlugin,
  DummyDriver,
  expressionBuilder,
  Kysely,
  MysqlAdapter,
  MysqlIntrospector,
  MysqlQueryCompiler,
  ParseJSONResultsPlugin,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from 'kysely'
import { expectTypeOf } from 'expect-type'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { people, type Tables } from './support.ts'

/** A Kysely that belongs to nobody: it compiles, and its driver does nothing. */
const unconnected = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})
const mysql = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  },
})

forEachDriver((driver) => {
  describe('a builder', () => {
    test('given to a method of an executor runs there, with its row type', async () => {
      const { db, k, person } = await people(driver)
      await db.all(k.insertInto(person).values([{ name: 'Ann' }, { name: 'Bob' }]))
      const query = k.selectFrom(person).select(['id', 'name']).orderBy('id')

      const all = await db.all(query)
      const first = await db.first(query)
      const one = await db.one(query.limit(1))
      const none = await db.oneOrNone(query.where('id', '=', 99))
      const scalar = await db.scalar<number>(query)
      const status = await db.status(k.updateTable(person).set({ age: 1 }))
      const seen: string[] = []
      for await (const row of db.iterate(query, { batchSize: 1 })) seen.push(row.name)

      expectTypeOf(all).toEqualTypeOf<{ id: number; name: string }[]>()
      expectTypeOf(first).toEqualTypeOf<{ id: number; name: string } | undefined>()
      expectTypeOf(one).toEqualTypeOf<{ id: number; name: string }>()
      expectTypeOf(none).toEqualTypeOf<{ id: number; name: string } | undefined>()
      expect(all).toEqual([
        { id: 1, name: 'Ann' },
        { id: 2, name: 'Bob' },
      ])
      expect(first).toEqual({ id: 1, name: 'Ann' })
      expect(one).toEqual(first)
      expect(none).toBeUndefined()
      expect(scalar).toBe(1)
      expect(String(status)).toBe('UPDATE 2')
      expect(seen).toEqual(['Ann', 'Bob'])
    })

    test('given to a transaction runs in it, wherever it was built', async () => {
      const { db, k, person, names } = await people(driver)
      const query = k.insertInto(person).values({ name: 'Ann' }).returning('name')

      const tx = await db.begin()
      expect(await tx.all(query)).toEqual([{ name: 'Ann' }])
      await tx.rollback()

      expect(await names()).toEqual([])
    })

    test('of a Kysely without this database is compiled and run all the same', async () => {
      const { db, person } = await people(driver)

      expect(await db.all(unconnected.insertInto(person).values({ name: 'Ann' }).returning('name'))).toEqual([
        { name: 'Ann' },
      ])
    })

    test('of a schema runs too', async () => {
      const { db, k, person } = await people(driver)

      expect(String(await db.status(toQuery(k.schema.alterTable(person).addColumn('more', 'integer'))))).toBe(
        'ALTER TABLE',
      )
      expect(await db.scalar(`select count(more) from ${person}`)).toBe(0)
    })

    test('has its names changed back by the plug-in that changed them', async () => {
      const { db, person } = await people(driver)
      const k = kysely<{ person: { name: string; bornOn: string | null } }>(db, { plugins: [new CamelCasePlugin()] })
      const query = k.selectFrom(person).select('bornOn')
      await db.all(k.insertInto(person).values({ name: 'Ann', bornOn: '1985-02-03' }))
      const seen: unknown[] = []
      for await (const row of db.iterate(query)) seen.push(row)

      expect(await db.all(query)).toEqual([{ bornOn: '1985-02-03' }])
      expect(await db.first(query)).toEqual({ bornOn: '1985-02-03' })
      expect(await db.scalar(query)).toBe('1985-02-03')
      expect(seen).toEqual([{ bornOn: '1985-02-03' }])
      expect(await db.all(toQuery(query.compile()))).toEqual([{ bornOn: '1985-02-03' }])
      expect(await k.transaction().execute((trx) => db.all(trx.selectFrom(person).select('bornOn')))).toEqual([
        { bornOn: '1985-02-03' },
      ])
      expect(await db.all(k.withoutPlugins().selectFrom(person).selectAll())).toEqual([
        expect.objectContaining({ born_on: '1985-02-03' }),
      ])
    })

    test('has values as the columns of a model declare them, whatever the plug-in makes of their names', async () => {
      const { db } = await people(driver)
      const table = await driver.table('id int primary key, big_points bigint, net_price numeric, gone text')
      const prices = pgTable(table, {
        id: integer().primaryKey(),
        bigPoints: bigint('big_points', { mode: 'bigint' }),
        netPrice: numeric('net_price', { mode: 'number' }),
      })
      class Price extends Model(db, prices) {}
      await db.status(`insert into ${table} values (1, 9007199254740993, 1.5), (2, 3, null)`)
      const k = kysely<Record<string, { id: number }>>(db, { plugins: [new CamelCasePlugin()] })
      const query = k.selectFrom(table).selectAll().orderBy('id')

      const made = await db.all(query, { into: Price })
      const read: Price[] = []
      for await (const one of db.iterate(query, { into: Price })) read.push(one)

      expect(made.map(({ id, bigPoints, netPrice }) => [id, bigPoints, netPrice])).toEqual([
        [1, 9007199254740993n, 1.5],
        [2, 3n, null],
      ])
      expect(read).toEqual(made)
      expect(await db.bake(query, { into: Price }).first()).toEqual(made[0])
      expect(await db.all(query.where('id', '=', 2), { into: Price.c.bigPoints })).toEqual([3n])
    })

    test('is refused when a plug-in can change its rows only by a promise', async () => {
      const { db, k, person } = await people(driver)
      const query = k.withPlugin(new ParseJSONResultsPlugin()).selectFrom(person).selectAll()

      const error = await caught(db.all(query))

      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain('ParseJSONResultsPlugin')
      expect(await query.execute()).toEqual([])
    })

    test('with a schema in front goes there', async () => {
      const { db, k, person } = await people(driver)

      expect(await db.all(k.withSchema('public').selectFrom(person).select('id'))).toEqual([])
    })
  })

  describe("Kysely's sql", () => {
    test('and compiled queries become queries by toQuery()', async () => {
      const { db, k, person } = await people(driver)
      const compiled = k.selectFrom(person).select('name').where('age', '>', 40).compile()
      await db.status(k.insertInto(person).values({ name: 'Ann', age: 41 }))

      const rows = await db.all(toQuery(compiled))
      const values = await db.all(toQuery(sql<{ sum: number }>`select ${1}::int + ${2}::int as sum`))

      expectTypeOf(rows).toEqualTypeOf<{ name: string }[]>()
      expectTypeOf(values).toEqualTypeOf<{ sum: number }[]>()
      expect(rows).toEqual([{ name: 'Ann' }])
      expect(values).toEqual([{ sum: 3 }])
      expect(await db.first(toQuery(k.selectFrom(person).select('name')))).toEqual({ name: 'Ann' })
    })

    test('is understood without it where types are not asked', async () => {
      const { db } = await people(driver)

      expect(await db.scalar(sql`select ${42}::int` as never)).toBe(42)
    })
  })

  describe('in db.sql', () => {
    test('builders, expressions, tables and sql are merged with their values', async () => {
      const { db, k, person } = await people(driver)
      await db.all(k.insertInto(person).values([{ name: 'Ann', age: 41 }, { name: 'Bob' }]))
      const eb = expressionBuilder<Tables, 'person'>()
      const old = k.selectFrom(person).select('id').where('age', '>', 40)

      const rows = await db.sql`
        select name from ${sql.table(person)} where id in (${old}) and ${eb('age', '<', 50)} and ${sql`true`} and 1 = ${1}`

      expect(rows).toEqual([{ name: 'Ann' }])
    })

    test('a builder for another database is compiled for this one', async () => {
      const { db, person } = await people(driver)

      expect(await db.sql`${mysql.selectFrom(person).select('id').where('name', '=', 'x')}`).toEqual([])
    })
  })

  test('an expression alone is refused as a query', async () => {
    const { db } = await people(driver)
    const eb = expressionBuilder<Tables, 'person'>()

    const error = await caught(db.all(eb('age', '<', 50) as never))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('is not a query')
  })

  test('data that looks like a compiled query is no query', async () => {
    const { db, k, person } = await people(driver)
    const forged: unknown = JSON.parse(JSON.stringify(k.selectFrom(person).selectAll().compile()))

    expect(await caught(db.all(forged as never))).toBeInstanceOf(UsageError)
  })

  test('undefined among the values is refused, as everywhere in Genever', async () => {
    const { db, k, person } = await people(driver)
    const query = k
      .selectFrom(person)
      .selectAll()
      .where('age', '=', undefined as never)

    expect(await caught(query.execute())).toBeInstanceOf(ParameterError)
    expect(await caught(db.all(query))).toBeInstanceOf(ParameterError)
  })
})

test('a dialect is made before the database is opened, and compiles without it', () => {
  const k = new Kysely<Tables>({ dialect: geneverDialect(createDb('postgres://localhost/nowhere')) })

  expect(k.selectFrom('person').select('id').compile().sql).toBe('select "id" from "person"')
})
