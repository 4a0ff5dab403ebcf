/** Queries of a model: conditions, orders, joins, locks, counts, pages, iteration. */

import { asc, desc, eq, gt, isNull, or, sql } from 'drizzle-orm'
import { bit, integer, jsonb, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { NotFoundError, TransactionEndedError, UsageError } from 'genever'
import { Model } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { filled, library } from './support/library.ts'

const ascending = (a: number, b: number): number => a - b
const names = (rows: readonly { readonly name: string }[]): string => rows.map(({ name }) => name).join(' ')

forEachDriver((driver) => {
  describe('where', () => {
    test('takes conditions and objects, all of which must hold', async () => {
      const { User } = await filled(driver)

      expect(names(await User.where(eq(User.c.name, 'Ann')))).toBe('Ann')
      expect(names(await User.where({ age: null }))).toBe('Dan')
      expect(names(await User.where({ name: ['Ann', 'Bob', 'Eve'] }).orderBy(User.c.id))).toBe('Ann Bob')
      expect(names(await User.where({ age: [20, null] }).orderBy(User.c.id))).toBe('Bob Dan')
      expect(await User.where({ name: [] })).toEqual([])
      expect(
        names(
          await User.where(gt(User.c.age, 15))
            .where({ teamId: 1 })
            .where(or(eq(User.c.age, 20), isNull(User.c.age))),
        ),
      ).toBe('Bob')
      expect(await User.where(undefined).count()).toBe(4)
    })

    test('refuses keys the model has not, and undefined, which would match all', async () => {
      const { User } = await filled(driver)

      const unknown = thrownBy(() => User.where({ nope: 'hidden value' } as never))
      expect(unknown).toMatchObject({
        name: 'UnknownColumnError',
        message: expect.stringMatching(/"nope".*id, name, age/),
      })
      expect(unknown.message).not.toContain('hidden value')
      expect(thrownBy(() => User.where({ id: undefined } as never))).toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(/match every row/),
      })
      expect(thrownBy(() => User.where(JSON.parse('{"__proto__": 1}') as never))).toMatchObject({
        name: 'UnknownColumnError',
      })
      expect(thrownBy(() => User.where('name' as never))).toBeInstanceOf(UsageError)
    })

    test('compares lists and JSON as values where the column holds them', async () => {
      const db = await driver.db()
      const table = await driver.table('id serial primary key, tags text[] not null, data jsonb not null')
      class Item extends Model(
        db,
        pgTable(table, { id: serial().primaryKey(), tags: text().array().notNull(), data: jsonb().notNull() }),
      ) {}
      await Item.create({ tags: ['a', 'b'], data: { k: [1] } })
      await Item.create({ tags: ['c'], data: 'text' })

      expect(await Item.where({ tags: ['a', 'b'] }).count()).toBe(1)
      expect(await Item.where({ data: { k: [1] } }).count()).toBe(1)
      expect(await Item.where({ data: 'text' }).count()).toBe(1)
    })

    test('takes a list of bits, whose column has a length, for its values', async () => {
      const db = await driver.db()
      const table = await driver.table('id serial primary key, flags bit(3)')
      class Item extends Model(db, pgTable(table, { id: serial().primaryKey(), flags: bit({ dimensions: 3 }) })) {}
      await Item.createMany([{ flags: '101' }, { flags: '111' }, {}])

      expect(await Item.where({ flags: ['101', '110'] }).count()).toBe(1)
      expect(await Item.where({ flags: ['101', '111', null] }).count()).toBe(3)
      expect(await Item.where({ flags: '111' }).count()).toBe(1)
    })
  })

  test('each method is another query, and the first stays as it was', async () => {
    const { User } = await filled(driver)
    const all = User.query()
    const first = all.orderBy(User.c.name).limit(1)

    expect(names(await first)).toBe('Ann')
    expect(names(await first.offset(2))).toBe('Cid')
    expect(await all).toHaveLength(4)
    expect(thrownBy(() => all.limit(-1))).toBeInstanceOf(UsageError)
    expect(thrownBy(() => all.limit(1.5))).toBeInstanceOf(UsageError)
  })

  test('the six methods say what is expected', async () => {
    const { User } = await filled(driver)
    const ann = User.where({ name: 'Ann' })

    expect((await ann.first())?.greet()).toBe('hi Ann')
    expect((await ann.one()).greet()).toBe('hi Ann')
    expect((await ann.oneOrNone())?.greet()).toBe('hi Ann')
    expect(await User.where({ name: 'Eve' }).first()).toBeUndefined()
    expect(await User.where({ name: 'Eve' }).oneOrNone()).toBeUndefined()
    expect(await caught(User.query().one())).toMatchObject({ name: 'MultipleResultsError' })
    expect(await ann.scalar()).toBe(1)
    expect(await User.query().status()).toMatchObject({ command: 'SELECT', rowCount: 4 })
    expect((await User.named('Bob').one()).age).toBe(20)
  })

  test('firstOr404 names the model and not the value', async () => {
    const { User } = await filled(driver)

    const error = await caught(User.where({ name: 'Mallory' }).firstOr404())

    expect(error).toBeInstanceOf(NotFoundError)
    expect(error).toMatchObject({ status: 404, statusCode: 404 })
    expect(error.message).toContain('User')
    expect(error.message).not.toContain('Mallory')
  })

  test('a query is given to any executor', async () => {
    const { db, User } = await filled(driver)

    const rows = await db.all(User.where({ name: 'Ann' }))
    expectTypeOf(rows).toEqualTypeOf<InstanceType<typeof User>[]>()
    expect(rows[0]?.greet()).toBe('hi Ann')
    expect(await db.sql`select count(*)::int as n from (${User.query()}) as users`).toEqual([{ n: 4 }])
  })

  test('`on` and `options` say where it runs, and its time', async () => {
    const { db, User } = await filled(driver)

    await db.transaction(async (tx) => {
      await User.create({ name: 'Eve' }, { on: tx })
      expect(await User.where({ name: 'Eve' }).count({ on: tx })).toBe(1)
      expect(await User.where({ name: 'Eve' }).options({ on: tx }).exists()).toBe(true)
    })
    expect(await caught(User.query().all({ signal: AbortSignal.abort() }))).toMatchObject({ name: 'AbortedError' })
  })

  test('made in a transaction that has ended, it is refused', async () => {
    const { db, User } = await filled(driver)

    const late = await db.transaction(() => ({ query: User.where({ name: 'Ann' }) }))

    expect(await caught(late.query)).toBeInstanceOf(TransactionEndedError)
    expect(await caught(late.query.count())).toBeInstanceOf(TransactionEndedError)
    expect(await db.transaction(() => User.where({ name: 'Ann' }))).toHaveLength(1)
  })

  test('made before a transaction and awaited in it, it runs inside', async () => {
    const { db, User } = await filled(driver)
    const query = User.where({ name: 'Eve' })

    await db.transaction(async (tx) => {
      await User.create({ name: 'Eve', age: 1 })
      expect(await query).toHaveLength(1)
      tx.raiseRollback()
    })

    expect(await query).toHaveLength(0)
  })

  test('select() gives plain objects of some columns', async () => {
    const { User } = await filled(driver)

    const rows = await User.select('name', 'age').where({ name: 'Ann' })

    expectTypeOf(rows).toEqualTypeOf<{ name: string; age: number | null }[]>()
    expect(rows).toEqual([{ name: 'Ann', age: 30 }])
    expect(await User.select('name').where({ id: 1 }).scalar()).toBe('Ann')
    expect(thrownBy(() => User.select('nope' as never))).toMatchObject({ name: 'UnknownColumnError' })
  })

  test('join and leftJoin by the foreign key or a condition', async () => {
    const { User, Team, Post } = await filled(driver)

    expect(names(await User.query().join(Team).where(eq(Team.c.name, 'red')).orderBy(User.c.id))).toBe('Ann Bob')
    expect(await User.query().leftJoin(Team).where(isNull(Team.c.id)).count()).toBe(1)
    expect(names(await User.query().join(Post, eq(Post.c.userId, User.c.id)).where(eq(Post.c.title, 'b1')))).toBe('Bob')
    expect(thrownBy(() => User.query().join({}))).toBeInstanceOf(UsageError)
  })

  test('count and exists see conditions and limits', async () => {
    const { User } = await filled(driver)

    expect(await User.query().count()).toBe(4)
    expect(await User.where(gt(User.c.age, 25)).count()).toBe(2)
    expect(await User.query().limit(3).count()).toBe(3)
    expect(await User.where({ name: 'Ann' }).exists()).toBe(true)
    expect(await User.where({ name: 'Eve' }).exists()).toBe(false)
    expect(await User.query().orderBy(User.c.id).offset(4).limit(1).exists()).toBe(false)
    const few = User.query().having(sql`count(*) < 3`)
    const some = User.query().having(sql`count(*) > 3`)
    expect([await few.count(), await few.exists(), await some.count(), await some.exists()]).toEqual([
      0,
      false,
      1,
      true,
    ])
  })

  describe('iterate', () => {
    test('gives instances as they come, by for await and by a cursor', async () => {
      const { User } = await filled(driver)
      const seen: string[] = []

      for await (const user of User.query().orderBy(User.c.id)) seen.push(user.greet())
      expect(seen).toEqual(['hi Ann', 'hi Bob', 'hi Cid', 'hi Dan'])

      const cursor = User.query().orderBy(User.c.id).iterate({ batchSize: 2 })
      expect((await cursor.read())?.name).toBe('Ann')
      expect(await cursor.skip(1)).toBe(1)
      expect(names(await cursor.read(5))).toBe('Cid Dan')
      await cursor.close()
    })

    test('leaves nothing open when the loop is left', async () => {
      const { db, User } = await filled(driver)

      for await (const user of User.query().orderBy(User.c.id)) if (user.name === 'Bob') break

      expect(db.stats().reserved).toBe(0)
    })
  })

  describe('pages', () => {
    test('go through every row once, in any order, with NULLs and equal keys', async () => {
      const { User } = await library(driver)
      const ages = [3, 1, null, 2, 1, null, 1]
      for (const [index, age] of ages.entries()) await User.create({ name: `u${index}`, age })

      for (const order of [
        [asc(User.c.age)],
        [desc(User.c.age)],
        [User.c.age, desc(User.c.name)],
        [desc(User.c.id)],
        [sql`lower(${User.c.name})`],
        [],
      ]) {
        const expected = await User.query().orderBy(...order)
        const seen: number[] = []
        let cursor: string | null = null
        do {
          const page: { rows: { id: number }[]; cursor: string | null } = await User.query()
            .orderBy(...order)
            .limit(2)
            .after(cursor)
            .page()
          seen.push(...page.rows.map(({ id }) => id))
          cursor = page.cursor
        } while (cursor !== null)
        expect(seen.toSorted(ascending)).toEqual(expected.map(({ id }) => id).toSorted(ascending))
        expect(new Set(seen).size).toBe(7)
      }
    })

    test('keep the precision of timestamps', async () => {
      const { User } = await library(driver)
      const at = ['2024-01-01 00:00:00.000001', '2024-01-01 00:00:00.000002', '2024-01-01 00:00:00.000003']
      for (const joined of at) await User.create({ name: joined, joined: sql`${joined}::timestamp` })

      const first = await User.query().orderBy(desc(User.c.joined)).limit(2).page()
      const second = await User.query().orderBy(desc(User.c.joined)).limit(2).after(first.cursor).page()

      expect([...first.rows, ...second.rows].map(({ name }) => name)).toEqual(at.toReversed())
      expect(second.cursor).toBeNull()
    })

    test('count objects where lists are loaded', async () => {
      const { Team, User } = await filled(driver)
      const { many } = await import('genever/models')
      const query = Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.name)
        .limit(2)

      const first = await query.page()
      const second = await query.after(first.cursor).page()

      expect(first.rows.map(({ name, members }) => `${name} ${members.length}`)).toEqual(['blue 1', 'empty 0'])
      expect(second.rows.map(({ name, members }) => `${name} ${members.length}`)).toEqual(['red 2'])
    })

    test('refuse texts that are no cursor of this order', async () => {
      const { User } = await filled(driver)
      const { cursor } = await User.query().orderBy(User.c.name).limit(1).page()

      expect(cursor).toMatch(/^[\w-]+$/)
      for (const wrong of [
        '',
        'x',
        '{}',
        Buffer.from('[1]').toString('base64url'),
        Buffer.from('[1,"x",{}]').toString('base64url'),
      ])
        expect(
          thrownBy(() => User.query().orderBy(User.c.name).after(wrong)),
          wrong,
        ).toBeInstanceOf(UsageError)
      expect(thrownBy(() => User.query().orderBy(desc(User.c.age)).after(cursor))).toMatchObject({
        message: expect.stringMatching(/another order/),
      })
      for (const query of [User.query(), User.query().limit(0)])
        expect(await caught(query.page())).toMatchObject({
          name: 'UsageError',
          message: expect.stringMatching(/at least 1/),
        })
    })
  })

  test('printed, it shows its SQL and no value', async () => {
    const { User } = await filled(driver)
    const query = User.where({ name: 'a secret' }).orderBy(User.c.id).limit(3)

    expect(String(query)).toMatch(/^ModelQuery \{ User: select .* where .* = \$1 order by .* limit 3 \}$/)
    expect(String(query)).not.toContain('a secret')
  })
})

