/** Rows as objects that belong to each other: one object, tuples, functions and other loaders. (GINO: loaders.) */

import { and, asc, count, desc, eq, gt, sql, sum, getTableColumns } from 'drizzle-orm'
import { pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { sql as sqlTag, UsageError } from 'genever'
import { every, literal, type LoadedRow, many, Model, none, plain, some } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { filled } from './support/library.ts'

const names = (rows: readonly { readonly name: string }[]): string => rows.map(({ name }) => name).join(' ')

forEachDriver((driver) => {
  describe('one object', () => {
    test('is joined by the foreign key, and is null where there is none', async () => {
      const { User, Team } = await filled(driver)

      const users = await User.query()
        .load(User.load({ team: Team }))
        .orderBy(User.c.id)

      expect(users.map(({ name, team }) => `${name} ${team?.shout() ?? '-'}`)).toEqual([
        'Ann RED',
        'Bob RED',
        'Cid BLUE',
        'Dan -',
      ])
      expect(users[0]).toBeInstanceOf(User)
      expect(users[0]?.team).toBeInstanceOf(Team)
      expect(users[3]?.team).toBeNull()
    })

    test('nests to any depth', async () => {
      const { User, Team, Company } = await filled(driver)

      const users = await User.query()
        .load(User.load({ team: Team.load({ company: Company }) }))
        .orderBy(User.c.id)

      expect(users.map(({ team }) => team?.company?.name ?? null)).toEqual(['Acme', 'Acme', 'Other', null])
    })

    test('of the same table is an alias, joined by its own foreign key or by a condition', async () => {
      const { User } = await filled(driver)
      const Boss = User.alias('boss')

      const byCondition = await User.query()
        .load(User.load({ boss: Boss.on(eq(User.c.bossId, Boss.c.id)) }))
        .orderBy(User.c.id)

      expect(byCondition.map(({ boss }) => boss?.greet() ?? null)).toEqual([null, 'hi Ann', 'hi Ann', null])
    })

    test('of a table with a nested loader of an alias', async () => {
      const { User, Team } = await filled(driver)
      const Boss = User.alias('boss')
      const BossTeam = Team.alias('boss_team')

      const users = await User.query()
        .load(User.load({ team: Team, boss: Boss.load({ team: BossTeam }).on(eq(User.c.bossId, Boss.c.id)) }))
        .orderBy(User.c.id)

      expect(users.map(({ team, boss }) => [team?.name, boss?.team?.name])).toEqual([
        ['red', undefined],
        ['red', 'red'],
        ['blue', 'red'],
        [undefined, undefined],
      ])
    })

    test('can be asked for in conditions and orders', async () => {
      const { User, Team } = await filled(driver)

      const users = await User.query()
        .load(User.load({ team: Team }))
        .where(eq(Team.c.name, 'red'))
        .orderBy(desc(User.c.name))

      expect(names(users)).toBe('Bob Ann')
      expect(
        await User.query()
          .load(User.load({ team: Team }))
          .where(eq(Team.c.name, 'red'))
          .count(),
      ).toBe(2)
      expect(
        await User.query()
          .load(User.load({ team: Team }))
          .where(eq(Team.c.name, 'none'))
          .exists(),
      ).toBe(false)
    })

    test('goes to a method of the model when there is one of that name', async () => {
      const { db, User, Team } = await filled(driver)
      const seen: string[] = []
      class Listening extends User {
        remember(team: InstanceType<typeof Team>): void {
          seen.push(`${this.name} ${team.name}`)
        }
      }

      await Listening.query()
        .load(Listening.load({ remember: Team }))
        .orderBy(Listening.c.id)
      expect(seen).toEqual(['Ann red', 'Bob red', 'Cid blue'])
      expect(db.stats().reserved).toBe(0)
    })

    test('without a foreign key, or with two, needs a condition', async () => {
      const { User, Post, Company } = await filled(driver)
      const Boss = User.alias('boss')

      expect(await caught(User.query().load(User.load({ company: Company })))).toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(/no foreign key between .* \.on\(condition\)/),
      })
      expect(await caught(Post.query().load(Post.load({ user: User.load({ again: User }) })))).toBeInstanceOf(
        UsageError,
      )
      expect(Boss.of).toBe(User)
    })
  })

  describe('other loaders', () => {
    test('a tuple of models, columns and expressions', async () => {
      const { User, Team } = await filled(driver)
      const Boss = User.alias('boss')

      const rows = await User.query()
        .leftJoin(Boss, eq(User.c.bossId, Boss.c.id))
        .load([User, Team.c.name, Boss, sql<number>`${User.c.age} + 1`] as const)
        .where(eq(User.c.name, 'Bob'))

      expectTypeOf(rows).toEqualTypeOf<[InstanceType<typeof User>, string, InstanceType<typeof User>, number][]>()
      expect(rows.map(([user, team, boss, age]) => [user.greet(), team, boss.name, age])).toEqual([
        ['hi Bob', 'red', 'Ann', 21],
      ])
    })

    test('a model, a column or a tuple is what first(), one(), oneOrNone() and each row of iterate() give', async () => {
      const { User } = await filled(driver)
      const ann = User.where({ name: 'Ann' })
      const pair = [User, User.c.age] as const

      expect((await ann.load(User).one()).greet()).toBe('hi Ann')
      expect(await ann.load(User.c.age).first()).toBe(30)
      expect((await ann.load(pair).oneOrNone())?.[1]).toBe(30)
      const seen: string[] = []
      for await (const [user, age] of User.query().load(pair).orderBy(User.c.id).iterate({ batchSize: 2 }))
        seen.push(`${user.greet()} ${age}`)
      expect(seen).toEqual(['hi Ann 30', 'hi Bob 20', 'hi Cid 40', 'hi Dan null'])
    })

    test('a row of nothing but NULLs is an instance', async () => {
      const db = await driver.db()
      const table = await driver.table('line text, at timestamp')
      class Log extends Model(db, pgTable(table, { line: text(), at: timestamp() })) {}
      await db.sql`insert into ${sqlTag.identifier(table)} values (null, null)`

      expect(await Log.query().one()).toMatchObject({ line: null, at: null })
      expect(
        await Log.query()
          .load(Log.load({ extra: literal(1) }))
          .one(),
      ).toMatchObject({ line: null, extra: 1 })
    })

    test('a model in a tuple with only NULLs is an instance with only nulls', async () => {
      const { User, Team } = await filled(driver)

      const [row] = await User.where({ name: 'Dan' })
        .leftJoin(Team)
        .load([User, Team] as const)

      expect(row?.[1]).toBeInstanceOf(Team)
      expect(row?.[1].id).toBeNull()
    })

    test('one column, one expression, aggregates by group', async () => {
      const { User } = await filled(driver)

      expect(await User.query().load(User.c.name).orderBy(asc(User.c.name))).toEqual(['Ann', 'Bob', 'Cid', 'Dan'])
      expect(await User.query().load(count()).one()).toBe(4)
      expect(
        await User.query()
          .load([User.c.teamId, count(), sum(User.c.age).mapWith(Number)] as const)
          .groupBy(User.c.teamId)
          .having(gt(count(), 1))
          .all(),
      ).toEqual([[1, 2, 50]])
    })

    test('a column of lists that may be NULL, by every method', async () => {
      const { db } = await filled(driver)
      const table = await driver.table("id serial primary key, tags text[] default '{a,b}'")
      class Item extends Model(db, pgTable(table, { id: serial().primaryKey(), tags: text().array() })) {}
      await db.status(`insert into ${table} (tags) values (default), (null), ('{}')`)
      const expected = [['a', 'b'], null, []]
      for (const query of [Item.query().load(Item.c.tags), Item.query().load(sql`${Item.c.tags}`)].map((each) =>
        each.orderBy(Item.c.id),
      )) {
        const seen: unknown[] = []
        for await (const tags of query) seen.push(tags)
        expect(seen).toEqual(expected)
        expect(await query).toEqual(expected)
        expect((await query.status()).rows).toEqual(expected)
        expect((await query.limit(3).page()).rows).toEqual(expected)
        expect(await query.first()).toEqual(['a', 'b'])
      }
    })

    test('a function gets the instance and a context shared by the result', async () => {
      const { User } = await filled(driver)

      const numbered = await User.query()
        .orderBy(User.c.id)
        .load((user: InstanceType<typeof User>, context: { seen?: number }) => {
          context.seen = (context.seen ?? 0) + 1
          return `${context.seen} ${user.greet()}`
        })
      const withInitial = await User.query()
        .orderBy(User.c.id)
        .load(User.load({ initial: (user: { name: string }) => user.name[0], source: literal('db') }))
        .first()

      expect(numbered).toEqual(['1 hi Ann', '2 hi Bob', '3 hi Cid', '4 hi Dan'])
      expect([withInitial?.initial, withInitial?.source]).toEqual(['A', 'db'])
    })

    test.each(['joined', 'select-in'] as const)(
      'a function has an object with all its members, by %s',
      async (strategy) => {
        const { User, Team } = await filled(driver)
        const described = User.load({
          label: (user: { name: string; team: { name: string } | null; origin: string }, _: object, row: LoadedRow) =>
            [user.name, user.team?.name ?? null, user.origin, row.get(User.c.name), row.get(Team.c.name)].join(' '),
          team: Team,
          origin: literal('db'),
        })

        const found = await User.query().load(described, { strategy }).orderBy(User.c.id)

        expect(found.map(({ label }) => label)).toEqual(
          found.map(({ name, team }) => `${name} ${team?.name ?? ''} db ${name} ${team?.name ?? ''}`),
        )
        expect(found.some(({ team }) => team === null)).toBe(true)
        expect(found[0] === undefined ? null : plain(found[0]).label).toBe(found[0]?.label)
      },
    )

    test('a function gets the whole row as its third argument', async () => {
      const { User, Team } = await filled(driver)
      const Boss = User.alias('boss')
      const double = sql<number>`${User.c.age} * 2`.mapWith(Number)
      const named = sql<string>`upper(${User.c.name})`.as('shouted')
      type U = InstanceType<typeof User>
      const told = (user: U, _: object, row: LoadedRow): unknown => {
        expectTypeOf(row.get(Team.c.name)).toEqualTypeOf<string | null>()
        return [user.name, row.get(Team.c.name), row.get(Boss.c.name), row.get(double), row.get(named)]
      }
      const bosses = Boss.on(eq(User.c.bossId, Boss.c.id))

      const rows = await User.query()
        .orderBy(User.c.id)
        .load([told, double, Boss.on(eq(User.c.bossId, Boss.c.id)), Team, named, User] as const)
      const members = await User.query()
        .orderBy(User.c.id)
        .load(User.load({ told, double, boss: bosses, team: Team, named }))
      const joined = await User.query()
        .leftJoin(Team)
        .orderBy(User.c.id)
        .load((user: U, _: object, row: LoadedRow) => `${user.name} ${row.get(Team.c.name)}`)

      const people = await User.query()
        .load(User.load({ boss: bosses, team: Team }))
        .orderBy(User.c.id)
      const expected = people.map(({ name, age, boss, team }) => [
        name,
        team?.name ?? null,
        boss?.name ?? null,
        age === null ? null : age * 2,
        name.toUpperCase(),
      ])
      expect(rows.map(([it]) => it)).toEqual(expected)
      expect(rows.map((row) => row[5].name)).toEqual(people.map(({ name }) => name))
      expect(members.map((user) => user.told)).toEqual(expected)
      expect(joined).toEqual(people.map(({ name, team }) => `${name} ${team?.name ?? null}`))
    })

    test('what was not read of the whole row is refused', async () => {
      const { User, Team } = await filled(driver)
      for (const of of [Team.c.name, sql`1`, 'name', User, undefined])
        expect(
          await caught(User.query().load((_: object, __: object, row: LoadedRow) => row.get(of as never))),
        ).toMatchObject({ name: 'UsageError', message: expect.stringMatching(/is not in the row/) })
      expect(
        await caught(
          Team.query()
            .join(User)
            .load(Team.distinct().load({ x: (_: object, __: object, row: LoadedRow) => row.get(User.c.name) })),
        ),
      ).toMatchObject({ name: 'UsageError', message: expect.stringMatching(/several rows/) })
    })

    test('a class of its own is made of the row', async () => {
      const { User } = await filled(driver)
      class Card {
        readonly label: string
        constructor(user: { name: string }) {
          this.label = `[${user.name}]`
        }
      }

      const cards = await User.query().orderBy(User.c.id).load(Card).limit(2)

      expectTypeOf(cards).toEqualTypeOf<Card[]>()
      expect(cards.map(({ label }) => label)).toEqual(['[Ann]', '[Bob]'])
    })

    test('a model over a subquery', async () => {
      const { db, User, users, Team } = await filled(driver)
      const { QueryBuilder } = await import('drizzle-orm/pg-core')
      const older = new QueryBuilder().select().from(users).where(gt(users.age, 25)).as('older')
      const Older = User.inQuery(older)

      const bosses = await User.query()
        .load(User.load({ boss: Older.on(eq(User.c.bossId, Older.c.id)) }))
        .orderBy(User.c.id)

      expect(bosses.map(({ boss }) => boss?.greet() ?? null)).toEqual([null, 'hi Ann', 'hi Ann', null])
      const teams = Team.query().orderBy(Team.c.id)
      expect(names(await teams.where(some(Team, Older, gt(Older.c.age, 35))))).toBe('blue')
      expect(names(await teams.where(none(Team, Older)))).toBe('empty')
      expect(names(await teams.where(every(Team, Older, gt(Older.c.age, 35))))).toBe('blue empty')
      expect(db.stats().reserved).toBe(0)
    })

    test('a model over a subquery that computes some of its columns', async () => {
      const { User, users, Team } = await filled(driver)
      const { QueryBuilder } = await import('drizzle-orm/pg-core')
      const loud = new QueryBuilder()
        .select({ ...getTableColumns(users), name: sql<string>`upper(${users.name})`.as('shown') })
        .from(users)
        .where(gt(users.age, 15))
        .as('loud')
      const Loud = User.inQuery(loud)

      for (const strategy of ['joined', 'select-in'] as const) {
        const loader = Team.load({ members: many(Loud) })
        const teams = Team.query().load(loader, { strategy }).orderBy(Team.c.id)
        for (const found of [await teams, await teams])
          expect(found.map(({ members }) => names(members))).toEqual(['ANN BOB', 'CID', ''])
      }
      const lists = Team.load({ members: many(Loud).on(and(eq(Loud.c.teamId, Team.c.id), eq(Loud.c.name, 'BOB'))!) })
      expect((await Team.query().load(lists).orderBy(Team.c.id)).map(({ members }) => names(members))).toEqual([
        'BOB',
        '',
        '',
      ])
      const bosses = User.query().load(User.load({ boss: Loud.on(eq(User.c.bossId, Loud.c.id)) }))
      expect(names((await bosses.orderBy(User.c.id)).flatMap(({ boss }) => boss ?? []))).toBe('ANN ANN')
      expect(names(await bosses.where(eq(Loud.c.name, 'ANN')).orderBy(Loud.c.name, User.c.id))).toBe('Bob Cid')
      const values = User.query().join(Loud, eq(Loud.c.id, User.c.id)).orderBy(desc(Loud.c.name))
      expect(await values.load(Loud.c.name)).toEqual(['CID', 'BOB', 'ANN'])
      expect(await values.load(User.load({ loud: loud.name }))).toMatchObject([
        { loud: 'CID' },
        { loud: 'BOB' },
        { loud: 'ANN' },
      ])
      const { cursor } = await values.limit(1).page()
      expect(names((await values.limit(1).after(cursor).page()).rows)).toBe('Bob')
    })

    test('what is no loader is refused, and so is a name that is taken', async () => {
      const { User, Team } = await filled(driver)

      for (const wrong of [1, 'team', null, undefined, {}, new Date()])
        expect(
          thrownBy(() => User.query().load(wrong as never)),
          typeof wrong,
        ).toBeInstanceOf(UsageError)
      for (const taken of ['name', 'update', 'toJSON', 'constructor'])
        expect(
          thrownBy(() => User.load({ [taken]: Team })),
          taken,
        ).toBeInstanceOf(UsageError)
    })
  })
})
