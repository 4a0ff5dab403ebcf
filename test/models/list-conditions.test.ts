/** Which rows a condition of a list is on: the list's, those of the object that has it, or neither. */

import { and, desc, eq, exists, getTableName, gt, inArray, lt, type SQL, sql } from 'drizzle-orm'
import { alias, integer, pgTable, QueryBuilder, serial, text } from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import { many, Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const both = /is on .*, which is in the list and in what has it: use alias\('name'\)/

/** Two teams; Ann of the first has posts of both, Bob of the second has one of the first, and there is one of nobody. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function world(driver: TestedDriver, given?: Db) {
  const db = given ?? (await driver.db())
  const teams = pgTable(await driver.table('id serial primary key, name text not null'), {
    id: serial().primaryKey(),
    name: text().notNull(),
  })
  const authors = pgTable(await driver.table('id serial primary key, name text not null, team_id int'), {
    id: serial().primaryKey(),
    name: text().notNull(),
    teamId: integer('team_id').references(() => teams.id),
  })
  const posts = pgTable(await driver.table('id serial primary key, title text not null, author_id int, team_id int'), {
    id: serial().primaryKey(),
    title: text().notNull(),
    authorId: integer('author_id').references(() => authors.id),
    teamId: integer('team_id').references(() => teams.id),
  })
  class Team extends Model(db, teams) {}
  class Author extends Model(db, authors) {}
  class Post extends Model(db, posts) {}
  await Team.createMany([{ name: 'red' }, { name: 'blue' }])
  await Author.createMany([
    { name: 'Ann', teamId: 1 },
    { name: 'Bob', teamId: 2 },
  ])
  await Post.createMany([
    { title: 'a1', authorId: 1, teamId: 1 },
    { title: 'a2', authorId: 1, teamId: 2 },
    { title: 'b1', authorId: 2, teamId: 1 },
    { title: 'n2', authorId: null, teamId: 2 },
  ])
  return { db, teams, authors, posts, Team, Author, Post }
}

const titles = (rows: readonly { readonly posts: readonly { readonly title: string }[] }[]): string[] =>
  rows.map(({ posts }) => posts.map(({ title }) => title).join(' '))

forEachDriver((driver) => {
  describe('on() of a list', () => {
    test('is refused on a table that both sides joined, and an alias on either side says which', async () => {
      const name = `both sides ${driver.name}`
      const { Team, Author, Post } = await world(driver, await driver.db({ name }))
      const listed = many(Post.load({ team: Team })).on(eq(Post.c.teamId, Team.c.id))
      const T = Team.alias('t')
      using heard = hear(name)

      for (const loader of [
        Author.load({ team: Team, posts: listed }),
        Author.load({ posts: listed, team: Team }),
        Author.load({ team: Team.load({ authors: many(Author.alias('a')) }), posts: listed }),
        Author.load({
          team: Team,
          posts: many(Post.load({ team: Team })).on(sql`${gt(Post.c.id, Team.c.id)} and true`),
        }),
      ])
        for (const query of [Author.query(), Author.where({ id: 1 }).limit(1)]) {
          expect(await caught(query.load(loader))).toMatchObject({
            name: 'UsageError',
            message: expect.stringMatching(both),
          })
          expect(await caught(query.load(loader).count())).toMatchObject({ message: expect.stringMatching(both) })
        }
      const joined = Author.query()
        .join(Team)
        .load(Author.load({ posts: listed }))
      expect(await caught(joined)).toMatchObject({ message: expect.stringMatching(both) })
      expect(heard.statements).toEqual([])

      const outer = Author.load({ team: T, posts: many(Post.load({ team: Team })).on(eq(Post.c.teamId, T.c.id)) })
      const inner = Author.load({ team: Team, posts: many(Post.load({ team: T })).on(eq(Post.c.teamId, Team.c.id)) })
      for (const loader of [outer, inner])
        for (const query of [Author.query().load(loader), Author.query().load(loader).limit(2)]) {
          expect(titles(await query.orderBy(Author.c.id))).toEqual(['a1 b1', 'a2 n2'])
          expect(titles([await query.where({ id: 2 }).one()])).toEqual(['a2 n2'])
        }
    })

    test('is refused on such a table in a list of a list', async () => {
      const { Team, Author, Post } = await world(driver)
      const [Other, Own] = [Team.alias('other'), Team.alias('own')]
      const loader = (team: typeof Other, on: typeof Other) =>
        Team.load({
          authors: many(
            Author.load({ home: Other, posts: many(Post.load({ team })).on(eq(Post.c.teamId, on.c.id)) }).on(
              eq(Author.c.teamId, Other.c.id),
            ),
          ),
        })

      expect(await caught(Team.query().load(loader(Other, Other)))).toMatchObject({
        message: expect.stringMatching(both),
      })
      const found = await Team.query().load(loader(Own, Other)).orderBy(Team.c.id)
      expect(found.map(({ authors }) => titles(authors))).toEqual([
        ['a1 b1', 'a2 n2'],
        ['a1 b1', 'a2 n2'],
      ])
    })

    test('takes the name of the model of the list for the list, and that of the object for the object', async () => {
      const { Team, Author, Post } = await world(driver)
      const ofAuthor = eq(Post.c.authorId, Author.c.id)

      // The query's own table is that of the list, too.
      const more = Post.load({ author: Author.load({ posts: many(Post).on(ofAuthor) }) })
      const posts = await Post.query().load(more).orderBy(Post.c.id)
      expect(posts.map(({ author }) => author?.posts.map(({ title }) => title).join(' '))).toEqual([
        'a1 a2',
        'a1 a2',
        'b1',
        undefined,
      ])
      // The objects of the list load one of the table that has the list.
      const back = Author.load({ posts: many(Post.load({ author: Author })).on(ofAuthor) })
      expect(titles(await Author.query().load(back).orderBy(Author.c.id))).toEqual(['a1 a2', 'b1'])
      // A table in between belongs to the list, whatever is joined outside.
      const authored = many(Post, { through: Author }).on(lt(Author.c.id, 9))
      const OfTeam = Author.on(eq(Author.c.teamId, Team.c.id))
      expect(
        titles(
          await Team.query()
            .load(Team.load({ one: OfTeam, posts: authored }))
            .orderBy(Team.c.id),
        ),
      ).toEqual(['a1 a2', 'b1'])
    })

    test('is refused on what neither side has, unless a subquery has it', async () => {
      const { teams, Team, Author, Post } = await world(driver)
      const neither = /is on .*, which is neither in the list nor in what has it/
      const loader = Author.load({ posts: many(Post).on(eq(Post.c.teamId, Team.c.id)) })
      expect(await caught(Author.query().load(loader))).toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(neither),
      })
      const nested = Team.load({ authors: many(Author.load({ posts: many(Post).on(eq(Post.c.teamId, Team.c.id)) })) })
      expect(await caught(Team.query().load(nested))).toMatchObject({ message: expect.stringMatching(neither) })

      const red = sql`${Post.c.teamId} in (select ${Team.c.id} from ${teams} where ${Team.c.name} = 'red')`
      for (const outside of [{}, { team: Team }]) {
        const posts = many(Post.load(outside)).on(and(eq(Post.c.authorId, Author.c.id), red)!)
        const found = Author.query().load(Author.load({ ...outside, posts }))
        expect(titles(await found.orderBy(Author.c.id))).toEqual(['a1', 'b1'])
      }
    })

    test('means the object in a subquery too, which SQL or a builder of Drizzle makes', async () => {
      const { authors, posts, Author, Post } = await world(driver)
      const same = sql`exists (select 1 from ${posts} "same" where "same".id = ${Post.c.id} and "same".author_id = ${Author.c.id})`
      const first = new QueryBuilder()
        .select({ id: posts.id })
        .from(posts)
        .where(eq(posts.authorId, Author.c.id))
        .orderBy(posts.id)
        .limit(1)
      const notLast = sql`${Author.c.id} < (select max(${authors.id}) from ${authors})`
      const known = exists(new QueryBuilder().select({ id: authors.id }).from(authors).where(eq(authors.id, 1)))
      for (const back of [{}, { author: Author }])
        for (const [on, expected] of [
          [same, ['a1 a2', 'b1']],
          [sql`${Post.c.id} = ${first}`, ['a1', 'b1']],
          [and(eq(Post.c.authorId, Author.c.id), known)!, ['a1 a2', 'b1']],
        ] as const) {
          const loader = Author.load({ posts: many(Post.load(back)).on(on) })
          expect(titles(await Author.query().load(loader).orderBy(Author.c.id))).toEqual(expected)
          expect(titles([await Author.where({ id: 1 }).load(loader).one()])).toEqual([expected[0]])
        }
      const loader = Post.load({ author: Author.load({ posts: many(Post).on(eq(Post.c.authorId, Author.c.id)) }) })
      expect(await Post.where(notLast).join(Author).load(loader).count()).toBe(2)
    })

    test('takes the tables of a subquery for those of the subquery, however they are written', async () => {
      const { teams, authors, posts, Team, Author, Post } = await world(driver)
      const q = new QueryBuilder()
      const own = eq(Post.c.authorId, Author.c.id)
      const counted = q
        .select({ author: posts.authorId, n: sql<number>`count(*)`.as('n') })
        .from(posts)
        .groupBy(posts.authorId)
        .as('counted')
      const several = q
        .select({ author: counted.author })
        .from(counted)
        .where(and(gt(counted.n, 1), eq(counted.author, Author.c.id)))
      const parts = [
        sql.raw('exists (select 1 from '),
        sql`${teams}`,
        sql.raw(' where '),
        eq(Team.c.id, Post.c.teamId),
        sql.raw(' and '),
        eq(Team.c.name, 'red'),
        sql.raw(')'),
      ]
      const table = sql.identifier(getTableName(authors))
      const name = (of: typeof authors | typeof posts): SQL => sql.raw(getTableName(of))
      const a = alias(authors, 'a')
      const b = alias(authors, 'b')
      const conditions: readonly (readonly [SQL | undefined, string, string])[] = [
        [sql`${own} and exists (select 1 from ${authors} a where a.id > ${Author.c.id})`, 'a1 a2', ''],
        [
          sql`${own} and ${Post.c.authorId} in (select ${authors.id} from ${authors} where ${authors.id} < 2)`,
          'a1 a2',
          '',
        ],
        [and(own, inArray(Post.c.authorId, several)), 'a1 a2', ''],
        [and(own, sql.join(parts)), 'a1', 'b1'],
        [
          sql`${own} and ${Post.c.teamId} in (select ${Team.c.id} from ${sql.raw(getTableName(teams))} where ${Team.c.name} = 'red')`,
          'a1',
          'b1',
        ],
        [
          sql`${own} and exists (select 1 as ${table} from ${teams} where ${Team.c.id} = ${Author.c.teamId} and ${Team.c.id} < 2)`,
          'a1 a2',
          '',
        ],
        // A further subquery selects from the table of the object.
        [
          sql`${own} and exists (select 1 from ${posts} p where p.author_id = ${Author.c.id} and ${Author.c.id} = (select min(${Author.c.id}) from ${authors}))`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and 1 < (select count(*) as ${table} from ${posts} p where p.author_id = ${Author.c.id} having count(*) > 0)`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and exists (select max(p.id) as ${table}, 1 from ${posts} p where p.author_id = ${Author.c.id} having count(*) > 1)`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and 1 in (select 1 from ${posts} as p, ${name(authors)} where p.id = 1 and ${Author.c.id} = ${Post.c.authorId} and ${Author.c.name} = 'Ann')`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and exists (select 1 from (${name(posts)} p cross join lateral (select ${Author.c.id} as n) m) where m.n < 2)`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and ${Author.c.id} is not distinct from (select min(${Author.c.id}) /* ) from */ from ${authors} where ')' <> '(select')`,
          'a1 a2',
          '',
        ],
        [
          sql`${own} and 1 in (select ${Author.c.id} union select ${Author.c.id} + 5 from ${authors} where ${Author.c.id} > 1)`,
          'a1 a2',
          '',
        ],
        [
          and(
            own,
            inArray(
              Author.c.id,
              q
                .select({ id: a.id })
                .from(a)
                .where(and(eq(a.id, Author.c.id), lt(a.id, 2)))
                .union(
                  q
                    .select({ id: b.id })
                    .from(b)
                    .where(and(eq(b.id, Author.c.id), gt(b.id, 5))),
                ),
            ),
          ),
          'a1 a2',
          '',
        ],
      ]
      for (const outside of [{}, { team: Team }])
        for (const inside of [{}, { author: Author }])
          for (const [on, ...expected] of conditions) {
            const loader = Author.load({ ...outside, posts: many(Post.load(inside)).on(on as SQL) })
            expect(titles(await Author.query().load(loader).orderBy(Author.c.id))).toEqual(expected)
            expect(titles([await Author.where({ id: 2 }).load(loader).one()])).toEqual([expected[1]])
          }
      const red = Author.load({ posts: many(Post.where(sql.join(parts))) })
      expect(titles(await Author.query().load(red).orderBy(Author.c.id))).toEqual(['a1', 'b1'])
    })
  })

  test('a list through the table of the object itself has what belongs to the others', async () => {
    const db = await driver.db()
    const staff = pgTable(await driver.table('id serial primary key, boss_id int'), {
      id: serial().primaryKey(),
      bossId: integer('boss_id').references((): never => staff.id as never),
    })
    const badges = pgTable(await driver.table('id serial primary key, staff_id int'), {
      id: serial().primaryKey(),
      staffId: integer('staff_id').references(() => staff.id),
    })
    class Staff extends Model(db, staff) {}
    class Badge extends Model(db, badges) {}
    await Staff.createMany([{ bossId: null }, { bossId: 1 }, { bossId: 1 }, { bossId: 2 }])
    await Badge.createMany([{ staffId: 1 }, { staffId: 2 }, { staffId: 3 }, { staffId: 4 }, { staffId: 3 }])
    const loader = Staff.load({ below: many(Badge, { through: Staff }) })

    for (const strategy of ['joined', 'select-in'] as const) {
      const found = await Staff.query().load(loader, { strategy }).orderBy(Staff.c.id)
      expect(found.map(({ below }) => below.map(({ id }) => id).join(' '))).toEqual(['2 3 5', '4', '', ''])
      const [first] = await Staff.where({ id: 1 }).load(loader, { strategy })
      expect(first?.below).toHaveLength(3)
    }
    const twice = Staff.load({ below: many(Badge, { through: Staff }).on(gt(Staff.c.id, 2)) })
    expect(await caught(Staff.query().load(twice))).toMatchObject({ message: expect.stringMatching(both) })
    expect(thrownBy(() => many(Badge, { through: Badge }))).toMatchObject({
      message: expect.stringMatching(/to itself/),
    })
  })

  test('the condition and the order of a list are on the list, and are refused on what has it', async () => {
    const name = `own conditions ${driver.name}`
    const { Team, Author, Post } = await world(driver, await driver.db({ name }))
    const outside = /load\(\{ posts \}\) has a condition, an order or a value on .*, which is not in the list/
    using heard = hear(name)
    for (const list of [
      many(Post.where(gt(Post.c.id, Author.c.id))),
      many(Post.query().orderBy(desc(Author.c.id))),
      many(Post.where(eq(Team.c.name, 'red'))),
      many(Post.load({ team: Team.on(eq(Team.c.id, Author.c.teamId)) })),
      many(Post.load({ by: sql`${Author.c.name} || '!'` })),
    ])
      for (const loader of [Author.load({ posts: list }), Author.load({ team: Team.alias('t'), posts: list })])
        expect(await caught(Author.query().load(loader))).toMatchObject({
          name: 'UsageError',
          message: expect.stringMatching(outside),
        })
    const ofTeam = Post.load({ team: Team })
    const loader = Author.load({ team: Team, posts: many(Post.where(eq(Team.c.name, 'red')).load(ofTeam)) })
    expect(await caught(Author.query().load(loader, { strategy: 'select-in' }))).toMatchObject({
      message: expect.stringMatching(outside),
    })
    expect(
      await caught(
        Author.query()
          .load(Author.load({ posts: many(ofTeam) }))
          .where(eq(Team.c.id, 1)),
      ),
    ).toMatchObject({
      message: expect.stringMatching(/A condition of the query is on Post/),
    })
    expect(heard.statements).toEqual([])

    // The team of the post, not that of the author.
    expect(titles(await Author.query().load(loader).orderBy(Author.c.id))).toEqual(['a1', 'b1'])
  })

  test('on() of one object is refused where the query joined its table by another condition', async () => {
    const { db, teams, Team, Author, Post } = await world(driver)
    const other = /joined by another condition than on\(\) has: use alias/
    const byTeam = eq(Post.c.teamId, Team.c.id)
    const loader = Post.load({ team: Team.on(byTeam) })

    expect(await caught(Post.query().join(Team, eq(Team.c.id, Post.c.authorId)).load(loader))).toMatchObject({
      name: 'UsageError',
      message: expect.stringMatching(other),
    })
    const [X, Y] = [Team.alias('x'), Author.alias('x')]
    const named = /Two tables of the query have the name "x"/
    const joined = Post.query().join(X, sql`"x".id = ${Post.c.teamId}`)
    expect(await caught(joined.load(Post.load({ author: Y })))).toMatchObject({ message: expect.stringMatching(named) })
    expect(thrownBy(() => joined.join(Y, sql`"x".id = ${Post.c.teamId}`))).toMatchObject({
      message: expect.stringMatching(named),
    })
    for (const query of [
      Post.query().join(Team),
      Post.query().join(Team, byTeam),
      Post.query().join(Team, eq(Team.c.id, Post.c.teamId)),
    ]) {
      const same = await query.load(loader).orderBy(Post.c.id)
      expect(same.map(({ team }) => team?.name)).toEqual(['red', 'blue', 'red', 'blue'])
    }
    const again = pgTable(getTableName(teams), { id: serial().primaryKey() })
    class Again extends Model(db, again) {}
    const declared = await Post.query().join(Again, eq(Again.c.id, Post.c.teamId)).load(loader).orderBy(Post.c.id)
    expect(declared.map(({ team }) => team?.name)).toEqual(['red', 'blue', 'red', 'blue'])
    for (const strategy of ['joined', 'select-in'] as const)
      expect(await caught(Post.query().load(Post.on(byTeam), { strategy }))).toMatchObject({
        message: expect.stringMatching(/is the table of the query: on\(\) has nothing to join/),
      })
  })
})
