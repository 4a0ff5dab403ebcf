/** The option `into`: what the rows of SQL text, of `db.sql` and of baked statements become. */

import { bigint, int, json as mysqlJson, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { eq, sql as drizzleSql } from 'drizzle-orm'
import { bigint as pgBigint, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { type Db, type Executor, sql, UsageError } from 'genever'
import { literal, many, Model } from 'genever/models'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

interface Extra {
  readonly tags: string[]
}

/** Tables of one form for all databases: the types are those of PostgreSQL. */
// oxlint-disable-next-line typescript/explicit-function-return-type -- what Drizzle infers
function tables(driver: TestedDriver, teams: string, users: string) {
  const postgres = {
    teams: pgTable(teams, { id: integer().primaryKey(), name: text() }),
    users: pgTable(users, {
      id: integer().primaryKey(),
      fullName: text('full_name').notNull(),
      teamId: integer('team_id'),
      points: pgBigint({ mode: 'bigint' }),
      extra: jsonb().$type<Extra>(),
    }),
  }
  if (driver.name !== 'mysql') return postgres
  return {
    teams: mysqlTable(teams, { id: int().primaryKey(), name: varchar({ length: 40 }) }),
    users: mysqlTable(users, {
      id: int().primaryKey(),
      fullName: varchar('full_name', { length: 40 }).notNull(),
      teamId: int('team_id'),
      points: bigint({ mode: 'bigint' }),
      extra: mysqlJson().$type<Extra>(),
    }),
  } as unknown as typeof postgres
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function people(driver: TestedDriver, given?: Db) {
  const db = given ?? (await driver.db())
  const teams = await driver.table('id int primary key, name varchar(40)')
  const users = await driver.table(
    `id int primary key, full_name varchar(40) not null, team_id int, points bigint, extra ${driver.name === 'mysql' ? 'json' : 'jsonb'}`,
  )
  const made = tables(driver, teams, users)
  class Team extends Model(db, made.teams) {}
  class User extends Model(db, made.users) {
    get greeting(): string {
      return `Hello ${this.fullName}`
    }
  }
  await db.status(`insert into ${teams} values (7, 'red')`)
  await db.status(
    `insert into ${users} values (1, 'Ada', 7, 9007199254740993, '{"tags":["a"]}'), (2, 'Bo', null, null, null)`,
  )
  return { db, Team, User, teams, users, every: `select * from ${users} order by id` }
}

forEachDriver((driver) => {
  const q = (name: string): string => (driver.name === 'mysql' ? `\`${name}\`` : `"${name}"`)

  test('a model makes instances of the rows of a text, read as its columns declare', async () => {
    const { db, User, every } = await people(driver)

    const [ada, bo] = await db.all(every, [], { into: User })

    expect(ada).toBeInstanceOf(User)
    expect([ada?.greeting, bo?.greeting]).toEqual(['Hello Ada', 'Hello Bo'])
    expect(ada?.toJSON()).toEqual({
      id: 1,
      fullName: 'Ada',
      teamId: 7,
      points: '9007199254740993',
      extra: { tags: ['a'] },
    })
    expect(ada?.points).toBe(9007199254740993n)
    await bo?.update({ fullName: 'Bob' })
    expect((await User.get(2))?.fullName).toBe('Bob')
  })

  test('every method that gives rows has it, on a db, a connection and a transaction', async () => {
    const { db, User, users, every } = await people(driver)
    const one = `select * from ${users} where id = ${driver.words.placeholder(1)}`
    const query = sql.raw(every) as unknown as Parameters<Db['all']>[0]
    const here = async (on: Executor): Promise<void> => {
      const found = [
        ...(await on.all(every, undefined, { into: User })),
        await on.first(every, [], { into: User }),
        await on.firstOr404(one, [2], { into: User }),
        await on.one(one, [1], { into: User }),
        await on.oneOrNone(one, [1], { into: User, timeoutMs: 10_000 }),
        ...(await on.status(every, [], { into: User })).rows,
        ...(await on.all(query, { into: User })),
        await on.sql`select * from ${sql.identifier(users)} where id = ${1}`.one({ into: User }),
      ]
      for await (const user of on.iterate(every, [], { into: User, batchSize: 1 })) found.push(user)
      expect(found.map((user) => user instanceof User && user.id)).toEqual([1, 2, 1, 2, 1, 1, 1, 2, 1, 2, 1, 1, 2])
      expect(await on.oneOrNone(one, [3], { into: User })).toBeUndefined()
    }

    await here(db)
    await db.transaction((tx) => here(tx))
    await db.scope((connection) => here(connection))
    expect(await db.one(one, [1], { into: User, on: db })).toBeInstanceOf(User)
  })

  test('a member of a loader has the fields behind its name, and is null where a join found nothing', async () => {
    const { db, Team, User, users, teams } = await people(driver)
    const loader = User.load({ team: Team, kind: literal('person'), label: (user: object) => Object.keys(user).length })

    const text = `select u.*, t.id as ${q('team.id')}, t.name as ${q('team.name')} from ${users} u left join ${teams} t on t.id = u.team_id order by u.id`

    const [ada, bo] = await db.all(text, [], { into: loader })

    expect(ada?.team).toBeInstanceOf(Team)
    expect([ada?.team?.name, bo?.team, ada?.kind, bo?.label]).toEqual(['red', null, 'person', 7])
    expect(ada?.toJSON()).toMatchObject({ fullName: 'Ada', team: { id: 7, name: 'red' }, kind: 'person' })
  })

  test('values, tuples and aliases are found by their names', async () => {
    const { db, Team, User, users, every } = await people(driver)
    expect(await db.all(every, [], { into: User.c.fullName })).toEqual(['Ada', 'Bo'])
    expect(await db.all(every, [], { into: drizzleSql<string>`x`.as('full_name') })).toEqual(['Ada', 'Bo'])
    expect(
      await db.first(`select 7 as ${q('0.id')}, 'red' as ${q('0.name')}, 3 as ${q('1')}`, [], {
        into: [Team, drizzleSql<number>`count(*)`.mapWith(Number), literal('x')],
      }),
    ).toEqual([new Team({ id: 7, name: 'red' }), 3, 'x'])
    const text = `select u.*, b.id as ${q('boss.id')}, b.full_name as ${q('boss.full_name')}, b.team_id as ${q('boss.team_id')}, b.points as ${q('boss.points')}, b.extra as ${q('boss.extra')}, 5 as ${q('posts')} from ${users} u left join ${users} b on b.id = u.id + 1 order by u.id`
    const Boss = User.alias('boss')
    const all = await db.all(text, [], {
      into: User.load({ boss: Boss, posts: drizzleSql<number>`count(*)`.mapWith(Number) }),
    })
    expect(all.map(({ fullName, boss: of, posts }) => [fullName, of?.greeting, posts])).toEqual([
      ['Ada', 'Hello Bo', 5],
      ['Bo', undefined, 5],
    ])
  })

  test('a function gets the row as it came, a class is made of it, and both share a context for a result', async () => {
    const { db, users } = await people(driver)
    const text = `select id, full_name from ${users} order by id`
    class Name {
      readonly text: string
      constructor(row: { readonly full_name: string }) {
        this.text = row.full_name
      }
    }
    const numbered = (row: { id: number }, context: { n?: number }): string =>
      `${row.id}/${(context.n = (context.n ?? 0) + 1)}`

    expect(await db.all(text, [], { into: Name })).toEqual([{ text: 'Ada' }, { text: 'Bo' }])
    expect(await db.all(text, [], { into: numbered })).toEqual(['1/1', '2/2'])
    expect(await db.first(text, [], { into: numbered })).toBe('1/1')
  })

  test('a baked statement has it for all its runs, by bake() or with()', async () => {
    const { db, User, users } = await people(driver)
    const text = `select * from ${users} where id = :id`
    const plain = db.bake<{ id: number }, { id: number }>(text)
    const baked = plain.with({ into: User })

    expect((await baked.one({ id: 1 })).greeting).toBe('Hello Ada')
    expect((await db.bake(text, { into: User }).first({ id: 2 }))?.greeting).toBe('Hello Bo')
    expect(await baked.scalar({ id: 2 })).toBe(2)
    for await (const user of baked.iterate({ id: 2 })) expect(user.greeting).toBe('Hello Bo')
    expect((await plain.one({ id: 2 })).id).toBe(2)
    expect((await plain.bind({ id: 1 }).one({ into: User })).greeting).toBe('Hello Ada')
    expect(() => db.bake(text, { into: User, loader: (row: object) => row } as never)).toThrow(
      'The options loader and into were both given',
    )
    expect(await message(() => plain.one({ id: 1 }, { into: User } as never))).toContain('bake() or with()')
  })

  test('hooks see the instances, and what they throw reaches the caller', async () => {
    const { db, User, every, users, teams } = await people(driver)
    const made = tables(driver, teams, users)
    class Strict extends Model(db, made.users, {
      hidden: ['points'],
      afterLoad: (row) => {
        if ((row as { fullName: string }).fullName === 'Bo') throw new RangeError('no Bo')
      },
    }) {}

    expect(JSON.stringify(await db.first(every, [], { into: Strict }))).not.toContain('points')
    expect(await caught(db.all(every, [], { into: Strict }))).toBeInstanceOf(RangeError)
    expect(await caught(db.iterate(every, [], { into: Strict, batchSize: 2 }).read())).toBeInstanceOf(RangeError)
    expect(await db.all(every, [], { into: User })).toHaveLength(2)
  })

  test('rows that do not fit are seen when the statement has run, and the error says what became of it', async () => {
    const { db, User, Team, users, teams } = await people(driver)
    const outcomeOf = async (call: () => PromiseLike<unknown>): Promise<string | undefined> => {
      const error = await caught(call())
      expect(error).toBeInstanceOf(UsageError)
      expect(error.stack).toContain('into.test.ts')
      return error.outcome
    }
    expect(await outcomeOf(async () => db.all(`select id from ${users}`, [], { into: User }))).toBe('rolled_back')
    if (driver.name === 'mysql') return

    const insert = `insert into ${teams} values (8, 'blue') returning id`
    expect(await outcomeOf(async () => db.all(insert, [], { into: Team }))).toBe('committed')
    const update = `update ${teams} set name = 'grey' where id = 8 returning id`
    expect(await outcomeOf(async () => db.sql`${sql.raw(update)}`.one({ into: Team }))).toBe('committed')
    expect(await outcomeOf(async () => db.bake(update, { into: Team }).one())).toBe('committed')
    expect(await outcomeOf(async () => db.bake(update, { into: Team }).bind().all())).toBe('committed')
    expect(await db.scalar(`select name from ${teams} where id = 8`)).toBe('grey')
    const returnsModel = { into: (): unknown => Team }
    expect(await outcomeOf(async () => db.all(update, [], returnsModel))).toBe('committed')
    expect(await outcomeOf(async () => db.all(`select 1`, [], returnsModel))).toBe('rolled_back')
    for (const into of [Team, returnsModel.into]) {
      const ended = caught(
        db.transaction(async (tx) => {
          expect(await outcomeOf(async () => tx.all(`delete from ${teams} returning id`, [], { into }))).toBe(
            'rolled_back',
          )
        }),
      )
      expect((await ended).message).toContain('the error was caught inside')
    }
    await using connection = await db.acquire()
    const beside = async (): Promise<string | undefined> => {
      const outcome = outcomeOf(async () => connection.all(update, [], returnsModel))
      await Promise.all([outcome, connection.scalar(driver.words.sleep(0.01)), connection.scalar('select 1')])
      return outcome
    }
    expect(await beside()).toBe('committed')
    await connection.status('begin')
    expect(await beside()).toBe('rolled_back')
    await connection.status('rollback')
    await connection.status('begin')
    expect(await outcomeOf(async () => connection.all(update, [], returnsModel))).toBe('rolled_back')
    await connection.status('rollback')
    expect(await outcomeOf(async () => connection.all(update, [], returnsModel))).toBe('committed')
    expect(await connection.scalar(`select count(*) from ${teams}`)).toBe(2)
  })

  describe('what does not fit is refused by name', () => {
    test('rows without all columns, also where there are none', async () => {
      const { db, User, Team, users, teams } = await people(driver)
      const short = `select id, full_name from ${users}`

      expect(await message(() => db.all(short, [], { into: User }))).toBe(
        'The rows of the statement do not fit the option into: User needs "team_id", "points", "extra", which are missing. There are "id", "full_name".',
      )
      expect(await message(() => db.all(`${short} where id < 0`, [], { into: User }))).toContain('"team_id"')
      expect(await message(() => db.iterate(short, [], { into: User }).read())).toContain('"team_id"')
      expect(await message(() => db.all(`select * from ${users}`, [], { into: User.load({ team: Team }) }))).toContain(
        'Team needs "team.id", "team.name"',
      )
      expect(
        await message(() => db.all(`select u.*, t.* from ${users} u cross join ${teams} t`, [], { into: User })),
      ).toContain('Two fields of the statement are named "id"')
      expect(await db.all(short)).toHaveLength(2)
    })

    test('models and columns of another dialect, before anything is sent', async () => {
      const { db, teams } = await people(driver)
      const mysql = driver.name === 'mysql'
      const own = tables(driver, teams, teams).teams
      const other = (mysql
        ? pgTable(teams, { id: integer().primaryKey() })
        : mysqlTable(teams, { id: int().primaryKey() })) as unknown as typeof own
      class Other extends Model(db, other) {}
      class Own extends Model(db, own) {}
      const text = `update ${teams} set name = 'grey'`
      const told = `declared for ${mysql ? 'PostgreSQL' : 'MySQL'}`

      expect(await message(() => db.all(text, [], { into: Other }))).toContain(told)
      expect(await message(() => db.all(text, [], { into: other.id }))).toContain(told)
      expect(await message(() => db.all(text, [], { into: drizzleSql`1`.mapWith(other.id).as('id') }))).toContain(told)
      expect(await message(() => db.all(sql.raw(text), { into: Other.load({ n: literal(1) }) }))).toContain(told)
      expect(await message(() => db.iterate(text, [], { into: Other }).read())).toContain(told)
      expect(await message(() => db.bake(text, { into: Other }).all())).toContain('written for the dialect')
      expect(await message(() => db.all(db.bake(text, { into: Other }).bind()))).toContain('written for the dialect')
      expect(await message(() => db.all(text, [], { into: [Own, Other] as const }))).toContain(
        'comes from one database',
      )
      expect(await db.scalar(`select name from ${teams}`)).toBe('red')
    })

    test('loaders that need a query of the model, and what is none', async () => {
      const { db, User, Team, every } = await people(driver)
      const into = (loader: unknown): Promise<string> => message(() => db.all(every, [], { into: loader as never }))

      expect(await into(Team.load({ users: many(User).on(eq(User.c.teamId, Team.c.id)) }))).toContain('is a list')
      expect(await into(User.load({ team: Team.on(eq(User.c.teamId, Team.c.id)) }))).toContain('Leave on() out')
      expect(await into(User.distinct(User.c.id))).toContain('distinct() of User')
      expect(await into(User.query())).toContain('A query is no loader')
      expect(await into([User, (row: object) => row])).toContain('one function that returns the list')
      expect(await into(drizzleSql`1`)).toContain('needs a name')
      expect(await into({ id: 1 })).toContain('A loader is')
      expect(await into(null)).toContain('A loader is')
      expect(await message(() => db.all('select 1', [], { into: () => User }))).toContain('gives the model User')
    })

    test('methods without rows, and queries that say themselves what rows become', async () => {
      const { db, User, every } = await people(driver)
      const options = { into: User } as never

      expect(await message(() => db.scalar(every, [], options))).toContain('this method gives one value')
      expect(await message(() => db.executeMany(every, [[]], options))).toContain('this method gives a count')
      expect(await message(() => db.status(every, [], { into: User, rows: 'array' } as never))).toContain(
        "rows: 'array'",
      )
      expect(await message(() => db.all(User.query(), options))).toContain('its own load()')
      expect(await message(() => db.bake(User.query() as never, options).all())).toContain('its own load()')
      const loader = (row: object): object => row
      for (const baked of [
        db.bake(every, { into: User }),
        db.bake(every, { into: loader }),
        db.bake(every, { loader }),
      ])
        expect(await message(() => baked.bind().all(options))).toContain('that it was baked with')
      expect(await message(() => User.get(1, options))).toContain('Unknown option "into"')
      expect(await message(() => User.query().all(options))).toContain('Unknown option "into"')
      expect(await message(() => db.all(every, [], { into: User, types: { int4: String } } as never))).toContain(
        'types',
      )
    })
  })

  test('types: what is given is what comes', async () => {
    const { db, User, Team, every } = await people(driver)
    const loader = User.load({ team: Team })
    const never = (): unknown => {
      expectTypeOf(db.all(every, [], { into: User })).resolves.toEqualTypeOf<User[]>()
      expectTypeOf(db.first(sql`select 1`, { into: loader })).resolves.toMatchTypeOf<
        { team: Team | null } | undefined
      >()
      expectTypeOf(db.one(every, {}, { into: User.c.teamId })).resolves.toEqualTypeOf<number | null>()
      expectTypeOf(db.one(every, [], { into: [User, Team.c.name] })).resolves.toEqualTypeOf<[User, string | null]>()
      expectTypeOf(db.one(every, [], { into: (row: { id: number }) => row.id })).resolves.toEqualTypeOf<number>()
      expectTypeOf(db.all(every, [], { timeoutMs: 1 })).resolves.toEqualTypeOf<Record<string, unknown>[]>()
      // @ts-expect-error a list has no object to belong to
      void db.all(every, [], { into: many(User) })
      // @ts-expect-error one value has no rows
      return db.scalar(every, [], { into: User })
    }
    type User = InstanceType<typeof User>
    type Team = InstanceType<typeof Team>
    expect(never).toBeTypeOf('function')
  })
})

/** Of the UsageError with which it fails. */
async function message(call: () => unknown): Promise<string> {
  const error = await caught((async () => call())())
  expect(error).toBeInstanceOf(UsageError)
  return (error as Error).message
}
