/** Lists whose rows are paired with their objects by a whole number, and those that cannot be. */

import { and, between, desc, eq, getTableName, gt, inArray, isNotNull, ne, not, or, type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  integer,
  type PgTable,
  pgTable,
  serial,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import { many, Model, plain } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { blog, titles } from './support/blog.ts'

/** The key of the object stands in each part. */
const paired = (statement: string): boolean => / union all /.test(statement) && !statement.includes('"genever g0"')

forEachDriver((driver) => {
  describe('a condition', () => {
    test('that is equality of the key stands in each part, any other once', async () => {
      const name = `by key ${driver.name}`
      const { Author, Post } = await blog(driver, { name })
      const query = Author.query()
        .load(Author.load({ posts: many(Post) }))
        .orderBy(Author.c.id)
      await query
      const { id, name: called } = Author.c
      const plain: readonly (SQL | object | undefined)[] = [
        { id: 1 },
        eq(id, 1),
        eq(Author.table.id, 1),
        and(eq(id, 1), undefined),
        sql`${id} = ${1}`,
      ]
      const others: readonly (SQL | object | undefined)[] = [
        undefined,
        {},
        { id: [1, 2] },
        { id: null },
        inArray(id, [1, 2]),
        inArray(id, []),
        and(gt(id, 0), or(ne(id, 7), isNotNull(id))),
        not(between(id, 4, 5)),
        sql`(${id} = ${1} or ${id} in (${2}, 3)) and true`,
        sql`${id} is distinct from ${sql.param(9)}`,
        { name: 'A' },
        { id: 1, name: 'A' },
        eq(called, 'A'),
        sql`abs(${id}) = 1`,
        sql`${id} > random()`,
        sql`${id} = any(array[1, 2])`,
        and(gt(id, 0), sql`${id} + 0 < 3`)!,
        sql`${sql.identifier('id')} = 1`,
        sql`${id} = 1 -- by hand
        `,
        eq(id, sql`abs(${1})`),
        sql`${id} = ${1}`.inlineParams(),
        sql`exists (select 1 where ${id} = 1)`,
      ]
      using heard = hear(name)
      for (const condition of plain) await query.where(condition)
      expect(heard.statements.map(({ sql: statement }) => paired(statement))).toEqual(plain.map(() => true))
      for (const condition of others) await query.where(condition)
      expect(heard.statements.slice(plain.length).map(({ sql: statement }) => paired(statement))).toEqual(
        others.map(() => false),
      )
      const apart = query.load(Author.load({ posts: many(Post) }), { strategy: 'select-in' })
      for (const condition of [...plain, ...others])
        expect(titles(await query.where(condition))).toEqual(titles(await apart.where(condition)))
    })

    test('is looked at once', async () => {
      const { Author, Post } = await blog(driver)
      const query = Author.query().load(Author.load({ posts: many(Post) }))
      await query
      let looks = 0
      const counted = (value: number) => sql.param(value, { mapToDriverValue: (given: number) => (looks++, given) })

      expect(titles(await query.where(sql`abs(${Author.c.id}) = ${counted(2)}`))).toEqual(['b1'])
      expect(looks).toBe(1)
      expect(titles(await query.where(sql`${Author.c.id} = ${counted(2)}`))).toEqual(['b1'])
      expect(looks).toBe(2)
    })

    test('whose value is SQL that a type of the user writes stands once', async () => {
      const db = await driver.db()
      const odd = customType<{ data: number }>({
        dataType: () => 'integer',
        toDriver: (value) => sql`${value} + floor(random())::int`,
      })
      const owners = pgTable(await driver.table('id int primary key, code int not null unique'), {
        id: odd().primaryKey(),
        code: integer().notNull().unique(),
      })
      const things = pgTable(await driver.table('id serial primary key, code int'), {
        id: serial().primaryKey(),
        code: integer().references(() => owners.code),
      })
      class Owner extends Model(db, owners) {}
      class Thing extends Model(db, things) {}
      await db.all(sqlOf(owners, 'values (1, 10), (2, 20)'))
      await Thing.createMany([{ code: 10 }, { code: 20 }, { code: 20 }])
      const query = Owner.query().load(Owner.load({ things: many(Thing) }))
      for (let n = 0; n < 3; n++) {
        expect((await query.where({ id: 2 }).one()).things).toHaveLength(2)
        expect((await query.where(eq(Owner.c.id, 1)).first())?.things).toHaveLength(1)
      }
    })
  })

  test('one object by its key comes in one form, whatever asks for it', async () => {
    const name = `one by key ${driver.name}`
    const { Author, Post } = await blog(driver, { name, index: true })
    const query = Author.query().load(Author.load({ posts: many(Post) }))
    await query
    using heard = hear(name)
    for (const one of [query.where({ id: 1 }), query.where(eq(Author.c.id, 1))]) {
      expect(titles(await one)).toEqual(['a1 a2 a3'])
      for (const found of [await one.first(), await one.one(), await one.oneOrNone(), await one.firstOr404()])
        expect(titles(found === undefined ? [] : [found])).toEqual(['a1 a2 a3'])
    }
    expect(new Set(heard.statements.map(({ sql: statement }) => statement)).size).toBe(1)
    expect(heard.statements.every(({ sql: statement }) => paired(statement) && !/ in \(/.test(statement))).toBe(true)
    expect(await query.where({ id: 99 }).first()).toBeUndefined()
    expect(await query.where(eq(Author.c.id, 99)).oneOrNone()).toBeUndefined()
  })

  test('the indexes and numbers of a relation are known to each loader that has it', async () => {
    const name = `each loader ${driver.name}`
    const { Author, Post } = await blog(driver, { name, index: true })
    const ordered = () => Author.load({ posts: many(Post.query().orderBy(desc(Post.c.score))) })
    await Author.query().load(Author.load({ posts: many(Post) }))
    using heard = hear(name)
    expect(titles(await Author.where({ id: 1 }).load(Author.load({ posts: many(Post) })))).toEqual(['a1 a2 a3'])
    expect(titles(await Author.where({ id: 1 }).load(ordered()))).toEqual(['a1 a3 a2'])
    expect(
      heard.statements.map(({ sql: statement }) => [paired(statement), statement.includes('array(select')]),
    ).toEqual([
      [true, false],
      [false, true],
    ])
  })

  test('whatever the query is, its objects are found once, and several of one key have the same list each', async () => {
    const name = `kept ${driver.name}`
    const db = await driver.db({ name })
    const owners = pgTable(await driver.table('id int primary key, code int, word text'), {
      id: integer().primaryKey(),
      code: integer(),
      word: text(),
    })
    const things = pgTable(await driver.table('id int primary key, code int'), {
      id: integer().primaryKey(),
      code: integer().references(() => owners.code),
    })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things) {}
    await db.all(sqlOf(owners, `values (1, 7, 'a'), (2, 8, 'b'), (3, 7, 'b'), (4, null, 'b'), (5, 9, 'c')`))
    await db.all(sqlOf(things, 'values (3, 7), (1, 7), (2, 8), (4, null)'))
    const Beside = Owner.alias('beside')
    const query = Owner.query()
      .load(Owner.load({ things: many(Thing), others: many(Thing.where(gt(Thing.c.id, 2))) }))
      .orderBy(Owner.c.id)
    const seen = (rows: readonly { id: number; things: { id: number }[]; others: { id: number }[] }[]): unknown =>
      rows.map((row) => [row.id, row.things.map(({ id }) => id).join(), row.others.map(({ id }) => id).join()])
    const [one, two, three, four, five] = [
      [1, '1,3', '3'],
      [2, '2', ''],
      [3, '1,3', '3'],
      [4, '', ''],
      [5, '', ''],
    ]
    await query
    using heard = hear(name)
    expect(seen(await query.where(sql`${Owner.c.id} <> 3 + floor(random())`))).toEqual([one, two, four, five])
    expect(seen(await query.where({ word: 'b' }))).toEqual([two, three, four])
    expect(seen(await query.limit(3))).toEqual([one, two, three])
    expect(seen(await query.offset(2))).toEqual([three, four, five])
    expect(seen(await query.limit(1).offset(2))).toEqual([three])
    expect(seen(await query.limit(3).forUpdate({ skipLocked: true }))).toEqual([one, two, three])
    expect(seen((await query.limit(3).page()).rows)).toEqual([one, two, three])
    expect(seen(await query.join(Beside, eq(Beside.c.code, Owner.c.code)))).toEqual([one, one, two, three, three, five])
    expect(seen(await query.groupBy(Owner.c.id).having(gt(Owner.c.id, 3)))).toEqual([four, five])
    const first = await query.where({ word: 'b' }).first()
    expect(seen(first === undefined ? [] : [first])).toEqual([two])
    expect(seen([await query.where({ word: 'a' }).one()])).toEqual([one])
    const forms = heard.statements.map(({ sql: statement }) => [
      statement.startsWith('with "genever g0" as materialized ('),
      / union all /.test(statement),
      statement.includes('"genever n"'),
    ])
    expect(forms).toEqual(forms.map(() => [true, true, false]))
    expect(forms).toHaveLength(11)
  })

  test('columns that are no whole numbers pair as the server compares them, whatever they are declared as', async () => {
    const db = await driver.db()
    const owners = pgTable(await driver.table('id int primary key, code text unique, amount numeric unique'), {
      id: integer().primaryKey(),
      code: integer(),
      amount: bigint({ mode: 'number' }),
    })
    const things = pgTable(await driver.table('id int primary key, code text, amount numeric'), {
      id: integer().primaryKey(),
      code: integer().references(() => owners.code),
      amount: bigint({ mode: 'number' }).references(() => owners.amount),
    })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things) {}
    await db.all(sqlOf(owners, `values (1, '7', 9007199254740992), (2, '07', 9007199254740993), (3, null, null)`))
    await db.all(sqlOf(things, `values (1, '7', 9007199254740993), (2, '07', 9007199254740993), (3, '007', null)`))
    const coded = many(Thing).on(eq(Thing.c.code, Owner.c.code))
    const valued = many(Thing).on(eq(Thing.c.amount, Owner.c.amount))
    const Coded = pgTable(getTableName(things), {
      id: integer().primaryKey(),
      code: integer().references(() => owners.code),
    })
    const Valued = pgTable(getTableName(things), {
      id: integer().primaryKey(),
      amount: bigint({ mode: 'number' }).references(() => owners.amount),
    })
    class CodedThing extends Model(db, Coded) {}
    class ValuedThing extends Model(db, Valued) {}
    const ids = (list: readonly { readonly id: number }[]): number[] => list.map(({ id }) => id)
    for (let n = 0; n < 3; n++) {
      const byCondition = await Owner.query().load(Owner.load({ coded, valued })).orderBy(Owner.c.id)
      const byCode = await Owner.query()
        .load(Owner.load({ coded: many(CodedThing) }))
        .orderBy(Owner.c.id)
      const byAmount = await Owner.query()
        .load(Owner.load({ valued: many(ValuedThing) }))
        .orderBy(Owner.c.id)
      expect(byCondition.map((owner) => [ids(owner.coded), ids(owner.valued)])).toEqual([
        [[1], []],
        [[2], [1, 2]],
        [[], []],
      ])
      expect(byCode.map((owner) => ids(owner.coded))).toEqual([[1], [2], []])
      expect(byAmount.map((owner) => ids(owner.valued))).toEqual([[], [1, 2], []])
    }
  })

  test('objects and rows of several lists are told apart where nearly all of their columns are NULL', async () => {
    const name = `nulls by key ${driver.name}`
    const db = await driver.db({ name })
    const owners = pgTable(await driver.table('note text, more timestamptz, code int unique, id int primary key'), {
      note: text(),
      more: timestamp({ withTimezone: true }),
      code: integer(),
      id: integer().primaryKey(),
    })
    const columns = 'note text, more bool, id int, code int'
    const things = (table: string) =>
      pgTable(table, {
        note: text(),
        more: boolean(),
        id: integer().primaryKey(),
        code: integer().references(() => owners.code),
      })
    class Owner extends Model(db, owners) {}
    class Thing extends Model(db, things(await driver.table(columns))) {}
    class Other extends Model(db, things(await driver.table(columns))) {}
    await db.all(sqlOf(owners, '(code, id) values (1, 7), (null, 8), (2, 9), (3, 10)'))
    await db.all(sqlOf(Thing.table, '(id, code) values (null, 1), (null, 1), (5, 3), (6, null), (null, null)'))
    await db.all(sqlOf(Other.table, `(note, id, code) values (null, null, 2), ('x', null, 3), (null, 1, 3)`))
    const [one, two] = [{ things: many(Thing) }, { others: many(Other), things: many(Thing) }]
    using heard = hear(name)
    for (let n = 0; n < 2; n++) {
      const single = await Owner.query().load(Owner.load(one)).orderBy(Owner.c.id)
      const both = await Owner.query().load(Owner.load(two)).orderBy(desc(Owner.c.id))
      expect(
        plain(single).map(({ note, id, things: list }) => [note, id, ...list.map((each) => [each.id, each.code])]),
      ).toEqual([
        [null, 7, [null, 1], [null, 1]],
        [null, 8],
        [null, 9],
        [null, 10, [5, 3]],
      ])
      expect(both.map(({ id, things: list, others }) => [id, list.length, others.map((each) => each.note)])).toEqual([
        [10, 1, [null, 'x']],
        [9, 0, [null]],
        [8, 0, []],
        [7, 2, []],
      ])
    }
    expect(heard.statements.at(-1)?.sql).toContain(' union all ')
    expect(heard.statements.at(-1)?.sql).not.toContain('"genever n"')
  })

  test('objects of what is a view that was declared as a table have their lists, whatever rows it gives', async () => {
    const { db, Author, Post } = await blog(driver)
    await Author.createMany(Array.from({ length: 60 }, () => ({ name: 'D' })))
    await db.all(sqlOf(Post.table, `(author_id, title) select id, 'more' from "${getTableName(Author.table)}"`))
    const name = `${getTableName(Author.table)}_some`
    await db.status(`create view ${name} as select id, name from "${getTableName(Author.table)}" where random() < 0.5`)
    const some = pgTable(name, { id: serial().primaryKey(), name: text().notNull() })
    const posts = pgTable(getTableName(Post.table), {
      id: serial().primaryKey(),
      authorId: integer('author_id').references(() => some.id),
      title: text().notNull(),
    })
    class Some extends Model(db, some) {}
    class Piece extends Model(db, posts) {}
    const query = Some.query().load(Some.load({ posts: many(Piece) }))
    for (let n = 0; n < 5; n++)
      for (const found of [await query, await query.where(gt(Some.c.id, 0))])
        expect(found.filter((each) => each.posts.length === 0)).toEqual([])
    await db.status(`drop view ${name}`)
  })
})

function sqlOf(table: PgTable, rest: string): string {
  return `insert into "${getTableName(table)}" ${rest}`
}
