/** The contract of the models' types: compiles, negatives included, on both versions of Drizzle and under every supported TypeScript. Not run. */

// oxlint-disable typescript/no-floating-promises, typescript/unbound-method, eslint/no-unused-expressions, typescript/require-await -- types alone
import { eq, gt, type InferSelectModel, max, sql, type SQL, type Table } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { bigint as pgBigint, integer, jsonb, pgTable, primaryKey, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { createDb } from 'genever'
import { ambient } from 'genever/drizzle'
import { type AnyModel, json, many, Model, type ModelQuery } from 'genever/models'
import { createRegistry } from 'genever/registry'

const teams = pgTable('teams', { id: serial().primaryKey(), name: text().notNull() })
const users = pgTable('users', {
  id: serial().primaryKey(),
  name: text().notNull(),
  email: text(),
  teamId: integer('team_id').references(() => teams.id),
  big: pgBigint({ mode: 'bigint' }),
  createdAt: timestamp('created_at').notNull().defaultNow(),
  profile: jsonb().notNull().default({}),
})
const memberships = pgTable(
  'memberships',
  { userId: integer('user_id').notNull(), teamId: integer('team_id').notNull(), role: text() },
  (t) => [primaryKey({ columns: [t.userId, t.teamId] })],
)
const logs = pgTable('logs', { at: timestamp().notNull(), line: text() })
const bad = pgTable('bad', { id: serial().primaryKey(), update: text() })

const db = createDb('pglite://memory')

/** A mix-in is a plain function: this is the typed form of GINO's abstract models. */
function Timestamped<B extends new (...a: any[]) => { createdAt: Date }>(Base: B) {
  return class extends Base {
    get ageMs(): number {
      return Date.now() - this.createdAt.getTime()
    }
    static oldest<C extends AnyModel>(this: C): Promise<InstanceType<C>> {
      throw new Error()
    }
  }
}
class Team extends Model(db, teams) {
  shout() {
    return this.name.toUpperCase()
  }
}
class User extends Timestamped(
  Model(db, users, { json: { profile: { nickname: json.string(), age: json.integer({ default: 0 }) } } }),
) {
  greet() {
    return `hi ${this.name} ${this.nickname ?? ''}`
  }
  static byName(name: string) {
    return this.query().where(eq(this.c.name, name))
  }
}
class Admin extends User {
  powers = ['sudo']
}
class Membership extends Model(db, memberships, { pk: ['userId', 'teamId'] }) {}
class Log extends Model(db, logs) {}

const q = ambient(db, (client) => drizzle({ client }))
class Account extends Model(db, users, { hidden: ['email'] }) {}

// what cannot be typed: a property/getter `query` never returns the subclass
declare function PropModel<T extends Table>(
  t: T,
): { new (): InferSelectModel<T>; readonly query: ModelQuery<InferSelectModel<T>> }
class Prop extends PropModel(teams) {
  shout() {}
}

// ───────────────────────────── proofs ─────────────────────────────
type Equal<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false
function is<_T extends true>() {}

const nameOf = async () => User.select('name').scalar()

export async function proofs(): Promise<void> {
  const u = await User.create({ name: 'Ada', nickname: 'Countess' })
  is<Equal<typeof u, User>>()
  is<Equal<typeof u.id, number>>()
  is<Equal<typeof u.email, string | null>>()
  is<Equal<typeof u.big, bigint | null>>()
  is<Equal<typeof u.nickname, string | null>>()
  is<Equal<typeof u.age, number>>() // default => never null
  u.greet()
  const age: number = u.ageMs
  void age
  const g = await User.get(1)
  is<Equal<typeof g, User | undefined>>()
  const o = await User.oldest()
  is<Equal<typeof o, User>>() // static of a mix-in
  const b = await User.byName('x').first()
  is<Equal<typeof b, User | undefined>>() // own static
  const a = await Admin.get(1)
  is<Equal<typeof a, Admin | undefined>>()
  a?.powers
  a?.greet()
  const byA = await Admin.query().one()
  is<Equal<typeof byA, Admin>>()
  // update is awaitable, keeps the subclass, knows json properties
  const same = await u.update({ name: 'B', age: 3 }).apply()
  is<Equal<typeof same, User>>()
  const viaAwait = await u.update({ nickname: null })
  is<Equal<typeof viaAwait, User>>()
  const j = u.toJSON()
  is<Equal<typeof j.nickname, string | null>>()
  // where: columns and json expressions
  const rows = await User.where(gt(User.c.age, 3)).orderBy(User.c.name)
  is<Equal<typeof rows, User[]>>()
  is<Equal<(typeof User)['c']['nickname'], SQL<string | null>>>()
  // composite key
  const m = await Membership.get({ userId: 1, teamId: 2 })
  is<Equal<typeof m, Membership | undefined>>()
  await Membership.get([1, 2])
  // db.* infers rows from models, builders and the tag
  const viaDb = await db.all(User.query())
  is<Equal<typeof viaDb, User[]>>()
  const t = await db.sql<{ n: number }>`select 1 as n`
  is<Equal<typeof t, { n: number }[]>>()
  const s = await db.first<{ n: number }>('select $1 as n', [1], { timeoutMs: 50 })
  is<Equal<typeof s, { n: number } | undefined>>()
  // loaders
  const withTeam = await User.query()
    .load(User.load({ team: Team }))
    .one()
  is<Equal<typeof withTeam.team, Team | null>>()
  withTeam.greet()
  withTeam.team?.shout()
  const manyUsers = await Team.query()
    .load(Team.distinct(Team.c.id).load({ members: many(User) }))
    .all()
  is<Equal<(typeof manyUsers)[number]['members'], User[]>>()
  const Boss = User.alias('boss')
  const nested = await User.query()
    .load(User.load({ boss: Boss.load({ team: Team }).on(eq(User.c.teamId, Boss.c.id)) }))
    .one()
  nested.boss?.greet()
  nested.boss?.team?.shout()
  // toJSON has what is loaded, plain
  const json = withTeam.toJSON()
  is<Equal<typeof json.team, { id: number; name: string } | null>>()
  is<Equal<typeof json.big, string | null>>()
  const listed = manyUsers[0]!.toJSON()
  is<Equal<keyof typeof listed, 'id' | 'name' | 'members'>>()
  is<Equal<(typeof listed.members)[number]['nickname'], string | null>>()
  is<Equal<ReturnType<Team['toJSON']>, { id: number; name: string }>>()
  class Short extends Team {
    override toJSON() {
      return { id: this.id, name: 'short' }
    }
  }
  class Long extends Team {
    override toJSON() {
      return { ...super.toJSON(), long: true }
    }
  }
  const long = (
    await Long.query()
      .load(Long.load({ members: many(User) }))
      .one()
  ).toJSON()
  is<Equal<typeof long.long, boolean>>()
  is<Equal<(typeof long.members)[number]['id'], number>>()
  void Short
  const tuple = await User.query()
    .load([User, Team.c.name, Boss] as const)
    .one()
  is<Equal<typeof tuple, [User, string | null, User]>>()
  // a column of another table is null where its row is missing, one of the row's own table is as declared
  const row = await User.query()
    .load([User.c.name, User.c.email, Boss.c.name, Team.c.id, sql<number>`1`] as const)
    .one()
  is<Equal<typeof row, [string, string | null, string | null, number | null, number]>>()
  const names = await User.query()
    .load(User.load({ own: User.c.name, team: Team.c.name, boss: Boss.c.name }))
    .one()
  is<Equal<typeof names.own, string>>()
  is<Equal<typeof names.team, string | null>>()
  is<Equal<typeof names.boss, string | null>>()
  const bossed = Boss.load({ own: Boss.c.name, outer: User.c.name, team: Team.c.name }).on(eq(User.c.id, Boss.c.id))
  const { boss } = await User.query()
    .load(User.load({ boss: bossed }))
    .one()
  is<Equal<NonNullable<typeof boss>['own'], string>>()
  is<Equal<NonNullable<typeof boss>['outer'], string | null>>()
  is<Equal<NonNullable<typeof boss>['team'], string | null>>()
  const inList = await Team.query()
    .load(Team.load({ members: many(User.query().load(User.load({ own: User.c.name, of: Team.c.name }))) }))
    .one()
  is<Equal<(typeof inList.members)[number]['own'], string>>()
  is<Equal<(typeof inList.members)[number]['of'], string | null>>()
  const told = await Team.query()
    .load(Team.distinct().load({ own: Team.c.name, by: User.c.name }))
    .one()
  is<Equal<[typeof told.own, typeof told.by], [string, string | null]>>()
  const ofAdmin = await Admin.query()
    .load([Admin, Admin.c.name, Team.c.name] as const)
    .one()
  is<Equal<typeof ofAdmin, [Admin, string, string | null]>>()
  // the value of scalar() is that of the first selected column
  is<Equal<Awaited<ReturnType<typeof nameOf>>, string | undefined>>()
  const email = await User.select('email', 'name').where({ id: 1 }).orderBy(User.c.id).scalar()
  is<Equal<typeof email, string | null | undefined>>()
  const big = await User.select('big').scalar()
  is<Equal<typeof big, bigint | null | undefined>>()
  const years = await User.select('age', 'name').scalar()
  is<Equal<typeof years, number | undefined>>()
  const some = await User.select(...(['name', 'big'] as ('name' | 'big')[])).scalar()
  is<Equal<typeof some, string | bigint | null | undefined>>()
  const top = await User.query()
    .load(sql<Date>`max(${User.c.createdAt})`)
    .scalar()
  is<Equal<typeof top, Date | undefined>>()
  const most = await User.query()
    .load([max(User.c.createdAt), User.c.name] as const)
    .scalar()
  is<Equal<typeof most, Date | null | undefined>>()
  const teamOf = await User.query().load(Team.c.name).scalar()
  is<Equal<typeof teamOf, string | null | undefined>>()
  const whole = await User.query().scalar()
  is<Equal<typeof whole, unknown>>()
  const called = await User.query()
    .load((user: User) => ({ name: user.name }))
    .scalar()
  is<Equal<typeof called, unknown>>()
  const asked = await User.query().scalar<number>()
  is<Equal<typeof asked, number | undefined>>()
  const byDb = [
    await db.scalar(User.select('name')),
    await db.scalar<string>(User.select('email', 'name')),
    await db.scalar(db.sql<{ name: string }>`select name from users`),
    await db.sql<{ name: string }>`select name from users`.scalar(),
    await db.scalar(q.select({ name: users.name }).from(users)),
    await db.scalar<string>('select name from users'),
  ] as const
  is<
    Equal<
      typeof byDb,
      readonly [
        string | undefined,
        string | undefined,
        string | undefined,
        string | undefined,
        string | undefined,
        string | undefined,
      ]
    >
  >()
  const unknowns = [
    await db.scalar(User.query()),
    await db.scalar('select 1'),
    await db.sql`select 1`.scalar(),
    await db.sql<{ a: number; b: string }>`select 1`.scalar(),
    await db.scalar(q.select().from(users)),
    await db.scalar(q.select({ user: users }).from(users)),
    await db.scalar(q.select({ profile: users.profile }).from(users)),
  ] as const
  is<Equal<typeof unknowns, readonly [unknown, unknown, unknown, unknown, unknown, unknown, unknown]>>()
  const annotated: ModelQuery<User> = User.query().where({ id: 1 }).limit(1)
  void annotated
  // registry names
  const reg = createRegistry({ main: 'x', extra: { replica: 'y' } })
  class Post extends Model(reg, teams) {}
  const onReplica = await Post.using('replica').query().first()
  is<Equal<typeof onReplica, Post | undefined>>()

  // hidden columns leave toJSON and its type (hono/fastify clients infer from it)
  const acc = await Account.getOr404(1)
  is<Equal<'email' extends keyof ReturnType<typeof acc.toJSON> ? true : false, false>>()
  void acc.email
  // Drizzle builders: rows inferred structurally, on both versions
  const d1 = await db.all(q.select().from(users))
  is<Equal<typeof d1, (typeof users.$inferSelect)[]>>()
  const d2 = await db.all(
    q.select({ n: users.name, t: teams.name }).from(users).leftJoin(teams, eq(teams.id, users.teamId)),
  )
  is<Equal<typeof d2, { n: string; t: string | null }[]>>()
  const d3 = await db.first(q.insert(users).values({ name: 'x' }).returning({ id: users.id }))
  is<Equal<typeof d3, { id: number } | undefined>>()

  // negative
  // @ts-expect-error a `query` property is typed as the base row: own methods are gone
  ;(await Prop.query.one()).shout()
  // @ts-expect-error name is required
  User.create({})
  // @ts-expect-error unknown column
  User.create({ name: 'x', nope: 1 })
  // @ts-expect-error wrong json property type
  User.create({ name: 'x', age: 'old' })
  // @ts-expect-error pk is a number
  User.get('1')
  // @ts-expect-error half a composite key
  Membership.get({ userId: 1 })
  // @ts-expect-error no id column and no pk option: the message says so
  Log.get(new Date())
  // @ts-expect-error pk must name columns
  Model(db, logs, { pk: 'nope' })
  // @ts-expect-error only json columns carry properties
  Model(db, users, { json: { name: { x: json.string() } } })
  // @ts-expect-error a column may not be called like an instance method
  Model(db, bad)
  // @ts-expect-error unknown database name
  Post.using('nope')
  // @ts-expect-error statics need their class
  ;[1, 2].map(User.get)
}
