/** What the package asks by itself is read as PostgreSQL's types say, whatever conversions a user has given. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { createDb, SchemaNotFoundError } from 'genever'
import { migrate, migrationStatus } from 'genever/migrations'
import { many, Model } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { createAll } from 'genever/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'

const marked = (value: string): string => `marked ${value}`
const types = Object.fromEntries(
  ['bool', 'int4', 'int8', 'float8', 'text', 'name', 'oid', '"char"', 'void', 'unknown'].map((type) => [
    type,
    { read: marked, write: () => 'written' },
  ]),
)

const authors = pgTable('authors', { id: integer().primaryKey(), name: text() })
const books = pgTable('books', { id: integer().primaryKey(), author: integer().references(() => authors.id) })

let database: FreshDatabase
let folder: string
beforeAll(async () => {
  database = await freshDatabase('create schema a; create schema b')
  folder = await mkdtemp(join(tmpdir(), 'genever-types-'))
  await writeFile(join(folder, '1_first.sql'), 'create table first (n int)')
  await writeFile(join(folder, '2_alone.sql'), 'create index concurrently on first (n)')
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await database.drop()
})

test('locks are taken and given back', async () => {
  await using db = createDb(database.url, { types })

  expect(await db.scalar('select true')).toBe('marked t')
  expect(await db.lock('a', () => 'done')).toBe('done')
  expect(await db.lock('a', () => 'done', { try: true })).toBe('done')
  expect(await db.transaction(() => db.lock('a', () => 'done', { try: true }))).toBe('done')
  expect(
    await db.scalar(
      "select count(*)::text::varchar from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())",
    ),
  ).toBe('0')
})

test('migrations are applied once, on every schema', async () => {
  await using db = createDb(database.url, { types })

  const first = await migrate(db, { folder, schemas: /^[ab]$/ })
  const again = await migrate(db, { folder, schemas: /^[ab]$/ })

  expect(first.applied.map(({ schema, file }) => `${schema} ${file}`).toSorted()).toEqual([
    'a 1_first',
    'a 2_alone',
    'b 1_first',
    'b 2_alone',
  ])
  expect(again.applied).toEqual([])
  expect((await migrationStatus(db, { folder, schemas: ['a'] })).drift).toEqual([])
})

test('tables are created once, and lists are loaded', async () => {
  await using db = createDb(database.url, { types, onConnect: (connection) => connection.status("set app.x = 'base'") })
  await createAll(db, [authors, books])
  await createAll(db, [authors, books])
  class Author extends Model(db, authors) {}
  class Book extends Model(db, books) {}
  await Author.create({ id: 1, name: 'Ada' })
  await Book.create({ id: 2, author: 1 })

  const loaded = await db.scope(
    () =>
      Author.query()
        .load(Author.load({ books: many(Book) }))
        .one(),
    {
      settings: { 'app.x': 'of the scope' },
    },
  )

  expect(loaded).toMatchObject({ id: 1, name: 'Ada', books: [{ id: 2 }] })
  expect(await db.scalar("select current_setting('app.x')::varchar")).toBe('base')
})

test('the schema of a tenant is looked for', async () => {
  const db = createRegistry({ main: { url: database.url, types }, tenancy: { schema: (id: string) => id } })

  expect(await db.withTenant('a', () => db.scalar('select current_schema()::varchar'))).toBe('a')
  expect(await caught(db.withTenant('none', () => db.scalar('select 1')))).toBeInstanceOf(SchemaNotFoundError)
  await db.close({ force: true })
})