forEachDriver(
  (driver) => {
    test('a query takes as long as its options allow', async () => {
      const { db, User } = await filled(driver)
      const sleeping = User.query().load(sql`pg_sleep(60)`)

      for (const slow of [() => sleeping.options({ timeoutMs: 200 }).all(), () => sleeping.all({ timeoutMs: 200 })]) {
        // Else the time may be over while a connection is being opened.
        await until(() => db.stats().idle > 0)
        expect(await caught(slow())).toMatchObject({ name: 'QueryTimeoutError' })
      }
    })

    test('forUpdate locks the rows of the model, waits, fails or skips', async () => {
      const { db, User, Team } = await filled(driver)

      await db.transaction(async () => {
        await User.where({ name: 'Ann' })
          .load(User.load({ team: Team }))
          .forUpdate()
          .one()
        await db
          .transaction(
            async () => {
              expect(await caught(User.where({ name: 'Ann' }).forUpdate({ nowait: true }).one())).toMatchObject({
                name: 'LockTimeoutError',
                sqlState: '55P03',
              })
            },
            { reuse: false },
          )
          .catch(() => {})
        await db.transaction(
          async () => {
            expect(names(await User.query().orderBy(User.c.id).forUpdate({ skipLocked: true }))).toBe('Bob Cid Dan')
          },
          { reuse: false },
        )
      })
      expect(thrownBy(() => User.query().forUpdate({ nowait: true, skipLocked: true }))).toBeInstanceOf(UsageError)
    })
  },
  { connections: 2 },
)

