/** Models of `mysqlTable` on a real MySQL or MariaDB, by the sentences of docs/mysql.md. */

import { createDb, type Db, sql as tag } from 'genever'
import { json, literal, many, Model, none, some } from 'genever/models'
import { FakeDriver } from 'genever/testing'
import { asc, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import * as d from 'drizzle-orm/mysql-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { describeMysql, freshMysql, type FreshMysql } from '../support/mysql.ts'
import { withoutReturning, type WithoutReturning } from '../support/without-returning.ts'
import { hasReturning } from '../../src/driver/mysql/driver.ts'

const users = d.mysqlTable('users', {
  id: d.int().autoincrement().primaryKey(),
  email: d.varchar({ length: 80 }).notNull().unique(),
  name: d.varchar({ length: 40 }),
  age: d.int().notNull().default(18),
  big: d.bigint({ mode: 'bigint' }),
  price: d.decimal({ precision: 30, scale: 10 }),
  active: d.boolean().notNull().default(true),
  born: d.date(),
  seen: d.datetime({ fsp: 3 }),
  profile: d.json().$type<Record<string, unknown>>(),
})

const items = d.mysqlTable(
  'items',
  { shop: d.int().notNull(), code: d.varchar({ length: 20 }).notNull(), stock: d.int().notNull() },
  (t) => [d.primaryKey({ columns: [t.shop, t.code] })],
)

const twice = d.mysqlTable('twice', {
  id: d.int().primaryKey(),
  a: d.varchar({ length: 20 }).unique(),
  b: d.int(),
})

const shops = d.mysqlTable('shops', { id: d.int().primaryKey(), name: d.varchar({ length: 20 }) })
const articles = d.mysqlTable('articles', {
  id: d.int().primaryKey(),
  shop: d.int().references(() => shops.id),
  title: d.varchar({ length: 20 }),
})
const parts = d.mysqlTable('parts', {
  id: d.int().primaryKey(),
  article: d.int().references(() => articles.id),
})

const schema = [
  `create table users (id int primary key auto_increment, email varchar(80) not null unique, name varchar(40),
    age int not null default 18, big bigint, price decimal(30, 10), active boolean not null default true, born date,
    seen datetime(3), profile json)`,
  'create table items (shop int not null, code varchar(20) not null, stock int not null, primary key (shop, code))',
  'create table shops (id int primary key, name varchar(20))',
  'create table articles (id int primary key, shop int, title varchar(20))',
  'create table parts (id int primary key, article int)',
  'create table twice (id int primary key, a varchar(20) unique, b int)',
]

for (const hidden of [false, true])
  describeMysql(hidden ? 'models on a server without RETURNING' : 'models on MySQL', () => {
    let server: FreshMysql
    let front: WithoutReturning
    let db: Db
    let returns: boolean
    beforeAll(async () => {
      server = await freshMysql(...schema)
      front = await withoutReturning(server.url)
      const [row] = await server.query('select version() as version')
      returns = !hidden && hasReturning(String(row?.['version']))
      db = createDb(hidden ? front.url : server.url)
    })
    afterAll(async () => {
      await db.close()
      await front[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      expect(front.refused).toEqual([])
    })
    afterEach(async () => {
      for (const table of ['users', 'items', 'twice']) await server.query(`delete from ${table}`)
    })

    const modelled = () =>
      class User extends Model(db, users, { json: { profile: { nick: json.string(), tags: json.array() } } }) {}
    const plain = (row: object | undefined): object => Object.fromEntries(Object.entries(row ?? {}))
    const stocked = () => class Item extends Model(db, items, { pk: ['shop', 'code'] }) {}
    const keyed = () => class Twice extends Model(db, twice) {}

    test('a new instance has what the database filled in, and every type comes back as its column says', async () => {
      const User = modelled()
      const given = {
        email: 'a@x',
        big: 9007199254740993n,
        price: '12345678901234567890.1000000000',
        born: new Date('2001-02-03'),
        seen: new Date('2026-01-02T03:04:05.678Z'),
        profile: { deep: [1, null, 'ü'] },
      }
      const made = await User.create(given)

      expect(made.id).toBeGreaterThan(0)
      expect(plain(made)).toEqual({ ...given, id: made.id, name: null, age: 18, active: true })
      expect(plain(await User.get(made.id))).toEqual(plain(made))
      expect(await User.get(made.id + 1)).toBeUndefined()
    })

    test('a value that is no key finds no row, although MySQL takes text for the number 0', async () => {
      const User = modelled()
      const Key = keyed()
      await Key.create({ id: 0, a: 'zero' })

      expect(await Key.get('abc' as never)).toBeUndefined()
      expect(await Key.get('0' as never)).toMatchObject({ a: 'zero' })
      expect((await caught(Key.where({ id: 'abc' as never }).all())).name).toBe('ParameterError')
      expect((await caught(Key.where(eq(Key.c.id, 'abc' as never)).all())).name).toBe('ParameterError')
      expect((await caught(User.where({ email: 0 as never }).all())).name).toBe('ParameterError')
      expect((await caught(User.where(inArray(User.c.email, [0 as never])).all())).name).toBe('ParameterError')
    })

    test('decimals are compared with all their digits', async () => {
      const User = modelled()
      const price = '12345678901234567890.0000000001'
      await User.createMany([
        { email: 'a', price },
        { email: 'b', price: '12345678901234567890.0000000002' },
      ])

      expect((await User.where({ price }).all()).map(({ email }) => email)).toEqual(['a'])
      expect((await User.where(gt(User.c.price, price)).all()).map(({ email }) => email)).toEqual(['b'])
      expect((await User.where(inArray(User.c.price, [` ${price} `])).all()).map(({ email }) => email)).toEqual(['a'])
      for (const wrong of ['abc', '', '1,5', true, 'Infinity'])
        expect(await caught(User.where({ price: wrong as string }).all())).toMatchObject({
          name: 'ParameterError',
          clientError: true,
          message: expect.stringContaining("column 'price'"),
        })
    })

    describe('queries', () => {
      beforeEach(async () => {
        await server.query(
          "insert into users (email, name, age) values ('a', 'Ada', 36), ('b', 'Bob', 20), ('c', null, 20)",
        )
      })

      test('conditions, order, limit and offset are those of the query', async () => {
        const User = modelled()
        const emails = async (query: PromiseLike<readonly { email: string }[]>): Promise<string[]> =>
          (await query).map(({ email }) => email)

        expect(await emails(User.where({ age: 20 }).orderBy(desc(User.c.email)))).toEqual(['c', 'b'])
        expect(await emails(User.where({ age: [20, 36], name: null }))).toEqual(['c'])
        expect(await emails(User.where(gt(User.c.age, 20)))).toEqual(['a'])
        expect(await emails(User.query().orderBy(asc(User.c.email)).offset(1))).toEqual(['b', 'c'])
        expect(await emails(User.query().orderBy(User.c.email).limit(1).offset(1))).toEqual(['b'])
        expect(await User.where({ age: 20 }).count()).toBe(2)
        expect(await User.where({ age: 99 }).exists()).toBe(false)
        expect(await User.where({ email: 'a' }).exists()).toBe(true)
        expect(await User.query().limit(2).count()).toBe(2)
        expect((await User.where({ email: 'b' }).one()).name).toBe('Bob')
        expect(await User.select('email', 'age').where({ email: 'a' }).first()).toEqual({ email: 'a', age: 36 })
        expect(await emails(User.where(tag`${tag.identifier('users', 'age')} > ${30}` as never))).toEqual(['a'])
      })

      test('pages go on where the last one ended, NULL first as MySQL orders it', async () => {
        const User = modelled()
        const pages: (string | null)[][] = []
        let cursor: string | null = null
        do {
          const page: { rows: readonly { name: string | null }[]; cursor: string | null } = await User.query()
            .orderBy(asc(User.c.name))
            .limit(1)
            .after(cursor)
            .page()
          pages.push(page.rows.map(({ name }) => name))
          cursor = page.cursor
        } while (cursor !== null)

        expect(pages).toEqual([[null], ['Ada'], ['Bob']])
      })

      test('pages by what a cursor cannot hold exactly are refused', async () => {
        const User = modelled()
        for (const by of [User.c.tags, sql`age + 1`]) {
          const error = await caught((async () => User.query().orderBy(by).limit(1).page())())
          expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining('MySQL') })
        }
      })

      test('a row that another transaction has locked is skipped, or waited for', async () => {
        const User = modelled()
        await db.transaction(async () => {
          expect(await User.where({ email: 'a' }).forUpdate().first()).toBeDefined()
          await db.detached(async () => {
            const others = await User.query().orderBy(User.c.email).forUpdate({ skipLocked: true })
            expect(others.map(({ email }) => email)).toEqual(['b', 'c'])
            const refused = await caught(User.where({ email: 'a' }).forUpdate({ nowait: true }).first())
            expect(refused.name).toBe('LockTimeoutError')
          })
        })
      })

      test.each(['distinct on', 'nulls first', 'update returning'])('%s is refused by name', async (what) => {
        const User = modelled()
        const use = {
          'distinct on': () => User.query().load(User.distinct(User.c.age)).all(),
          'nulls first': async () =>
            User.query()
              .orderBy(sql`${User.c.name} nulls first`)
              .limit(1)
              .page(),
          'update returning': () => User.update({ age: 1 }).everyRow().returning().apply(),
        }[what] as () => Promise<unknown>
        expect(await caught(use())).toMatchObject({ name: 'UsageError', message: expect.stringContaining('MySQL') })
      })

      test('static updates and deletes give the number of rows they met', async () => {
        const User = modelled()

        expect(await User.update({ age: 20 }).where({ age: 20 })).toBe(2)
        expect(await User.update({ age: sql`${users.age} + 1` }).where({ email: 'a' })).toBe(1)
        expect((await User.where({ email: 'a' }).one()).age).toBe(37)
        expect(await User.delete().where({ email: 'a' })).toBe(1)
        const deleting = User.delete().everyRow().returning()
        if (returns) expect((await deleting.apply()).map(({ email }) => email).toSorted()).toEqual(['b', 'c'])
        else {
          expect((await caught(deleting.apply())).message).toContain('DELETE of this server has no RETURNING')
          expect(await User.query().count()).toBe(2)
        }
      })
    })

    test('a list is loaded by one more statement, also inside of another one, and may have a limit of its own', async () => {
      class Shop extends Model(db, shops) {}
      class Article extends Model(db, articles) {}
      class Part extends Model(db, parts) {}
      await Shop.createMany([
        { id: 1, name: 'one' },
        { id: 2, name: 'two' },
        { id: 3, name: 'none' },
      ])
      await Article.createMany([
        { id: 1, shop: 1, title: 'b' },
        { id: 2, shop: 1, title: 'a' },
        { id: 3, shop: 2, title: 'c' },
      ])
      await Part.createMany([
        { id: 1, article: 2 },
        { id: 2, article: 2 },
        { id: 3, article: 3 },
      ])

      const nested = await Shop.query()
        .orderBy(Shop.c.id)
        .load(
          Shop.load({
            articles: many(
              Article.query()
                .orderBy(Article.c.title)
                .load(Article.load({ parts: many(Part) })),
            ),
          }),
        )
      expect(JSON.parse(JSON.stringify(nested))).toMatchObject([
        {
          name: 'one',
          articles: [
            { title: 'a', parts: [{ id: 1 }, { id: 2 }] },
            { title: 'b', parts: [] },
          ],
        },
        { name: 'two', articles: [{ title: 'c', parts: [{ id: 3 }] }] },
        { name: 'none', articles: [] },
      ])
      const first = await Shop.query()
        .orderBy(Shop.c.id)
        .limit(2)
        .load(Shop.load({ articles: many(Article.query().orderBy(desc(Article.c.id)).limit(1)) }))
      expect(first.map(({ articles: [only] }) => (only as { id: number }).id)).toEqual([2, 3])
      const withArticles = Shop.query().load(Shop.load({ articles: many(Article) }))
      expect(await withArticles.count()).toBe(3)
      expect(await withArticles.where({ name: 'none' }).exists()).toBe(true)
      expect(await withArticles.where({ name: 'four' }).exists()).toBe(false)
      expect(String(withArticles)).toContain('from `shops')
      expect(await caught(withArticles.one())).toMatchObject({
        name: 'MultipleResultsError',
        message: expect.stringMatching(/^one\(\) found/) as string,
      })
      expect(await caught(withArticles.where({ id: 4 }).one())).toMatchObject({ name: 'NoResultError' })
      expect(await Shop.query().load(literal(5))).toEqual([5, 5, 5])
      expect(
        await Shop.query()
          .load([literal('x')])
          .first(),
      ).toEqual(['x'])
      const [article] = await Article.where({ id: 3 }).load(Article.load({ owner: Shop }))
      expect(article?.owner?.name).toBe('two')
      for (const [loader, message] of [
        [
          { articles: many(Article).on(eq(Article.c.shop, Shop.c.id)) },
          /further statements, which follow foreign keys/,
        ],
        [{ articles: many(Article.where(gt(Article.c.id, Shop.c.id))) }, /on `shops`, which is not in the list/],
        [
          { articles: many(Article.load({ parts: many(Part) }).on(eq(Article.c.shop, Shop.c.id))) },
          /follow foreign keys only/,
        ],
      ] as const)
        expect(await caught(Shop.query().load(Shop.load(loader)))).toMatchObject({
          name: 'UsageError',
          message: expect.stringMatching(message),
        })
      expect(await Shop.where(some(Shop, Article, eq(Article.c.title, 'c'))).count()).toBe(1)
      expect((await Shop.where(none(Shop, Article)).one()).name).toBe('none')
    })

    test('an update reads the row again, in the transaction around it or one of its own', async () => {
      const User = modelled()
      const user = await User.create({ email: 'a', age: 1 })
      await user.update({ age: sql`${users.age} + 41`, name: 'Ada' })
      expect(user).toMatchObject({ age: 42, name: 'Ada' })

      await caught(
        db.transaction(async () => {
          await user.update({ age: 7 })
          expect(user.age).toBe(7)
          throw new Error('no')
        }),
      )
      expect(user.age).toBe(42)
      expect((await User.get(user.id))?.age).toBe(42)
      await user.delete()
      expect((await caught(user.update({ age: 1 }).apply())).name).toBe('NoSuchRowError')
      expect((await caught(user.delete())).name).toBe('NoSuchRowError')
    })

    test('an update may change the key of its row', async () => {
      const Item = stocked()
      const item = await Item.create({ shop: 1, code: 'x', stock: 1 })
      await item.update({ code: 'y' })
      await item.update({ stock: 5 })

      expect(await server.query('select code, stock from items')).toEqual([{ code: 'y', stock: 5 }])
      expect(await Item.get({ shop: 1, code: 'y' })).toMatchObject({ stock: 5 })
    })

    test('JSON properties are merged on the server, beside what others have written', async () => {
      const User = modelled()
      const user = await User.create({ email: 'a', nick: 'ada', profile: { kept: { a: 1 } } })
      await server.query(`update users set profile = json_set(profile, '$.other', 'o"\\\\')`)
      await user.update({ nick: `q'"\\ü`, tags: [1, 'two'] })

      expect(user.profile).toEqual({ nick: `q'"\\ü`, tags: [1, 'two'], kept: { a: 1 }, other: 'o"\\' })
      await user.update({ nick: null })
      expect(user.nick).toBeNull()
      expect(user.profile).not.toHaveProperty('nick')
    })

    test('a JSON property that is set to null takes no other one with it, whatever stands first', async () => {
      class User extends Model(db, users, {
        json: {
          profile: { one: json.string(), two: json.string(), box: json.object<object>(), bag: json.object<object>() },
        },
      }) {}
      const user = await User.create({ email: 'a', profile: { one: 'a', two: 'b', rest: null } })
      const stored = async (): Promise<unknown> => (await User.select('profile').one()).profile

      await user.update({ two: 'c', one: null })
      expect(user.profile).toEqual({ two: 'c', rest: null })
      await user.update({ one: 'd', two: null })
      expect(await stored()).toEqual({ one: 'd', rest: null })
      await user.update({ box: { x: 1, y: { p: 1, q: 2 }, z: [null] } })
      await user.update({ box: { z: [1, null], y: { q: 3, p: null }, x: null, w: { v: null } }, bag: { u: null } })
      expect(user.profile).toEqual({ one: 'd', rest: null, box: { y: { q: 3 }, z: [1, null], w: {} }, bag: {} })
      await User.update({ two: null, box: null, one: 'e', bag: null }).where({ id: user.id })
      expect(await stored()).toEqual({ one: 'e', rest: null })
      await User.upsert({ email: 'a', two: 'f', one: null, box: { x: 1 } }, { target: ['email'] })
      expect(await stored()).toEqual({ two: 'f', rest: null, box: { x: 1 } })
    })

    test('JSON properties are SQL of their kind, with their defaults', async () => {
      class User extends Model(db, users, {
        json: {
          profile: {
            nick: json.string(),
            n: json.integer({ default: 5 }),
            on: json.boolean(),
            at: json.dateTime(),
            list: json.array({ default: () => ['d'] }),
            odd: json.string({ prop: `a'"\\b` }),
          },
        },
      }) {}
      const at = new Date('2026-01-02T03:04:05.678Z')
      await User.create({ email: 'a', nick: 'null', n: 12, on: false, at, list: ['x'], odd: 'yes' })
      await server.query("insert into users (email, profile) values ('b', '{\"nick\": null}'), ('c', null)")
      const of = (where: object): Promise<string[]> =>
        User.where(where)
          .orderBy(User.c.email)
          .all()
          .then((found) => found.map(({ email }) => email))

      expect(await of({ nick: 'null' })).toEqual(['a'])
      expect(await of({ nick: null })).toEqual(['b', 'c'])
      expect(await of({ n: 5 })).toEqual(['b', 'c'])
      expect(await of(gt(User.c.n, 5))).toEqual(['a'])
      expect(await of({ on: false })).toEqual(['a'])
      expect(await of({ odd: 'yes' })).toEqual(['a'])
      expect(await User.select('nick', 'n', 'on', 'at', 'list').orderBy(User.c.email).limit(2).all()).toEqual([
        { nick: 'null', n: 12, on: false, at, list: ['x'] },
        { nick: null, n: 5, on: null, at: null, list: ['d'] },
      ])
    })

    test('createMany() inserts all or nothing, in order, with the defaults of the table', async () => {
      const User = modelled()
      const made = await User.createMany([{ email: 'a' }, { email: 'b', age: 5, profile: { x: 1 } }])

      expect(made.map(({ email, age }) => [email, age])).toEqual([
        ['a', 18],
        ['b', 5],
      ])
      expect((await caught(User.createMany([{ email: 'c' }, { email: 'a' }]))).name).toBe('UniqueViolationError')
      expect(await User.query().count()).toBe(2)
    })

    test('rows that are there are left out one by one; what else is wrong fails', async () => {
      const User = modelled()
      await User.create({ email: 'a' })

      expect(await User.createOrIgnore({ email: 'a' })).toBeUndefined()
      expect(await User.createOrIgnore({ email: 'b' }, { target: ['email'] })).toMatchObject({ email: 'b' })
      await db.transaction(async () => {
        const made = await User.createManyOrIgnore([{ email: 'b' }, { email: 'c' }, { email: 'a' }])
        expect(made.map(({ email }) => email)).toEqual(['c'])
        expect(await User.query().count()).toBe(3)
      })
      const tooLong = await caught(User.createOrIgnore({ email: 'd', name: 'x'.repeat(50) }))
      expect(tooLong.name).not.toBe('UsageError')
      expect(await User.query().count()).toBe(3)
    })

    test('an upsert inserts, or changes what was given', async () => {
      const User = modelled()
      const made = await User.upsert({ email: 'a', name: 'Ada' }, { target: ['email'] })
      const changed = await User.upsert({ email: 'a', age: 40 }, { target: ['email'] })
      expect(changed).toMatchObject({ id: made.id, name: 'Ada', age: 40 })

      const many = await User.upsertMany([
        { email: 'b', age: 2 },
        { email: 'a', age: 41 },
      ])
      expect(many.map(({ email, age }) => [email, age])).toEqual([
        ['b', 2],
        ['a', 41],
      ])
      const same = await User.upsert({ email: 'a', age: 1 }, { target: ['email'], update: [] })
      expect(same.age).toBe(41)
      const summed = await User.upsert({ email: 'a' }, { update: { age: sql`${users.age} + 1` } })
      expect(summed.age).toBe(42)
    })

    test('any unique key decides in an upsert, so a target that is not the only one is refused', async () => {
      const Key = keyed()
      await Key.create({ id: 1, a: 'x', b: 1 })
      const error = await caught(Key.upsert({ id: 2, a: 'x', b: 2 }, { target: ['a'] }))
      expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining('each unique key decides') })

      const either = Key.upsert({ id: 2, a: 'x', b: 2 })
      if (returns) expect(await either).toMatchObject({ id: 1, a: 'x', b: 2 })
      else expect((await caught(either)).message).toContain('both id and a may decide which row it is')
      const none = await caught(Key.upsert({ id: 2, b: 2 }, { target: ['b'] }))
      expect(none).toMatchObject({ name: 'UsageError', message: expect.stringContaining('no unique key') })
    })

    test('a model of the other family is refused before anything is sent', async () => {
      await using fake = createDb({ driver: new FakeDriver() })
      class Other extends Model(fake, users) {}
      const error = await caught(Other.get(1))

      expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining('PostgreSQL') })
    })
  })
