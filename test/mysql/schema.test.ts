/** `createAll()` and its likes from `mysqlTable` on a real MySQL or MariaDB: what they make, what they leave alone, and what cannot be. */

import { asc, desc, gt, sql } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { pgTable, integer } from 'drizzle-orm/pg-core'
import { createDb, type Db } from 'genever'
import { Model } from 'genever/models'
import { create, createAll, createStatements, drop, dropAll, dropStatements } from 'genever/schema'
import { FakeDriver } from 'genever/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql, onMysql } from '../support/mysql.ts'

const authors = d.mysqlTable(
  'authors',
  {
    id: d.int().autoincrement().primaryKey(),
    name: d.varchar({ length: 40 }).notNull().unique(),
    kind: d.mysqlEnum(['poet', "it's"]).notNull().default("it's"),
    height: d.decimal({ precision: 10, scale: 2 }).default('1.50'),
    active: d.boolean().notNull().default(true),
    note: d.text().default('a\\b'),
    data: d.json().default({ tags: ["it's"] }),
    born: d.date().default(new Date('2000-02-29T00:00:00Z')),
    made: d
      .datetime({ fsp: 3 })
      .notNull()
      .default(sql`now()`),
    seen: d.timestamp({ fsp: 3 }).defaultNow().onUpdateNow(),
    shout: d.varchar({ length: 40 }).generatedAlwaysAs(() => sql`upper(name)`, { mode: 'stored' }),
  },
  (t) => [d.index('authors_born').on(t.born), d.check('tall', gt(t.height, '0.5'))],
)
const books = d.mysqlTable(
  'books',
  {
    author: d
      .int()
      .notNull()
      .references(() => authors.id, { onDelete: 'cascade' }),
    number: d.int().notNull(),
    title: d.varchar({ length: 40 }),
    next: d.bigint({ mode: 'number', unsigned: true }),
  },
  (t) => [d.primaryKey({ columns: [t.author, t.number] }), d.unique('one_title').on(t.author, t.title)],
)
const hens = d.mysqlTable('hens', {
  id: d.serial().primaryKey(),
  egg: d.bigint({ mode: 'number', unsigned: true }).references((): d.AnyMySqlColumn => eggs.id),
})
const eggs = d.mysqlTable('eggs', {
  id: d.serial().primaryKey(),
  hen: d.bigint({ mode: 'number', unsigned: true }).references(() => hens.id),
})
const titles = d.mysqlView('titles').as((q) => q.select({ title: books.title }).from(books).where(gt(books.number, 1)))
const schema = { books, authors, hens, eggs, titles, relations: { some: 'thing' } }

