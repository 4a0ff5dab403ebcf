import {
  aliasedTable,
  and,
  asc,
  between,
  desc,
  eq,
  gt,
  inArray,
  isNull,
  like,
  not,
  notInArray,
  or,
  sql,
  type SQL,
} from 'drizzle-orm'
import {
  boolean,
  customType,
  integer,
  jsonb,
  pgSchema,
  pgTable,
  QueryBuilder,
  text,
  timestamp,
} from 'drizzle-orm/pg-core'
import { fc } from '../support/fast-check.ts'
import { describe, expect, test } from 'vitest'
import { postgres } from '../../src/postgres/dialect.ts'
import { type Growing, writeExpression } from '../../src/builder/drizzle/core/expression.ts'
import { withEncoded } from '../../src/builder/drizzle/core/lists.ts'
import { render } from '../../src/builder/drizzle/core/render.ts'

const point = customType<{ data: { x: number }; driverData: string }>({
  dataType: () => 'point',
  toDriver: ({ x }) => sql`point(${x}, 0)`,
})

const people = pgTable('people "x"', {
  id: integer().primaryKey(),
  name: text('full "name"').notNull(),
  born: timestamp({ withTimezone: true }),
  active: boolean(),
  tags: text().array(),
  data: jsonb(),
  place: point(),
})
const teams = pgSchema('sports').table('teams', { id: integer().primaryKey(), name: text().notNull() })
const boss = aliasedTable(people, 'boss')

const names = fc.string({ maxLength: 8 })
const leaves: fc.Arbitrary<SQL> = fc.oneof(
  names.map((name) => eq(people.name, name)),
  fc.integer().map((id) => gt(teams.id, id)),
  fc.integer().map((id) => eq(boss.id, id)),
  fc.array(fc.integer(), { minLength: 1, maxLength: 4 }).map((ids) => inArray(boss.id, ids)),
  fc.array(names, { minLength: 1, maxLength: 3 }).map((tags) => eq(people.tags, tags)),
  fc.date({ noInvalidDate: true }).map((date) => between(people.born, date, new Date(0))),
  fc.boolean().map((active) => sql`${people.active} is not distinct from ${active}`),
  fc.constant(isNull(people.born)),
  fc.constant(eq(people.id, teams.id)),
  fc.constantFrom('id', 'a "b"').map((name) => sql`${sql.identifier(name)} = ${null} or ${teams} is not null`),
  names.map((pattern) => like(teams.name, pattern)),
  fc.array(fc.integer(), { maxLength: 3 }).map((numbers) => sql`1 in ${numbers}`),
  names.map((name) => sql.join([sql`lower(${name})`, sql.raw('<>'), sql.param(name)], sql` `)),
)
const rare: fc.Arbitrary<SQL> = fc.oneof(
  fc.jsonValue().map((value) => eq(people.data, value)),
  fc.integer().map((x) => eq(people.place, { x })),
  fc
    .integer()
    .map((id) => inArray(people.id, new QueryBuilder().select({ id: teams.id }).from(teams).where(eq(teams.id, id)))),
  fc.constant(sql`${1}`.inlineParams()),
)
const tree = (of: fc.Arbitrary<SQL>): fc.Arbitrary<SQL> =>
  fc.letrec<{ expression: SQL }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4 },
      of,
      fc.array(tie('expression'), { minLength: 1, maxLength: 3 }).map((list) => and(...list) as SQL),
      fc.array(tie('expression'), { minLength: 1, maxLength: 3 }).map((list) => or(...list) as SQL),
      tie('expression').map(not),
      tie('expression').map((inner) => sql`(${inner}) is true`),
    ),
  })).expression

function written(value: SQL | typeof people.id, before: number): Growing & { done: boolean } {
  const into: Growing = {
    dialect: postgres,
    text: 'before ',
    params: Array.from({ length: before }, (_, index) => index),
  }
  const done = writeExpression(value, into)
  return { ...into, done }
}

describe('an expression written by us', () => {
  test('is the one that Drizzle writes, with its parameters', () => {
    fc.assert(
      fc.property(tree(leaves), fc.nat({ max: 3 }), (expression, before) => {
        const { text: made, params, done } = written(expression, before)
        const theirs = render(withEncoded(expression) as SQL, { before })

        expect(done).toBe(true)
        expect(made).toBe(`before ${theirs.sql}`)
        expect(params.slice(before)).toEqual(theirs.params)
      }),
      { numRuns: 500 },
    )
  })

  test('has lists of values as one array, however long', () => {
    const ids = Array.from({ length: 70_000 }, (_, id) => id)
    const byDrizzle = (value: SQL): { params: readonly unknown[] } => render(withEncoded(value) as SQL)
    for (const make of [(value: SQL) => written(value, 0), byDrizzle]) {
      expect(make(inArray(people.id, ids)).params).toHaveLength(1)
      expect(make(sql`${notInArray(boss.id, [1, 2])} or ${inArray(sql`lower(${people.name})`, ['a'])}`).params).toEqual(
        ['{1,2}', '{a}'],
      )
    }
    expect(written(inArray(people.id, [1, 2]), 0).text).toBe('before "people ""x"""."id" = any($1)')
    expect(written(notInArray(people.id, [1, 2]), 0).text).toBe('before "people ""x"""."id" <> all($1)')
  })

  test('leaves lists alone that are no values, or whose values have another form in an array', () => {
    for (const list of [
      inArray(people.tags, [['a'], ['b']]),
      sql`${people.id} in ${[sql`1`, sql`2`]}`,
      sql`${people.id} in ${[1, sql`2`]}`,
      sql`(${people.id}, ${people.name}) in ${[[1, 'a']]}`,
    ])
      expect(written(list, 0).text).toContain(' in (')
  })

  test('is left to Drizzle as a whole where only Drizzle knows it', () => {
    fc.assert(
      fc.property(rare, tree(leaves), fc.nat({ max: 3 }), (inside, beside, before) => {
        const { text: made, params, done } = written(sql`${beside} and ${inside}`, before)

        expect({ done, made, count: params.length }).toEqual({ done: false, made: 'before ', count: before })
      }),
    )
  })

  test('may be a column, of a table, a schema or an alias, and an order', () => {
    for (const each of [people.name, teams.name, boss.name].flatMap((column) => [
      sql`${column}`,
      asc(column),
      desc(column),
    ]))
      expect(written(each, 0).text).toBe(`before ${render(each).sql}`)
    expect(written(people.id, 0).text).toBe('before "people ""x"""."id"')
  })
})
