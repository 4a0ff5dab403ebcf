/** Making a schema: what is made, what is left alone, and that it is all or nothing. */

import { sql } from 'drizzle-orm'
import { check, index, integer, pgTable, pgView, text, unique } from 'drizzle-orm/pg-core'
import {
  CheckViolationError,
  createDb,
  createEngine,
  ForeignKeyViolationError,
  QueryError,
  UniqueViolationError,
  UsageError,
} from 'genever'
import { create, createAll, dropAll } from 'genever/schema'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { databaseUrl } from '../support/database.ts'
import { onEmpty } from './support.ts'
import * as schema from './tables.ts'
import { mood, names, numbers, orders, paid, shop, users, whole } from './tables.ts'

onEmpty((place) => {
  test('createAll makes tables that refer to each other, with schemas, enums, sequences and views', async () => {
    const { created, existing } = await createAll(place.db, schema)

    expect(await place.there()).toEqual(whole)
    expect(created.toSorted()).toEqual([
      'enum "mood"',
      'enum "shop"."state"',
      'schema "shop"',
      'sequence "numbers"',
      'table "shop"."orders"',
      'table "users"',
      'view "names"',
      'view "shop"."paid"',
    ])
    expect(existing).toEqual([])
    await place.db.status(`insert into users (name) values ('Ada')`)
    await place.db.status(`insert into shop.orders (user_id) values (1)`)
    expect(
      await place.db.all('select o.number, o.state, u.mood from shop.orders o join users u on u.id = user_id'),
    ).toEqual([{ number: 100, state: 'open', mood: 'glad' }])
  })

  test('what exists is left alone, and what is missing is made', async () => {
    await place.db.status(`create type mood as enum ('other'); create table users (id int primary key, name text)`)
    const { created, existing } = await createAll(place.db, schema)

    expect(existing.toSorted()).toEqual(['enum "mood"', 'table "users"'])
    expect(created).toContain('table "shop"."orders"')
    expect(await place.db.scalar(`select count(*) from information_schema.columns where table_name = 'users'`)).toBe(2)
    expect((await createAll(place.db, schema)).created).toEqual([])
  })

  test('with checkFirst: false the server refuses what exists, and nothing is made', async () => {
    await place.db.status('create table users (id int primary key)')
    const before = await place.there()

    expect(await caught(createAll(place.db, schema, { checkFirst: false }))).toMatchObject({ sqlState: '42P07' })
    expect(await place.there()).toEqual(before)
  })

  test('a name that stands for something of another kind is refused, and nothing is made', async () => {
    await place.db.status('create view users as select 1 as id')
    const before = await place.there()
    const error = await caught(createAll(place.db, schema))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toBe('The schema has the table "users", but in the database it is a view.')
    expect(await place.there()).toEqual(before)
  })

  test('a statement that fails takes all of them back', async () => {
    const broken = pgView('broken', { id: integer() }).as(sql`select id from nowhere`)

    expect(await caught(createAll(place.db, { ...schema, broken }))).toBeInstanceOf(QueryError)
    expect(await place.there()).toEqual([])
  })

  test('in a transaction it is part of it, on the executor that is given', async () => {
    await place.db.transaction(async (tx) => {
      await createAll(tx, schema)
      expect(await tx.scalar('select count(*) from users')).toBe(0)
      tx.raiseRollback()
    })
    expect(await place.there()).toEqual([])
    await using connection = await place.db.acquire()
    await createAll(connection, schema)
    await connection.release()
    expect(await place.there()).toEqual(whole)
  })

  test('tables without a schema are made in the first schema of the search path, whatever others hold', async () => {
    await createAll(place.db, [users, orders, numbers])
    await place.db.status('create schema tenant')
    const tables = [pgTable('users', { id: integer().primaryKey() })]
    await place.db.scope(() => createAll(place.db, tables), { settings: { search_path: 'tenant, public' } })

    expect(await place.there()).toContain('table tenant.users')
    await place.db.scope(() => dropAll(place.db, tables), { settings: { search_path: 'tenant, public' } })
    expect(await place.there()).not.toContain('table tenant.users')
    expect(await place.there()).toContain('table public.users')
  })

  test('constraints declared on columns and tables are enforced', async () => {
    const teams = pgTable('teams', { id: integer().primaryKey() })
    const players = pgTable(
      'players',
      {
        id: integer().primaryKey(),
        name: text().unique(),
        number: integer().notNull(),
        team: integer().references(() => teams.id),
      },
      (t) => [unique('one_number').on(t.team, t.number), check('positive', sql`${t.number} > 0`), index().on(t.name)],
    )
    await createAll(place.db, [players, teams])
    await place.db.status(`insert into teams values (1); insert into players values (1, 'Ada', 7, 1)`)
    const insert = (values: string): Promise<unknown> => caught(place.db.status(`insert into players values ${values}`))

    expect(await insert(`(1, 'Bob', 8, 1)`)).toBeInstanceOf(UniqueViolationError)
    expect(await insert(`(2, 'Ada', 8, 1)`)).toBeInstanceOf(UniqueViolationError)
    expect(await insert(`(2, 'Bob', 7, 1)`)).toMatchObject({ constraint: 'one_number' })
    expect(await insert(`(2, 'Bob', 0, 1)`)).toBeInstanceOf(CheckViolationError)
    expect(await insert(`(2, 'Bob', 8, 9)`)).toBeInstanceOf(ForeignKeyViolationError)
    expect(await place.db.scalar(`select indexdef from pg_indexes where indexname = 'players_name_index'`)).toContain(
      '(name)',
    )
  })

  test('comments are made for the objects they are given for', async () => {
    const comments = new Map<object, string>([
      [users, "People, also Ada's"],
      [users.name, 'As they \\ spell it'],
      [orders.state, 'Paid or not'],
      [mood, 'How they feel'],
      [numbers, 'Of orders'],
      [names, 'All of them'],
      [shop, 'The shop'],
    ])
    await createAll(place.db, schema, { comments })

    expect(
      await place.db.all(`
        select obj_description('users'::regclass) as users, col_description('users'::regclass, 2) as name,
          col_description('shop.orders'::regclass, 3) as state, obj_description('mood'::regtype) as mood,
          obj_description('numbers'::regclass) as numbers, obj_description('names'::regclass) as names,
          obj_description('shop'::regnamespace) as shop`),
    ).toEqual([
      {
        users: "People, also Ada's",
        name: 'As they \\ spell it',
        state: 'Paid or not',
        mood: 'How they feel',
        numbers: 'Of orders',
        names: 'All of them',
        shop: 'The shop',
      },
    ])
    const other = pgTable('other', { id: integer() })
    const error = await caught(createAll(place.db, schema, { comments: [[other, 'not in it']] }))
    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('not in the schema')
  })

  test('create makes one thing, with the enums and the schema it needs', async () => {
    await create(place.db, numbers)
    await create(place.db, mood)
    await create(place.db, pgTable('users', { id: integer().primaryKey(), mood: mood() }))
    await create(place.db, orders)
    await create(place.db, { table: paid })

    expect(await place.there()).toEqual([
      'enum public.mood',
      'enum shop.state',
      'schema shop',
      'sequence public.numbers',
      'table public.users',
      'table shop.orders',
      'view shop.paid',
    ])
    expect((await create(place.db, orders)).existing).toContain('table "shop"."orders"')
    expect(await caught(create(place.db, orders, { checkFirst: false }))).toMatchObject({ sqlState: '42P07' })
    expect(await caught(create(place.db, schema))).toBeInstanceOf(UsageError)
    expect(await caught(create(place.db, [users]))).toBeInstanceOf(UsageError)
  })
})

test('an engine is enough: tables are made, filled, read and dropped', async () => {
  const table = pgTable(`t_${process.pid}_engine`, { name: text() })
  await using engine = await createEngine(await databaseUrl())
  await createAll(engine, [table])
  await engine.status(`insert into t_${process.pid}_engine values ('Ada')`)

  expect(await engine.all(`select name from t_${process.pid}_engine`)).toEqual([{ name: 'Ada' }])
  expect((await dropAll(engine, [table])).dropped).toHaveLength(1)
})

describe('several processes', () => {
  test('that make the same schema at once wait for each other', async () => {
    const table = pgTable(`t_${process.pid}_race`, { id: integer().primaryKey() })
    await using db = createDb(await databaseUrl(), { pool: { max: 4 } })
    const reports = await Promise.all([1, 2, 3, 4].map(() => createAll(db, [table])))

    expect(reports.flatMap(({ created }) => created)).toHaveLength(1)
    expect(reports.flatMap(({ existing }) => existing)).toHaveLength(3)
    await dropAll(db, [table])
  })
})
