/** Models of views beside those of tables: joins, aliases, loaders, views in schemas, materialized views. */

import { asc, desc, eq, getTableName, gt } from 'drizzle-orm'
import { integer, pgMaterializedView, pgSchema, pgView, text } from 'drizzle-orm/pg-core'
import { UsageError } from 'genever'
import { many, Model } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import { filled } from './support/library.ts'

const columns = {
  id: integer().notNull(),
  name: text().notNull(),
  teamId: integer('team_id'),
  bossId: integer('boss_id'),
}

/** `Member` is a view of the users of the small world. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function members(driver: TestedDriver) {
  const world = await filled(driver)
  const name = `${getTableName(world.users)}_members`
  await world.db.status(`create view ${name} as select id, name, team_id, boss_id from ${getTableName(world.users)}`)
  class Member extends Model(world.db, pgView(name, columns).existing()) {
    greet(): string {
      return `hi ${this.name}`
    }
  }
  return { ...world, Member }
}

forEachDriver((driver) => {
  describe('a view', () => {
    test('is joined by a condition, and is refused without one, because it has no foreign keys', async () => {
      const { Member, Team } = await members(driver)

      const teams = await Team.query()
        .load(Team.load({ members: many(Member).on(eq(Member.c.teamId, Team.c.id)) }))
        .orderBy(Team.c.id)
      const inTeams = Member.query().join(Team, eq(Member.c.teamId, Team.c.id))

      expect(teams.map((team) => `${team.name}: ${team.members.map((member) => member.greet()).join(', ')}`)).toEqual([
        'red: hi Ann, hi Bob',
        'blue: hi Cid',
        'empty: ',
      ])
      expect(await inTeams.count()).toBe(3)
      for (const unclear of [
        () => Team.query().load(Team.load({ members: many(Member) })),
        () => Member.query().load(Member.load({ team: Team })),
        () => Team.query().join(Member),
      ]) {
        const error = await caught((async () => unclear())())
        expect(error).toBeInstanceOf(UsageError)
        expect(error.message).toMatch(/There is no foreign key between .*: say how they belong together with \.on/)
      }
    })

    test('may be a materialized one', async () => {
      const { db, Team, teams, users } = await filled(driver)
      const name = `${getTableName(teams)}_sizes`
      await db.status(`create materialized view ${name} as
        select t.id as team_id, count(u.id)::int as members from ${getTableName(teams)} t
        left join ${getTableName(users)} u on u.team_id = t.id group by t.id`)
      const sizes = pgMaterializedView(name, { teamId: integer('team_id').notNull(), members: integer().notNull() })
      class Size extends Model(db, sizes.existing()) {}
      const Own = Size.alias('own')

      const found = await Team.query()
        .load(Team.load({ size: Own.on(eq(Own.c.teamId, Team.c.id)) }))
        .where(gt(Own.c.members, 0))
        .orderBy(asc(Own.c.members))

      expect(found.map((team) => `${team.name} ${String(team.size?.members)}`)).toEqual(['blue 1', 'red 2'])
    })

    test('may be in a schema', async () => {
      const { db, users, Team } = await filled(driver)
      const [schema, name] = [`s_${getTableName(users)}`, 'members']
      await db.status(
        `create schema ${schema}; create view ${schema}.${name} as select id, name, team_id, boss_id from ${getTableName(users)}`,
      )
      class Member extends Model(db, pgSchema(schema).view(name, columns).existing()) {}
      const Boss = Member.alias('boss')

      expect(await Member.where({ name: 'Bob' }).one()).toMatchObject({ id: 2, teamId: 1, bossId: 1 })
      expect(await Member.where(gt(Member.c.id, 1)).orderBy(Member.c.id).first()).toMatchObject({ name: 'Bob' })
      const bob = await Member.query()
        .load(
          Member.load({ boss: Boss.on(eq(Member.c.bossId, Boss.c.id)), team: Team.on(eq(Member.c.teamId, Team.c.id)) }),
        )
        .where(eq(Member.c.name, 'Bob'))
        .one()
      expect([bob.boss?.name, bob.team?.name]).toEqual(['Ann', 'red'])
    })
  })

  describe('an alias of a view', () => {
    test('joins the view to itself, and gives instances of its class', async () => {
      const { Member } = await members(driver)
      const Boss = Member.alias('boss')

      const found = await Member.query()
        .load(Member.load({ boss: Boss.on(eq(Member.c.bossId, Boss.c.id)) }))
        .orderBy(Member.c.id)

      expect(found.map(({ boss }) => boss?.greet() ?? null)).toEqual([null, 'hi Ann', 'hi Ann', null])
      expectTypeOf(found[0]!.boss).toEqualTypeOf<InstanceType<typeof Member> | null>()
    })

    test('has columns of its own in conditions, orders and lists of columns', async () => {
      const { Member } = await members(driver)
      const Boss = Member.alias('boss')
      const led = Member.query()
        .join(Boss, eq(Member.c.bossId, Boss.c.id))
        .where(eq(Boss.c.name, 'Ann'))
        .orderBy(Boss.c.id, Member.c.id)

      expect((await led).map(({ name }) => name)).toEqual(['Bob', 'Cid'])
      expect(await led.load([Member.c.name, Boss.c.name])).toEqual([
        ['Bob', 'Ann'],
        ['Cid', 'Ann'],
      ])
    })

    test('loads with loaders of its own, and once for equal rows', async () => {
      const { Member, Team, User } = await members(driver)
      const Boss = Member.alias('boss')

      const users = await User.query()
        .load(
          User.load({
            boss: Boss.load({ team: Team.on(eq(Boss.c.teamId, Team.c.id)) }).on(eq(User.c.bossId, Boss.c.id)),
          }),
        )
        .orderBy(User.c.id)
      const shared = await Member.query()
        .load(Member.load({ boss: Boss.distinct(Boss.c.id).on(eq(Member.c.bossId, Boss.c.id)) }))
        .orderBy(Member.c.id)

      expect(users.map(({ boss }) => (boss === null ? null : `${boss.greet()} of ${String(boss.team?.name)}`))).toEqual(
        [null, 'hi Ann of red', 'hi Ann of red', null],
      )
      expect(shared[1]?.boss).toBe(shared[2]?.boss)
    })

    test('loads as a list, of the objects that a limit counts in any order', async () => {
      const { Member } = await members(driver)
      const Mate = Member.alias('mate')

      const found = await Member.query()
        .load(Member.load({ mates: many(Mate).on(eq(Mate.c.teamId, Member.c.teamId)) }))
        .where(gt(Member.c.teamId, 0))
        .orderBy(desc(Member.c.name), Member.c.bossId)
        .limit(2)

      expect(found.map(({ name, mates }) => [name, ...mates.map((mate) => mate.name).toSorted()])).toEqual([
        ['Cid', 'Cid'],
        ['Bob', 'Ann', 'Bob'],
      ])
    })
  })
})
