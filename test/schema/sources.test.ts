/** What may be given as a schema, what is ignored in a module, and what is refused before anything is sent. */

import { relations, sql } from 'drizzle-orm'
import { mysqlTable, int } from 'drizzle-orm/mysql-core'
import {
  index,
  integer,
  pgEnum,
  pgPolicy,
  pgRole,
  pgSchema,
  pgTable,
  pgView,
  primaryKey,
  text,
  vector,
} from 'drizzle-orm/pg-core'
import { sqliteTable, integer as sqliteInteger } from 'drizzle-orm/sqlite-core'
import { UsageError } from 'genever'
import { createStatements, dropStatements } from 'genever/schema'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../support/caught.ts'
import { drizzle1 } from './kit.ts'
import * as schema from './tables.ts'
import { orders, users } from './tables.ts'

const one = pgTable('one', { id: integer() })
const made = ['create table "one" (\n  "id" integer\n)']

describe('a schema may be', () => {
  class Model {
    static readonly table = one
  }

  test.each<[string, object]>([
    ['a table', one],
    ['a list of tables', [one]],
    ['a class with a table, as a model is', Model],
    ['an object with a table', { table: one }],
    ['a list of models', [Model, { table: one }]],
    ['an object of tables', { one, same: one }],
    ['an object with things that are no tables', { one, text: 'x', nothing: null, work: () => 1, list: [one] }],
    ['a list of modules', [{ one }, { other: Model }]],
  ])('%s', (_, given) => {
    expect(createStatements(given)).toEqual(made)
  })

  test('a module, of which relations are ignored', async () => {
    const statements = createStatements(schema)
    expect(statements).toEqual(createStatements({ ...schema, nothing: undefined }))
    expect(statements.filter((text) => text.startsWith('create table'))).toHaveLength(2)
  })

  test('tables of another copy of Drizzle, whatever its version', () => {
    const table = drizzle1.core.pgTable('one', { id: drizzle1.core.integer() })

    expect(createStatements([table])).toEqual(made)
  })
})

describe('refused before anything is sent is', () => {
  const twice = pgSchema('shop').table('orders', { id: integer() })
  const column = { table: one }.table.id

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'The schema is undefined'],
    ['a text', 'users', 'The schema is a string'],
    ['an empty list', [], 'There is nothing in the schema'],
    ['a module without tables', { a: 1 }, 'holds no table'],
    ['a list with something else', [one, 5], 'Item 2 is a number'],
    ['a column', column, 'holds no table'],
    ['tables of PostgreSQL and MySQL', [one, mysqlTable('two', { id: int() })], 'those of one database'],
    [
      'a module with a table of SQLite',
      { one, two: sqliteTable('two', { id: sqliteInteger() }) },
      'neither one of PostgreSQL',
    ],
    ['two tables of one name', [orders, twice], 'the relation "shop"."orders" twice'],
    ['two enums of one name', [pgEnum('e', ['a']), pgEnum('e', ['b'])], 'the enum "e" twice'],
    ['a policy of no table', [one, pgPolicy('own')], 'belongs to no table'],
    ['a name longer than the server keeps', [pgTable('x'.repeat(64), { id: integer() })], 'more than the 63'],
    [
      'an index on an expression without a name',
      [pgTable('one', { id: integer() }, () => [index().on(sql`lower(x)`)])],
      'has no name',
    ],
    [
      'two columns that are each the primary key',
      [pgTable('one', { a: integer().primaryKey(), b: integer().primaryKey() })],
      'primaryKey({ columns })',
    ],
    [
      'a storage parameter that is SQL',
      [pgTable('one', { id: integer() }, (t) => [index('i').on(t.id).with({ 'x) drop': 1 })])],
      'The storage parameter "x) drop" has other signs',
    ],
  ])('%s', (_, given, message) => {
    const error = thrownBy(() => createStatements(given as object))

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain(message)
    expect(error.outcome).toBe('not_started')
  })
})

test('relations are no models, although they have a table', () => {
  const related = relations?.(users, () => ({})) as object | undefined
  if (related === undefined) return

  expect(createStatements({ related, one })).toEqual(made)
})

test('statements to drop stand in the opposite order, tables in one', () => {
  const { shop, mood, state, numbers, users, orders, paid, names } = schema
  const given = [shop, mood, state, numbers, users, orders, names, paid]
  expect(dropStatements(given, { cascade: true, schemas: true })).toEqual([
    'drop view "shop"."paid" cascade',
    'drop view "names" cascade',
    'drop table "shop"."orders", "users" cascade',
    'drop sequence "numbers" cascade',
    'drop type "shop"."state" cascade',
    'drop type "mood" cascade',
    'drop schema "shop"',
  ])
})

test('views are made behind those they read, whatever order they come in', () => {
  const top = pgView('top', { id: integer() }).as(sql`select id from "middle"`)
  const middle = pgView('middle', { id: integer() }).as(sql`select id from bottom`)
  const bottom = pgView('bottom', { id: integer() }).as(sql`select id from one`)
  const names = createStatements([top, middle, one, bottom]).map((statement) => statement.split('"')[1])

  expect(names).toEqual(['one', 'bottom', 'middle', 'top'])
})

test('names are quoted whatever they hold', () => {
  const odd = pgSchema('a "b"').table('c";--', { d: integer('"') }, (t) => [primaryKey({ columns: [t.d], name: `'"` })])

  expect(createStatements([odd])).toEqual([
    'create schema "a ""b"""',
    'create table "a ""b"""."c"";--" (\n  """" integer,\n  constraint "\'""" primary key ("""")\n)',
  ])
})

test('roles are made when they are given, and dropped only when asked for', () => {
  const reader = pgRole('reader', { inherit: false, createDb: true })
  const known = pgRole('known').existing()
  const table = pgTable('one', { id: text() }, () => [
    pgPolicy('read', { for: 'select', to: [reader, known, 'public'] }),
  ])

  expect(createStatements([reader, known, table])).toEqual([
    'create role "reader" createdb noinherit',
    'create table "one" (\n  "id" text\n)',
    'alter table "one" enable row level security',
    'create policy "read" on "one" as permissive for select to "reader", "known", public',
  ])
  expect(dropStatements([reader, table])).toEqual(['drop table "one"'])
  expect(dropStatements([reader, table], { roles: true })).toEqual(['drop table "one"', 'drop role "reader"'])
})

test('types of extensions are as Drizzle says them, their defaults too', () => {
  const table = pgTable('one', {
    v: vector({ dimensions: 3 }).default([1, 2.5, -3]),
    list: vector({ dimensions: 2 }).array(),
  })

  expect(createStatements([table])).toEqual([
    'create table "one" (\n  "v" vector(3) default \'[1,2.5,-3]\',\n  "list" vector(2)[]\n)',
  ])
})
