/** Pages by keys of every kind: each row once, in the order of the query. And queries put together of parts. */

import { asc, desc, eq, sql } from 'drizzle-orm'
import { integer, pgTable, primaryKey, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { UsageError } from 'genever'
import { many, Model, type ModelQuery } from 'genever/models'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function filled(driver: TestedDriver) {
  const db = await driver.db()
  const teamsName = await driver.table('id serial primary key, name text not null')
  const teams = pgTable(teamsName, { id: serial().primaryKey(), name: text().notNull() })
  const name = await driver.table(
    `a integer, b text, n integer, label text, at timestamptz, team_id integer, primary key (a, b)`,
  )
  const items = pgTable(
    name,
    {
      a: integer().notNull(),
      b: text().notNull(),
      n: integer(),
      label: text(),
      at: timestamp({ withTimezone: true }),
      teamId: integer('team_id').references(() => teams.id),
    },
    (t) => [primaryKey({ columns: [t.a, t.b] })],
  )
  class Team extends Model(db, teams) {}
  class Item extends Model(db, items, { pk: ['a', 'b'] }) {}
  await Team.createMany([{ name: 'red' }, { name: 'blue' }])
  await db.status(`insert into ${name} select i % 5, 'k' || i, nullif(i % 4, 0), nullif(chr(97 + i % 3), 'a'),
    timestamptz '2024-01-01' + (i % 6) * interval '1 microsecond', case i % 3 when 0 then null else i % 3 end
    from generate_series(1, 40) i`)
  return { db, Item, Team }
}

/** The rows of all pages, and those that the query gives at once in the order that pages have. */
async function paged<R extends { readonly a: number; readonly b: string }>(query: ModelQuery<R>): Promise<string[]> {
  const seen: string[] = []
  let cursor: string | null = null
  do {
    const page: { rows: R[]; cursor: string | null } = await query.limit(7).after(cursor).page()
    seen.push(...page.rows.map(({ b }) => b))
    cursor = page.cursor
  } while (cursor !== null && seen.length < 100)
  return seen
}

forEachDriver((driver) => {
  describe('pages in the order of', () => {
    test('expressions with operators, with parameters and without, in any direction', async () => {
      const { Item } = await filled(driver)
      for (const [name, ...by] of [
        ['operator', sql`${Item.c.a} % 2`],
        ['asc', asc(sql`${Item.c.a} % 2`)],
        ['parameter', desc(sql`${Item.c.n} % ${2}`)],
        ['boolean', desc(sql`${Item.c.n} = 1 or ${Item.c.a} > 3`)],
        ['minus', asc(sql`-${Item.c.n}`), desc(Item.c.label)],
        ['case', asc(sql`case when ${Item.c.n} = 1 then 0 else 1 end`)],
        ['collation', desc(sql`${Item.c.label} collate "C"`)],
        ['written', sql`length(${Item.c.b}) desc`],
        ['written column', sql`${Item.c.label} desc`, sql`${Item.c.n} asc`],
        ['mixed', asc(Item.c.label), desc(Item.c.n), asc(Item.c.a), desc(Item.c.b)],
        ['direction as text', sql`${Item.c.label} ${sql.raw('desc')}`, sql`${Item.c.n}${sql.raw('')}`],
        ['microseconds', desc(Item.c.at)],
        ['part of the key', asc(Item.c.a)],
        ['nothing'],
      ] as const) {
        const seen = await paged(Item.query().orderBy(...by))

        expect(new Set(seen).size, name).toBe(40)
        expect(seen, name).toHaveLength(40)
      }
    })

    test('NULLs first or last, as the query has them', async () => {
      const { Item } = await filled(driver)
      for (const by of [
        sql`${Item.c.n} desc nulls last`,
        sql`${Item.c.n} asc nulls first`,
        sql`${Item.c.n} NULLS FIRST`,
        sql`${asc(Item.c.n)} nulls first`,
        sql`${Item.c.n} + 1 desc nulls last`,
      ]) {
        const query = Item.query().orderBy(by, asc(Item.c.a), asc(Item.c.b))
        const seen = await paged(query)

        expect(seen).toEqual((await query).map(({ b }) => b))
      }
    })

    test('a column that a left join makes NULL', async () => {
      const { Item, Team } = await filled(driver)
      for (const by of [asc(Team.c.name), desc(Team.c.name)]) {
        const seen = await paged(Item.query().leftJoin(Team).orderBy(by))

        expect(new Set(seen).size).toBe(40)
      }
    })

    test('a column of an alias', async () => {
      const { Item, Team } = await filled(driver)
      const home = Team.alias('home')

      expect(new Set(await paged(Item.query().leftJoin(home).orderBy(desc(home.c.name)))).size).toBe(40)
    })
  })

  test('an expression that has a name, with a list and without', async () => {
    const { Item, Team } = await filled(driver)
    const size = sql<number>`length(${Item.c.b})`.as('size')
    for (const by of [[asc(size)], [desc(size), asc(Item.c.label)]])
      for (const loader of [Item.load({ size }), Item.load({ size, teams: many(Team) })]) {
        const query = Item.query()
          .load(loader)
          .orderBy(...by, asc(Item.c.a), asc(Item.c.b))

        expect(await paged(query)).toEqual((await query).map(({ b }) => b))
      }
  })

  test('pages of select() have plain objects of its columns', async () => {
    const { Item } = await filled(driver)
    const query = Item.select('b', 'n').where({ a: 1 }).orderBy(asc(Item.c.n)).limit(3)
    const first = await query.page()
    const second = await query.after(first.cursor).page()

    expect([...first.rows, ...second.rows]).toEqual((await query.limit(6)).map((row) => ({ ...row })))
    expect(Object.getPrototypeOf(first.rows[0])).toBe(Object.prototype)
    expect(Object.keys(first.rows[0] ?? {})).toEqual(['b', 'n'])
  })

  test('of objects that a join gives several times are refused: a page would end between two of them', async () => {
    const { Item, Team } = await filled(driver)
    const joined = Team.query().join(Item)
    for (const query of [joined, joined.leftJoin(Item), Team.query().leftJoin(Item, eq(Item.c.teamId, Team.c.id))]) {
      const refused = { name: 'UsageError', message: expect.stringMatching(/once for each Item .*some\(Team, Item\)/) }
      expect(await caught(query.limit(1).page())).toMatchObject(refused)
      const separate = query.load(Team.load({ items: many(Item) }), { strategy: 'select-in' })
      expect(await caught((async () => separate.iterate().read())())).toMatchObject(refused)
    }

    const pages = joined.groupBy(Team.c.id).limit(1)
    const { rows, cursor } = await pages.page()
    const next = await pages.after(cursor).page()
    expect([...rows, ...next.rows].map(({ name }) => name)).toEqual(['red', 'blue'])
    expect((await Item.query().join(Team).limit(1).page()).rows).toHaveLength(1)
  })

  test('several keys in one expression are refused', async () => {
    const { Item } = await filled(driver)
    for (const by of [sql`${Item.c.n} desc, ${Item.c.b}`, sql.join([asc(Item.c.n), desc(Item.c.b)], sql`, `)])
      expect(await caught(Item.query().orderBy(by).limit(2).page())).toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(/has one key in each expression/),
      })
    expect(await paged(Item.query().orderBy(sql`coalesce(${Item.c.n}, 0) desc`))).toHaveLength(40)
  })

  test('a cursor belongs to one order, its values included', async () => {
    const { Item } = await filled(driver)
    const by = (n: number) =>
      Item.query()
        .orderBy(asc(sql`${Item.c.a} % ${n}`))
        .limit(3)
    const { cursor } = await by(2).page()

    expect(await by(2).after(cursor).page()).toMatchObject({ rows: { length: 3 } })
    expect(thrownBy(() => by(3).after(cursor))).toBeInstanceOf(UsageError)
    const last = Item.query()
      .orderBy(sql`${Item.c.n} desc nulls last`)
      .limit(3)
    const first = Item.query().orderBy(desc(Item.c.n)).limit(3)
    const page = await first.page()
    expect(thrownBy(() => last.after(page.cursor))).toBeInstanceOf(UsageError)
  })

  describe('a join that is asked for twice', () => {
    test('is one join, an inner one if any asks for that', async () => {
      const { Item, Team } = await filled(driver)
      const inRed = (query: ReturnType<typeof Item.query>) => query.join(Team).where(eq(Team.c.name, 'red'))

      expect(await inRed(inRed(Item.query())).count()).toBe(14)
      expect(await Item.query().leftJoin(Team).count()).toBe(40)
      expect(await Item.query().leftJoin(Team).join(Team).count()).toBe(27)
      expect(await Item.query().join(Team).leftJoin(Team).count()).toBe(27)
      const on = () => eq(Item.c.a, Team.c.id)
      expect(await Item.query().join(Team, on()).join(Team, on()).count()).toBe(16)
      const home = Team.alias('home')
      expect(await Item.query().join(Team).join(home).join(home).count()).toBe(27)
      const loaded = await Item.query()
        .join(Team)
        .join(Team)
        .load(Item.load({ team: Team }))
        .first()
      expect(loaded?.team).toBeInstanceOf(Team)
    })

    test('by another condition is refused, and so is the table of the query', async () => {
      const { Item, Team } = await filled(driver)

      const twice = thrownBy(() => Item.query().join(Team).join(Team, eq(Item.c.a, Team.c.id)))
      expect(twice).toBeInstanceOf(UsageError)
      expect(twice.message).toContain('alias')
      const values = thrownBy(() => Item.query().join(Team, eq(Team.c.id, 1)).join(Team, eq(Team.c.id, 2)))
      expect(values).toBeInstanceOf(UsageError)
      expect(thrownBy(() => Item.query().join(Item, eq(Item.c.a, 1)))).toBeInstanceOf(UsageError)
    })
  })
})
