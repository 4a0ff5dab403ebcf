/** Instances in print, in JSON and in messages: circles, what a loader attaches, names; and loaders that are mistakes. */

import { inspect } from 'node:util'
import { sql } from 'drizzle-orm'
import { bigint, type AnyPgColumn, foreignKey, integer, pgTable, primaryKey, serial, text } from 'drizzle-orm/pg-core'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { createDb, UsageError } from 'genever'
import { literal, many, Model, plain } from 'genever/models'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function world(driver: TestedDriver) {
  const db = await driver.db()
  const teams = pgTable(await driver.table('id serial primary key, name text not null'), {
    id: serial().primaryKey(),
    name: text().notNull(),
  })
  const users = pgTable(
    await driver.table('id serial primary key, name text not null, team_id int, badge int unique'),
    {
      id: serial().primaryKey(),
      name: text().notNull(),
      teamId: integer('team_id').references(() => teams.id),
    },
  )
  const badges = pgTable(await driver.table('id serial primary key, user_id int unique, code text'), {
    id: serial().primaryKey(),
    userId: integer('user_id')
      .unique()
      .references(() => users.id),
    code: text(),
  })
  class Team extends Model(db, teams) {
    declare members?: User[]
  }
  class User extends Model(db, users) {
    declare team?: Team | null
  }
  class Badge extends Model(db, badges) {}
  await Team.createMany([{ name: 'full' }, { name: 'empty' }])
  await User.createMany([{ name: 'in', teamId: 1 }, { name: 'too', teamId: 1 }, { name: 'out' }])
  await Badge.create({ userId: 1, code: 'b' })
  return { db, Team, User, Badge }
}

forEachDriver((driver) => {
  describe('objects that know each other', () => {
    test('are printed to the depth that is asked for, and end at circles', async () => {
      const { Team, User } = await world(driver)
      const [team] = await Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)
      for (const member of team!.members) member.team = team as never

      const whole = inspect(team, { depth: null })
      expect(whole.match(/\[Circular Team\]/g)).toHaveLength(2)
      expect(inspect(team, { depth: 0 })).toBe(`Team { id: 1, name: 'full', members: [Array] }`)
      expect(inspect({ a: [team] }, { depth: 2 })).toContain('members: [Array]')
      expect(inspect([[[[team]]]])).toContain('[Array]')
      expect(inspect(team)).toContain('[Circular Team]')
      expect(inspect(team)).toBe(inspect(team))
    })

    test('are no JSON, and the error names them', async () => {
      const { Team, User } = await world(driver)
      const [team] = await Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)
      team!.members[0]!.team = team as never

      for (const make of [() => JSON.stringify(team), () => team!.toJSON(), () => plain([team])]) {
        const error = thrownBy(make)
        expect(error).toBeInstanceOf(UsageError)
        expect(String(error)).toContain('a Team holds itself (Team → User → Team)')
      }
      const list: unknown[] = []
      list.push({ list })
      expect(() => plain(list)).toThrow('an object holds itself')
      delete team!.members[0]!.team
      expect(JSON.parse(JSON.stringify(team))).toMatchObject({ members: [{ name: 'in' }, { name: 'too' }] })
      expect(plain([team, team])).toHaveLength(2)
    })
  })

  describe('JSON of what is loaded', () => {
    test('has the members of the loader, whatever was found, by both strategies', async () => {
      const { Team, User } = await world(driver)
      for (const strategy of ['joined', 'select-in'] as const) {
        const teams = await Team.query()
          .load(Team.load({ members: many(User) }), { strategy })
          .orderBy(Team.c.id)
        expect(JSON.stringify(teams[1])).toBe('{"id":2,"name":"empty","members":[]}')
        expect(plain(teams)[1]?.members).toEqual([])
        const users = await User.query()
          .load(User.load({ team: Team.load({ peers: many(User.alias('p')) }) }), { strategy })
          .orderBy(User.c.id)
        expect(JSON.stringify(users[2])).toBe('{"id":3,"name":"out","teamId":null,"team":null}')
        expect(JSON.parse(JSON.stringify(users[0]))).toMatchObject({ team: { peers: [{}, {}] } })
      }
    })

    test('has values, and instances of fields; a method is none', async () => {
      const { Team, User } = await world(driver)
      class Collecting extends Team {
        all: unknown[] = []
        note = 'inside'
        addUser(user: unknown): void {
          this.all.push(user)
        }
      }
      const [full] = await Collecting.query()
        .load(Collecting.load({ addUser: many(User) }))
        .orderBy(Team.c.id)
      const [user] = await User.query()
        .load(
          User.load({
            team: Team.c.name,
            none: sql<null>`null`,
            kind: literal('u'),
            len: (u: { name: string }) => u.name.length,
          }),
        )
        .orderBy(User.c.id)

      expect(Object.keys(full!.toJSON())).toEqual(['id', 'name', 'all'])
      expect(JSON.stringify(user)).toBe('{"id":1,"name":"in","teamId":1,"team":"full","none":null,"kind":"u","len":2}')
    })

    test('has bigint as text, in lists and loaded values too, and its type says so', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id int8 primary key, n int8, list int8[]'), {
        id: bigint({ mode: 'bigint' }).primaryKey(),
        n: bigint({ mode: 'bigint' }),
        list: bigint({ mode: 'bigint' }).array(),
      })
      class Big extends Model(db, table) {}
      await Big.create({ id: 2n ** 62n, list: [1n, -(2n ** 63n)] })

      const [made] = await Big.query().load(
        Big.load({ twice: sql<bigint>`${Big.c.n}`.mapWith(() => 5n), k: literal(7n) }),
      )

      expect(JSON.parse(JSON.stringify(made))).toEqual({
        id: String(2n ** 62n),
        n: null,
        list: ['1', String(-(2n ** 63n))],
        twice: null,
        k: '7',
      })
      expectTypeOf(new Big().toJSON()).toEqualTypeOf<{ id: string; n: string | null; list: string[] | null }>()
    })
  })

  describe('a loader of one object', () => {
    test('is refused where there are many, by both strategies, nested and for columns', async () => {
      const { Team, User } = await world(driver)
      const wrong = [
        Team.query().load(Team.load({ user: User })),
        Team.query().load(Team.load({ user: User }), { strategy: 'select-in' }),
        Team.query().load(Team.load({ user: User.alias('u') })),
        Team.query().load(Team.load({ name2: User.c.name })),
        Team.query().load(Team.load({ user: User.distinct() })),
        Team.query().load(Team.distinct().load({ user: User })),
        User.query().load(User.load({ team: Team.load({ again: User.alias('again') }) })),
      ]

      for (const query of wrong) {
        const error = await caught(query)
        expect(error).toBeInstanceOf(UsageError)
        expect(String(error)).toMatch(/one Team has many of (User|"t_\w+"), whose foreign key .* Use many\(/)
      }
    })

    test('takes what can only be one: the other side of a key, a unique key, a condition, a query', async () => {
      const { Team, User, Badge } = await world(driver)

      const users = await User.query()
        .load(User.load({ team: Team, badge: Badge, code: Badge.alias('c') }))
        .orderBy(User.c.id)
      expect([users.length, users[0]?.team?.name, users[0]?.badge?.code, users[1]?.badge]).toEqual([
        3,
        'full',
        'b',
        null,
      ])
      const badges = await Badge.query().load(Badge.load({ user: User }))
      expect(badges[0]?.user?.name).toBe('in')
      const teams = await Team.query()
        .load(Team.load({ first: User.on(sql`${User.c.teamId} = ${Team.c.id} and ${User.c.name} = 'in'`) }))
        .orderBy(Team.c.id)
      expect(teams.map(({ first }) => first?.name)).toEqual(['in', undefined])
      expect(await Team.query().join(User)).toHaveLength(2)
      expect(await Team.query().load([Team, User] as const)).toHaveLength(3)
    })

    test('is no function that gives a model', async () => {
      const { Team, User } = await world(driver)
      for (const query of [
        User.query().load(User.load({ team: () => Team })),
        User.query().load(User.load({ team: () => Team }), { strategy: 'select-in' }),
        User.query().load(() => Team),
      ]) {
        const error = await caught(query)
        expect(error).toBeInstanceOf(UsageError)
        expect(String(error)).toMatch(/a function that gives the model Team.*Give Team itself/)
      }
    })
  })
})

