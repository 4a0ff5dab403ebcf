/** Random queries of models on MySQL beside the same on PostgreSQL: conditions, lists in lists, single objects, limits, pages. */

import { and, asc, desc, eq, gt, isNotNull, isNull, ne, or, type SQL } from 'drizzle-orm'
import * as mysql from 'drizzle-orm/mysql-core'
import * as postgres from 'drizzle-orm/pg-core'
import { createDb, type Db } from 'genever'
import { every, many, Model, none, some } from 'genever/models'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { describeMysql, freshMysql } from '../support/mysql.ts'

const tables = ['team', 'member', 'post', 'tag', 'post_tag'] as const
const ddl = (text: string): string[] => [
  `create table team (id int primary key, name ${text}, grade int not null)`,
  `create table member (id int primary key, name ${text}, team_id int references team(id), age int)`,
  `create table post (id int primary key, name ${text}, member_id int references member(id), n int)`,
  `create table tag (id int primary key, name ${text}, n int)`,
  'create table post_tag (post_id int references post(id), tag_id int references tag(id), primary key (post_id, tag_id))',
]

type Name = 'team' | 'member' | 'post' | 'tag'

/** The models of two databases have no type in common. */
// oxlint-disable-next-line typescript/no-explicit-any
type Loose = any
type World = Readonly<Record<Name | 'post_tag', Loose>>

/** The words of a database for tables. */
const kits: Readonly<Record<'mysql' | 'postgres', Loose>> = {
  mysql: {
    table: mysql.mysqlTable,
    int: mysql.int,
    text: (name: string) => mysql.varchar(name, { length: 20 }),
    key: mysql.primaryKey,
  },
  postgres: { table: postgres.pgTable, int: postgres.integer, text: postgres.text, key: postgres.primaryKey },
}

function worldOf(db: Db, { table, int, text, key }: Loose): World {
  const team = table('team', { id: int('id').primaryKey(), name: text('name'), grade: int('grade').notNull() })
  const member = table('member', {
    id: int('id').primaryKey(),
    name: text('name'),
    teamId: int('team_id').references(() => team.id),
    n: int('age'),
  })
  const post = table('post', {
    id: int('id').primaryKey(),
    name: text('name'),
    memberId: int('member_id').references(() => member.id),
    n: int('n'),
  })
  const tag = table('tag', { id: int('id').primaryKey(), name: text('name'), n: int('n') })
  const between = table(
    'post_tag',
    { postId: int('post_id').references(() => post.id), tagId: int('tag_id').references(() => tag.id) },
    (t: Loose) => [key({ columns: [t.postId, t.tagId] })],
  )
  class Team extends Model(db, team) {}
  class Member extends Model(db, member) {}
  class Post extends Model(db, post) {}
  class Tag extends Model(db, tag) {}
  class PostTag extends Model(db, between) {}
  return { team: Team, member: Member, post: Post, tag: Tag, post_tag: PostTag }
}

const number = fc.option(fc.nat(3), { freq: 4 })
const name = fc.option(fc.constantFrom('a', 'b', 'B'), { freq: 4 })
const reference = fc.option(fc.nat(20), { freq: 5 })
const rows = fc.record({
  team: fc.array(fc.record({ name, grade: fc.nat(3) }), { maxLength: 4 }),
  member: fc.array(fc.record({ name, of: reference, n: number }), { maxLength: 8 }),
  post: fc.array(fc.record({ name, of: reference, n: number, tags: fc.uniqueArray(fc.nat(3)) }), { maxLength: 12 }),
  tag: fc.array(fc.record({ name, n: number }), { maxLength: 4 }),
})

/** The rows with keys counted from 1, and references to rows that are there. */
function filled({ team, member, post, tag }: typeof rows extends fc.Arbitrary<infer R> ? R : never): Loose[][] {
  const to = (of: number | null, count: number): number | null => (of === null || count === 0 ? null : 1 + (of % count))
  const id = (at: number): number => at + 1
  return [
    team.map((row, at) => ({ id: id(at), ...row })),
    member.map(({ of, ...row }, at) => ({ id: id(at), ...row, teamId: to(of, team.length) })),
    post.map(({ of, n, name: named }, at) => ({ id: id(at), name: named, n, memberId: to(of, member.length) })),
    tag.map((row, at) => ({ id: id(at), ...row })),
    post.flatMap(({ tags }, at) =>
      tags.filter((each) => each < tag.length).map((each) => ({ postId: id(at), tagId: id(each) })),
    ),
  ]
}

interface Condition {
  readonly column: 'id' | 'name' | 'n'
  readonly is: 'equal' | 'another' | 'more' | 'null' | 'given' | 'either'
  readonly value: number
}

interface Asked {
  readonly where: readonly Condition[]
  readonly down: boolean
  readonly limit: number | null
  readonly list: Asked | null
  readonly one: boolean
}