describeMysql('a schema on MySQL', () => {
  let server: FreshMysql
  let db: Db
  beforeEach(async () => {
    server = await freshMysql()
    db = createDb(server.url)
  })
  afterEach(async () => {
    await db.close()
    await server[Symbol.asyncDispose]()
  })

  const tables = async (): Promise<unknown[]> => {
    const rows = await server.query(
      'select table_name as name from information_schema.tables where table_schema = database() order by 1',
    )
    return rows.map(({ name }) => name)
  }

  test('tables are made with their keys, defaults, checks and indexes, whatever their order', async () => {
    const { created, existing } = await createAll(db, schema)

    expect(created.toSorted()).toEqual([
      'table `authors`',
      'table `books`',
      'table `eggs`',
      'table `hens`',
      'view `titles`',
    ])
    expect(existing).toEqual([])
    class Author extends Model(db, authors) {}
    class Book extends Model(db, books) {}
    const ada = await Author.create({ name: 'Ada' })
    expect(ada).toMatchObject({
      id: 1,
      kind: "it's",
      height: '1.50',
      active: true,
      note: 'a\\b',
      data: { tags: ["it's"] },
      born: new Date('2000-02-29T00:00:00Z'),
      shout: 'ADA',
    })
    expect(ada.made).toBeInstanceOf(Date)
    expect(ada.seen).toBeInstanceOf(Date)
    expect((await caught(Author.create({ name: 'Ada' }))).name).toBe('UniqueViolationError')
    expect((await caught(Author.create({ name: 'Bob', height: '0.25' }))).name).toBe('CheckViolationError')
    await Book.create({ author: 1, number: 2, title: 'x' })
    expect((await caught(Book.create({ author: 1, number: 3, title: 'x' }))).name).toBe('UniqueViolationError')
    expect((await caught(Book.create({ author: 7, number: 1 }))).name).toBe('ForeignKeyViolationError')
    expect(await server.query('select title from titles')).toEqual([{ title: 'x' }])
    await ada.delete()
    expect(await Book.where({ author: 1 }).count()).toBe(0)
    expect(await server.query("show index from authors where key_name = 'authors_born'")).toHaveLength(1)
    await server.query('insert into hens (egg) values (null)')
    const orphan = await caught(db.status('insert into eggs (hen) values (7)'))
    expect(orphan.name).toBe('ForeignKeyViolationError')
    expect((await caught(db.status('insert into hens (egg) values (7)'))).name).toBe('ForeignKeyViolationError')
  })

  test('what is there is left alone, and dropped with its circles', async () => {
    await create(db, authors)
    const again = await createAll(db, schema)

    expect(again.existing).toEqual(['table `authors`'])
    expect(again.created).toHaveLength(4)
    const gone = await dropAll(db, schema)
    expect(gone.dropped).toHaveLength(5)
    expect(gone.missing).toEqual([])
    expect(await tables()).toEqual([])
    expect((await dropAll(db, schema)).missing).toHaveLength(5)
  })

  test('the statements make the same by hand', async () => {
    for (const statement of createStatements(schema)) await server.query(statement)
    expect((await createAll(db, schema)).existing).toHaveLength(5)
    for (const statement of dropStatements(schema)) await server.query(statement)
    expect(await tables()).toEqual([])
  })

  test('a table that another one refers to is not dropped, and nothing is', async () => {
    await createAll(db, [authors, books])
    const error = await caught(drop(db, authors))

    expect(error.message).toContain('books refers to `authors`')
    expect(await tables()).toEqual(['authors', 'books'])
    expect((await drop(db, books)).dropped).toEqual(['table `books`'])
  })

  test('a mysqlSchema is a database', async () => {
    const name = `${server.name}_more`
    const more = d.mysqlSchema(name)
    const things = more.table('things', { id: d.int().primaryKey() })
    try {
      expect((await createAll(db, { more, things })).created).toEqual([
        `schema \`${name}\``,
        `table \`${name}\`.\`things\``,
      ])
      await server.query(`insert into \`${name}\`.things values (1)`)
      await server.query(`create table \`${name}\`.others (id int)`)
      expect((await dropAll(db, { more, things }, { schemas: true })).dropped).toEqual([`table \`${name}\`.\`things\``])
      await server.query(`drop table \`${name}\`.others`)
      for (const [make, kind] of [
        ['function f() returns int deterministic return 1', 'function f'],
        ['procedure p() select 1', 'procedure p'],
        ['event e on schedule every 1 year do select 1', 'event e'],
      ] as const) {
        await server.query(`create ${make.replace(/ (?=\w+(?:\(| on))/, ` \`${name}\`.`)}`)
        expect([kind, (await dropAll(db, { more }, { schemas: true })).dropped]).toEqual([kind, []])
        await server.query(`drop ${kind.replace(' ', ` \`${name}\`.`)}`)
      }
      expect((await dropAll(db, { more }, { schemas: true })).dropped).toEqual([`schema \`${name}\``])
    } finally {
      await onMysql(`drop database if exists \`${name}\``)
    }
  })

  test('a view has the options that it is declared with', async () => {
    const columns = { id: d.int(), kind: d.int() }
    const owned = d.mysqlTable('owned', { id: d.int().primaryKey(), kind: d.int() })
    const rows = sql`select id, kind from owned where kind = 1`
    const checked = d
      .mysqlView('checked', columns)
      .algorithm('merge')
      .sqlSecurity('invoker')
      .withCheckOption('local')
      .as(rows)
    const plain = d.mysqlView('plain', columns).as(rows)
    await createAll(db, { owned, checked, plain })

    await db.status('insert into plain values (1, 2)')
    expect((await caught(db.status('insert into checked values (2, 2)'))).message).toMatch(/check option/i)
    const [made] = await server.query(
      "select security_type as security, check_option as checks from information_schema.views where table_name = 'checked' and table_schema = database()",
    )
    expect(made).toEqual({ security: 'INVOKER', checks: 'LOCAL' })
    expect(createStatements(checked)[0]).toMatch(
      /^create algorithm = merge sql security invoker view `checked` as .* with local check option$/,
    )
    const wrong = d
      .mysqlView('wrong', columns)
      .algorithm('fast' as never)
      .as(rows)
    expect(() => createStatements(wrong)).toThrow(/algorithm of the view "wrong" is one of undefined, merge, temptable/)
  })

  test('an index has its directions, and its expressions in brackets', async () => {
    const ranks = d.mysqlTable('ranks', { a: d.int(), 'b`c': d.int() }, (t) => [
      d.index('down').on(desc(t.a), asc(t['b`c'])),
      d.index('of_two').on(sql`${t['b`c']} DESC`, t.a),
    ])
    await createAll(db, ranks)
    const made = await server.query(
      "select index_name as name, collation as way from information_schema.statistics where table_name = 'ranks' and table_schema = database() order by 1, seq_in_index",
    )
    expect(made.map(({ name, way }) => `${String(name)} ${String(way)}`)).toEqual([
      'down D',
      'down A',
      'of_two D',
      'of_two A',
    ])
    const lower = d.mysqlTable('lower_ranks', { t: d.varchar({ length: 9 }) }, (t) => [
      d.index('i').on(sql`(lower(${t.t}))`),
      d.index('j').on(desc(sql`${t.t} + 1`)),
    ])
    expect(createStatements(lower)[0]).toMatch(/index `i` \(\(\(lower\(`t`\)\)\)\),\s+index `j` \(\(`t` \+ 1\) desc\)/)
  })

  test('processes that make the same at once wait for each other', async () => {
    await using other = createDb(server.url)
    const reports = await Promise.all([createAll(db, schema), createAll(other, schema), createAll(db, schema)])

    expect(reports.filter(({ created }) => created.length === 5)).toHaveLength(1)
    expect(reports.filter(({ existing }) => existing.length === 5)).toHaveLength(2)
    expect(await tables()).toHaveLength(5)
  })

  test('tables of MySQL are refused on PostgreSQL', async () => {
    await using postgres = createDb({ driver: new FakeDriver() })
    const errors = [await caught(createAll(postgres, authors)), await caught(dropAll(postgres, authors))]

    expect(errors).toMatchObject([{ name: 'UsageError' }, { name: 'UsageError' }])
    expect(errors[0]?.message).toContain('PostgreSQL')
  })

  test.each<readonly [string, string, () => Promise<unknown>]>([
    ['a transaction around', 'transaction', () => db.transaction((tx) => createAll(tx, authors))],
    ['a transaction of the context', 'transaction', () => db.transaction(() => dropAll(db, authors))],
    ['cascade', 'cascade', () => dropAll(db, authors, { cascade: true })],
    ['comments', 'comments', () => createAll(db, authors, { comments: [[authors, 'x']] })],
    ['tables of two databases', 'PostgreSQL', () => createAll(db, { authors, other: pgTable('o', { id: integer() }) })],
    [
      'a name that is a view',
      'view',
      () => server.query('create view authors as select 1').then(() => createAll(db, authors)),
    ],
  ])('%s is refused by name', async (_, word, use) => {
    const error = await caught(Promise.resolve().then(use))

    expect(['UsageError', 'TransactionStateError']).toContain(error.name)
    expect(error.message).toContain(word)
    expect(await server.query("show full tables where table_type = 'BASE TABLE'")).toEqual([])
  })
})
