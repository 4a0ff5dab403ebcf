/** The types of rows, at each door that says what they become: compiled as `contract.types.ts` is, and not run. */

// oxlint-disable typescript/require-await, typescript/no-floating-promises -- types alone
import { eq, sql, type SQL } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { createDb, type Baked, type Executor, type SqlQuery } from 'genever'
import { ambient } from 'genever/drizzle'
import { kysely } from 'genever/kysely'
import { literal, many, Model } from 'genever/models'

const teams = pgTable('teams', { id: serial().primaryKey(), name: text() })
const users = pgTable('users', {
  id: serial().primaryKey(),
  name: text().notNull(),
  teamId: integer('team_id').references(() => teams.id),
})
const db = createDb('pglite://memory')
class Team extends Model(db, teams) {
  shout(): string {
    return this.name ?? ''
  }
}
class User extends Model(db, users) {
  greet(): string {
    return this.name
  }
}
class Plain {
  readonly row: object
  constructor(row: object) {
    this.row = row
  }
}
const q = ambient(db, (client) => drizzle({ client }))
const k = kysely<{ users: { id: number; name: string } }>(db)

type Equal<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false
function is<_T extends true>(): void {}

type Pair = [User, Team]

export async function tuplesByInto(on: Executor): Promise<void> {
  const into = [User, Team] as const
  const one = {
    text: await on.one('select 1', [], { into: [User, Team] }),
    named: await on.one('select :a', { a: 1 }, { into }),
    tag: await on.one(db.sql`select 1`, { into: [User, Team] }),
    own: await db.sql`select 1`.one({ into: [User, Team] }),
    drizzle: await on.one(q.select().from(users), { into: [User, Team] }),
    kysely: await on.one(k.selectFrom('users').selectAll(), { into: [User, Team] }),
    baked: await db.bake('select 1', { into: [User, Team] }).one(),
    again: await db
      .bake('select 1')
      .with({ into: [User, Team] })
      .one(),
    bound: await on.one(db.bake('select 1', { into: [User, Team] }).bind()),
  }
  is<Equal<typeof one, Record<keyof typeof one, Pair>>>()
  const [user, team] = one.text
  user.greet()
  team.shout()
  const lists = {
    all: await on.all('select 1', [], { into: [User, Team] }),
    tag: await on.all(db.sql`select 1`, { into: [User, Team] }),
    own: await db.sql`select 1`.all({ into: [User, Team] }),
    status: (await on.status('select 1', [], { into: [User, Team] })).rows,
    baked: await db.bake('select 1', { into: [User, Team] }).all(),
    function: await db.bake((p: { id: number }) => db.sql`select ${p.id}`, { into: [User, Team] }).all({ id: 1 }),
    drizzle: await db.bake(q.select().from(users), { into: [User, Team] }).all(),
    cursor: await on.iterate('select 1', [], { into: [User, Team] }).read(2),
  }
  is<Equal<{ [K in keyof typeof lists]: [...(typeof lists)[K]] }, Record<keyof typeof lists, Pair[]>>>()
  const maybe = {
    first: await on.first('select 1', [], { into: [User, Team] }),
    none: await on.oneOrNone(db.sql`select 1`, { into: [User, Team] }),
    own: await db.sql`select 1`.first({ into: [User, Team] }),
    baked: await db.bake('select 1', { into: [User, Team] }).first(),
  }
  is<Equal<typeof maybe, Record<keyof typeof maybe, Pair | undefined>>>()
  for await (const [each, other] of on.iterate(db.sql`select 1`, { into: [User, Team] })) {
    each.greet()
    other.shout()
  }
  const parts = await on.one('select 1', [], {
    into: [
      User.load({ team: Team }),
      User.c.id,
      Team.c.name,
      User.alias('boss'),
      sql<number>`1`.as('n'),
      [Team, User.c.name],
      Plain,
    ],
  })
  is<Equal<(typeof parts)[0]['team'], Team | null>>()
  is<Equal<(typeof parts)[1], number>>()
  is<Equal<(typeof parts)[2], string | null>>()
  is<Equal<(typeof parts)[3], User>>()
  is<Equal<(typeof parts)[4], number>>()
  is<Equal<(typeof parts)[5], [Team, string]>>()
  is<Equal<(typeof parts)[6], Plain>>()
  is<Equal<(typeof parts)['length'], 7>>()
}