forEachDriver((driver) => {
  test('tables of a schema, with columns named otherwise than their keys', async () => {
    const db = await driver.db()
    const { pgSchema } = await import('drizzle-orm/pg-core')
    const schema = `s_${driver.name}_${process.pid}`
    await db.status(`drop schema if exists ${schema} cascade; create schema ${schema};
      create table ${schema}.parents (the_id serial primary key, "the name" text);
      create table ${schema}.children (id serial primary key, parent_id int)`)
    const space = pgSchema(schema)
    const parents = space.table('parents', { id: serial('the_id').primaryKey(), name: text('the name') })
    const children = space.table('children', {
      id: serial().primaryKey(),
      parentId: integer('parent_id').references(() => parents.id),
    })
    class Parent extends Model(db, parents) {}
    class Child extends Model(db, children) {}
    const { many } = await import('genever/models')
    const parent = await Parent.create({ name: 'P' })
    await Child.create({ parentId: parent.id })
    await Child.create({ parentId: parent.id })

    const [found] = await Parent.where({ name: 'P' })
      .load(Parent.load({ children: many(Child) }))
      .limit(1)
    const child = await Child.query()
      .load(Child.load({ parent: Parent }))
      .orderBy(Child.c.id)
      .first()

    expect(found?.children).toHaveLength(2)
    expect(child?.parent?.name).toBe('P')
    await db.transaction(async () => {
      expect(await Parent.query().forUpdate().one()).toMatchObject({ name: 'P' })
    })
    await db.status(`drop schema ${schema} cascade`)
  })
})