const condition: fc.Arbitrary<Condition> = fc.record({
  column: fc.constantFrom('id', 'name', 'n'),
  is: fc.constantFrom('equal', 'another', 'more', 'null', 'given', 'either'),
  value: fc.nat(3),
})

const { asked } = fc.letrec<{ asked: Asked }>((tie) => ({
  asked: fc.record({
    where: fc.array(condition, { maxLength: 2 }),
    down: fc.boolean(),
    limit: fc.option(fc.integer({ min: 1, max: 4 })),
    list: fc.option(tie('asked'), { maxDepth: 3, depthIdentifier: 'lists' }),
    one: fc.boolean(),
  }),
}))

const query = fc.record({
  of: fc.constantFrom('team', 'member', 'post'),
  asked,
  related: fc.option(fc.tuple(fc.constantFrom('some', 'every', 'none'), condition)),
  end: fc.constantFrom('all', 'all', 'first', 'one', 'oneOrNone', 'count', 'exists', 'pages', 'iterate'),
})

const below = { team: 'member', member: 'post', post: 'tag', tag: null } as const
const above = { member: 'team', post: 'member' } as const

function conditionOf(world: World, of: Name, { column, is, value }: Condition): SQL {
  const named = of === 'team' && column === 'n' ? 'grade' : column
  const left: Loose = world[of].c[named]
  const right = column === 'name' ? ['a', 'b', 'B', 'c'][value] : value
  const ways = {
    equal: () => eq(left, right),
    another: () => ne(left, right),
    more: () => gt(left, right),
    null: () => isNull(left),
    given: () => isNotNull(left),
    either: () => or(isNull(left), and(eq(left, right), gt(world[of].c.id, 1))) as SQL,
  }
  return ways[is]()
}

function loaderOf(world: World, of: Name, { list, one }: Asked): Loose {
  const members: Record<string, Loose> = {}
  const kind = below[of]
  if (list !== null && kind !== null)
    members['list'] = many(queryOf(world, kind, list), of === 'post' ? { through: world.post_tag } : {})
  if (one && of in above) members['owner'] = world[above[of as keyof typeof above]]
  return Object.keys(members).length === 0 ? null : world[of].load(members)
}

function queryOf(world: World, of: Name, given: Asked): Loose {
  let made = world[of].query()
  for (const each of given.where) made = made.where(conditionOf(world, of, each))
  made = made.orderBy((given.down ? desc : asc)(world[of].c.id))
  if (given.limit !== null) made = made.limit(given.limit)
  const loader = loaderOf(world, of, given)
  return loader === null ? made : made.load(loader)
}

async function answer(world: World, { of, asked: given, related, end }: Query): Promise<unknown> {
  let made = queryOf(world, of, given)
  const other = below[of]
  if (related !== null && of !== 'post' && other !== null)
    made = made.where({ some, every, none }[related[0]](world[of], world[other], conditionOf(world, other, related[1])))
  if (end === 'iterate') {
    const read: unknown[] = []
    for await (const row of made.iterate({ batchSize: 2 })) read.push(row)
    return read
  }
  if (end !== 'pages') return made[end]()
  const pages: unknown[] = []
  let cursor: string | null = null
  do {
    const page: { rows: unknown[]; cursor: string | null } = await made.limit(2).after(cursor).page()
    pages.push(page.rows)
    cursor = page.cursor
  } while (cursor !== null)
  return pages
}

type Query = typeof query extends fc.Arbitrary<infer Q> ? Q : never

/** As JSON, or the name of the error. */
const ended = (world: World, given: Query): Promise<string> =>
  answer(world, given).then(
    (value) => JSON.stringify(value) ?? 'nothing',
    (error: unknown) => (error as Error).name,
  )

describeMysql('random queries of models', () => {
  test('give what they give on PostgreSQL', async () => {
    await using server = await freshMysql(...ddl('varchar(20) collate utf8mb4_bin'))
    await using database = await freshDatabase(ddl('text collate "C"').join(';'))
    await using here = createDb(server.url)
    await using there = createDb(database.url, { driver: 'socket' })
    const worlds = [worldOf(here, kits.mysql), worldOf(there, kits.postgres)] as const

    await fc.assert(
      fc.asyncProperty(rows, fc.array(query, { minLength: 10, maxLength: 30 }), async (given, queries) => {
        for (const table of tables.toReversed()) for (const db of [here, there]) await db.status(`delete from ${table}`)
        for (const [at, each] of filled(given).entries())
          for (const world of worlds) if (each.length > 0) await world[tables[at]!].createMany(each)

        for (const each of queries) {
          const [mine, theirs] = await Promise.all([ended(worlds[0], each), ended(worlds[1], each)])
          expect(mine).toBe(theirs)
        }
      }),
      { numRuns: sample({ once: 15, matrix: 60, soak: 2_000 }) },
    )
  })
})