export async function tuplesByLoad(): Promise<void> {
  const pairs = await User.query().leftJoin(Team).load([User, Team])
  is<Equal<typeof pairs, Pair[]>>()
  const constant = await User.query()
    .leftJoin(Team)
    .load([User, Team] as const)
    .one()
  is<Equal<typeof constant, Pair>>()
  const rank: SQL<number> = sql<number>`1`
  const called = (user: User): string => user.greet()
  const mixed = await User.query()
    .leftJoin(Team)
    .load([User, Team.c.name, rank, called, User.load({ team: Team }), literal('x'), [User.c.name, Team]])
    .first()
  is<Equal<NonNullable<typeof mixed>[1], string | null>>()
  is<Equal<NonNullable<typeof mixed>[2], number>>()
  is<Equal<NonNullable<typeof mixed>[3], string>>()
  is<Equal<NonNullable<typeof mixed>[4]['team'], Team | null>>()
  is<Equal<NonNullable<typeof mixed>[6], [string, Team]>>()
  const scalar = await User.query().load([User.c.name, Team]).scalar()
  is<Equal<typeof scalar, string | undefined>>()
  const page = await User.query().load([User, Team]).limit(1).page()
  is<Equal<typeof page.rows, Pair[]>>()
  for await (const [user, team] of User.query().leftJoin(Team).load([User, Team]).iterate()) {
    user.greet()
    team.shout()
  }
  const byDb = await db.all(User.query().load([User, Team]))
  is<Equal<typeof byDb, Pair[]>>()
  const baked = await db.bake((p: { id: number }) => User.where({ id: p.id }).load([User, Team])).one({ id: 1 })
  is<Equal<typeof baked, Pair>>()
  const listed = await Team.query().load([Team.load({ users: many(User) }), Team.c.id])
  is<Equal<(typeof listed)[number][0]['users'], User[]>>()
  is<Equal<(typeof listed)[number][1], number>>()
}

export async function scalarsOfBaked(): Promise<void> {
  const name = {
    model: await db.bake(User.select('name')).scalar(),
    function: await db.bake((p: { id: number }) => User.select('name', 'id').where({ id: p.id })).scalar({ id: 1 }),
    loader: await db.bake(User.query().load(User.c.name)).scalar(),
    tag: await db.bake(db.sql<{ name: string }>`select 1`).scalar(),
    drizzle: await db.bake(q.select({ name: users.name }).from(users)).scalar(),
    drizzleFunction: await db
      .bake((p: { id: number }) => q.select({ name: users.name }).from(users).where(eq(users.id, p.id)))
      .scalar({ id: 1 }),
    kysely: await db.bake(k.selectFrom('users').select('name')).scalar(),
    text: await db.bake<{ name: string }>('select 1').scalar(),
    withLoader: await db
      .bake(User.select('name'))
      .with({ loader: ({ name }) => name.length })
      .scalar(),
    withInto: await db.bake<{ name: string }>('select 1').with({ into: Plain }).scalar(),
    intoAtOnce: await db.bake(q.select({ name: users.name }).from(users), { into: Plain }).scalar(),
    withOptions: await db.bake(User.select('name')).with({ timeoutMs: 1 }).scalar(),
    byDb: await db.scalar(db.bake(User.select('name'))),
    bound: await db.bake(User.select('name')).bind().scalar(),
    boundByDb: await db.scalar(db.bake((p: { id: number }) => User.select('name').where({ id: p.id })).bind({ id: 1 })),
    asked: await db.bake('select 1').scalar<string>(),
  }
  is<Equal<typeof name, Record<keyof typeof name, string | undefined>>>()
  const nothing = {
    text: await db.bake('select 1').scalar(),
    several: await db.bake<{ id: number; name: string }>('select 1').scalar(),
    model: await db.bake(User.query()).scalar(),
    rows: await db.bake(q.select().from(users)).scalar(),
    command: await db.bake(q.update(users).set({ name: 'x' })).scalar(),
  }
  is<Equal<typeof nothing, Record<keyof typeof nothing, unknown>>>()
  const nullable = await db.bake(Team.select('name')).scalar()
  is<Equal<typeof nullable, string | null | undefined>>()
  const typed: Baked<{ name: string }, { id: number }> = db.bake<{ name: string }, { id: number }>('select :id')
  const bound: SqlQuery<{ name: string }, string> = typed.bind({ id: 1 })
  void bound
}
