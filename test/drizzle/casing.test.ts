/** Columns without a name of their own, in a casing: models, tables, bare SQL and builders say the same. */

import { eq, getTableColumns, getTableName, sql } from 'drizzle-orm'
import { toCamelCase, toSnakeCase } from 'drizzle-orm/casing'
import { drizzle } from 'drizzle-orm/node-postgres'
import { index, integer, pgEnum, pgTable, pgView, type PgTable, serial, text, unique } from 'drizzle-orm/pg-core'
import { UsageError } from 'genever'
import { ambient, inCasing } from 'genever/drizzle'
import { many, Model } from 'genever/models'
import { createAll, createStatements } from 'genever/schema'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { thrownBy } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

let made = 0

/** A module of tables. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what Drizzle infers
function declared() {
  const prefix = `casing_${process.pid}_${++made}_`
  const teams = pgTable(`${prefix}teams`, { teamId: serial().primaryKey(), fullName: text().notNull() })
  const users = pgTable(
    `${prefix}users`,
    {
      userId: serial().primaryKey(),
      firstName: text().notNull(),
      HTTPStatus: integer().default(200),
      ownTeamId: integer().references(() => teams.teamId),
      email: text('E-Mail'),
    },
    (t) => [index().on(t.firstName), unique().on(t.ownTeamId, t.firstName)],
  )
  const names = pgView(`${prefix}names`, { firstName: text() }).as(sql`select first_name from ${users}`)
  return { teams, users, names, mood: pgEnum(`${prefix}mood`, ['ok']) }
}

const namesOf = (table: Parameters<typeof getTableColumns>[0]): string[] =>
  Object.values(getTableColumns(table)).map(({ name }) => name)

forEachDriver((driver) => {
  test('the same names are made, written by models, and read by builders and in SQL', async () => {
    const db = await driver.db()
    const { teams, users, names } = inCasing('snake_case', declared())
    class Team extends Model(db, teams, { pk: 'teamId' }) {}
    class User extends Model(db, users, { pk: 'userId' }) {}
    class Name extends Model(db, names) {}
    const q = ambient(db, (client) => drizzle({ client }))

    await createAll(db, [Team, User, names])
    const { teamId } = await Team.create({ fullName: 'Reds' })
    const user = await User.create({ firstName: 'Ann', ownTeamId: teamId, email: 'a@b' })
    await user.update({ firstName: 'Bea' })

    expect(await db.all(`select * from ${getTableName(users)}`)).toEqual([
      { user_id: 1, first_name: 'Bea', http_status: 200, own_team_id: 1, 'E-Mail': 'a@b' },
    ])
    expect(await db.sql`select ${users.firstName} from ${users}`.scalar()).toBe('Bea')
    expect(await db.all(q.select().from(users).where(eq(users.ownTeamId, teamId)))).toEqual([user.toJSON()])
    expect(await q.select().from(users)).toEqual([user.toJSON()])
    expect(await Name.query().one()).toMatchObject({ firstName: 'Bea' })
    const team = await Team.query()
      .load(Team.load({ users: many(User) }))
      .one()
    expect(team.users.map(({ firstName }) => firstName)).toEqual(['Bea'])
  })
})

describe('inCasing', () => {
  test('gives back what it was given, and leaves names that were given', () => {
    const schema = declared()

    expect(inCasing('snake_case', schema)).toBe(schema)
    expect(namesOf(schema.users)).toEqual(['user_id', 'first_name', 'http_status', 'own_team_id', 'E-Mail'])
    expect(namesOf(inCasing('camelCase', schema).users)).toEqual(namesOf(schema.users))
    expectTypeOf(inCasing('snake_case', schema.users)).toEqualTypeOf(schema.users)
  })

  test('reaches indexes, constraints and references', () => {
    const text = createStatements(inCasing('snake_case', declared())).join('\n')

    expect(text).not.toMatch(/firstName|ownTeamId|teamId/)
    expect(text).toContain('("first_name")')
    expect(text).toContain('("own_team_id", "first_name")')
    expect(text).toMatch(/foreign key \("own_team_id"\) references .* \("team_id"\)/)
  })

  test('cuts words as Drizzle does', () => {
    const keys = ['createdAt', 'HTTPStatus', 'last_seen_at', 'LOUD_NAME', 'x', 'md5Of2', "it's", 'é', '$x']
    const table = (): PgTable => pgTable('t', Object.fromEntries(keys.map((key) => [key, text()])))

    expect(namesOf(inCasing('snake_case', table()))).toEqual(keys.map((key) => toSnakeCase(key) || key))
    expect(namesOf(inCasing('camelCase', table()))).toEqual(keys.map((key) => toCamelCase(key) || key))
  })

  test('refuses what is no table, and other casings', () => {
    for (const [casing, schema] of [
      ['snake_case', {}],
      ['snake_case', [1]],
      ['kebab-case', declared()],
    ] as const)
      expect(thrownBy(() => inCasing(casing as 'snake_case', schema))).toBeInstanceOf(UsageError)
  })
})