describe('a model', () => {
  const db = createDb()

  test('has the key of a table whose declarations name a table that is not there yet', () => {
    // As in modules that import each other: a constant of the other one cannot be read so far.
    const other = (): AnyPgColumn => later.id
    const early = pgTable('early', { a: integer(), b: integer(), laterId: integer() }, (t) => [
      primaryKey({ columns: [t.a, t.b] }),
      foreignKey({ columns: [t.laterId], foreignColumns: [other()] }),
    ])
    const single = pgTable(
      'single',
      { id: serial().primaryKey(), code: text().notNull().unique(), laterId: integer() },
      (t) => [foreignKey({ columns: [t.laterId], foreignColumns: [other()] })],
    )
    class Early extends Model(db, early) {}
    class Single extends Model(db, single) {}
    class ByCode extends Model(db, single, { pk: 'code' }) {}
    class Wrong extends Model(db, early, { pk: 'laterId' }) {}
    expect(() => new Single({ id: 1 }).lookup()).not.toThrow()
    expect(() => new ByCode({ code: 'x' }).lookup()).not.toThrow()
    expect(() => new Early({ a: 1, b: 1 }).lookup()).toThrow(ReferenceError)

    const later = pgTable('later', { id: serial().primaryKey(), earlyA: integer(), earlyB: integer() }, (t) => [
      foreignKey({ columns: [t.earlyA, t.earlyB], foreignColumns: [early.a, early.b] }),
    ])
    class Later extends Model(db, later) {}

    expect(() => new Early({ a: 1, b: 1 }).lookup()).not.toThrow()
    expect(() => new Early({ a: 1 }).lookup()).toThrow('has no b')
    expect(() => new Wrong({ laterId: 1 }).lookup()).toThrow('neither its primary key nor unique')
    expect(String(Later.query().load(Later.load({ early: Early })))).toContain('"later"."earlyA" = "early"."a"')
  })

  test('has the name it was given in messages, and that of its table where the class has none', () => {
    const table = pgTable('users', { id: serial().primaryKey() })
    class Person extends Model(db, table, { name: 'User' }) {}
    class Go extends Model(db, table) {}

    expect(String(thrownBy(() => new Person().lookup()))).toContain('This User has no id')
    expect(String(thrownBy(() => new Go().lookup()))).toContain('This users has no id')
    expect(inspect(new (Model(db, table))({ id: 1 }))).toBe('users { id: 1 }')
    expect(() => Model(db, table, { name: '' })).toThrow('The option "name" of Model()')
  })
})
