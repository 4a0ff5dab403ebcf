/** Rows as objects with lists, by a join or by one more statement, and distinct objects. */

import { desc, getTableName, gt, sql } from 'drizzle-orm'
import { sql as sqlTag, UsageError } from 'genever'
import { many } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'
import { filled } from './support/library.ts'

const names = (rows: readonly { readonly name: string }[]): string => rows.map(({ name }) => name).join(' ')

forEachDriver((driver) => {
  describe('a list', () => {
    test('has all that belongs to the object, and is empty where there is nothing', async () => {
      const { Team, User } = await filled(driver)

      const teams = await Team.query()
        .load(Team.distinct(Team.c.id).load({ members: many(User) }))
        .orderBy(Team.c.id)

      expect(teams.map(({ name, members }) => `${name}: ${names(members)}`)).toEqual([
        'red: Ann Bob',
        'blue: Cid',
        'empty: ',
      ])
      expect(teams[0]?.members[0]).toBeInstanceOf(User)
    })

    test('needs no distinct(): objects are told apart by the primary key', async () => {
      const { Team, User } = await filled(driver)

      const teams = await Team.query().load(Team.load({ members: many(User) }))

      expect(teams.map(({ members }) => members.length).toSorted((a, b) => a - b)).toEqual([0, 1, 2])
    })

    test('of lists, and beside another list, has nothing twice', async () => {
      const { Team, User, Post, Company } = await filled(driver)
      const Mate = User.alias('mate')

      const companies = await Company.query()
        .load(Company.load({ teams: many(Team.load({ members: many(User.load({ posts: many(Post) })) })) }))
        .orderBy(Company.c.id)
      const teams = await Team.query()
        .load(Team.load({ members: many(User.load({ posts: many(Post) })), mates: many(Mate) }))
        .orderBy(Team.c.id)

      expect(
        companies.map(({ name, teams: of }) => [
          name,
          of.map(({ members }) => members.map((user) => [user.name, user.posts.map(({ title }) => title)])),
        ]),
      ).toEqual([
        [
          'Acme',
          [
            [
              ['Ann', ['a1', 'a2']],
              ['Bob', ['b1']],
            ],
          ],
        ],
        ['Other', [[['Cid', []]]]],
      ])
      expect(teams.map(({ members, mates }) => [members.length, mates.length])).toEqual([
        [2, 2],
        [1, 1],
        [0, 0],
      ])
      expect(teams[0]?.members.map(({ posts }) => posts.length)).toEqual([2, 1])
    })

    test('is whole for first(), one() and a limit, which count objects', async () => {
      const { Team, User } = await filled(driver)
      const withMembers = Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)

      const first = await Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)
        .first()
      const one = await Team.where({ name: 'red' })
        .load(Team.load({ members: many(User) }))
        .one()
      const two = await Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)
        .limit(2)
      const second = await Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.id)
        .offset(1)
        .limit(1)

      expect(first?.members).toHaveLength(2)
      expect(one.members).toHaveLength(2)
      expect(two.map(({ members }) => members.length)).toEqual([2, 1])
      expect(second.map(({ name }) => name)).toEqual(['blue'])
      expect(
        await caught(
          Team.query()
            .load(Team.load({ members: many(User) }))
            .one(),
        ),
      ).toMatchObject({ name: 'MultipleResultsError' })
      expect(
        await caught(
          Team.where({ name: 'nobody' })
            .load(Team.load({ members: many(User) }))
            .one(),
        ),
      ).toMatchObject({ name: 'NoResultError' })
      expect(await withMembers.count()).toBe(3)
    })

    test('is no row of the query: a condition and an order on it are refused, with what to write instead', async () => {
      const { Team, User } = await filled(driver)
      const query = Team.query().load(Team.load({ members: many(User) }))

      for (const narrowed of [query.where(gt(User.c.age, 25)), query.where(gt(User.c.age, 25)).limit(1)]) {
        const error = await caught(narrowed)
        expect(error).toMatchObject({ name: 'UsageError', outcome: 'not_started' })
        expect(error.message).toMatch(
          /is loaded as a list: a list is whole.*where\(some\(…\)\).*many\(User\.where\(…\)\)/,
        )
        expect(await caught(narrowed.count())).toBeInstanceOf(UsageError)
      }
      const ordered = query.orderBy(desc(User.c.age))
      expect((await caught(ordered.limit(2))).message).toMatch(/ordered by User.*select max/)
      expect(thrownBy(() => ordered.iterate())).toBeInstanceOf(UsageError)
    })

    test('comes whole from iterate(), whatever the size of a batch', async () => {
      const { Team, User } = await filled(driver)
      const query = Team.query()
        .load(Team.load({ members: many(User) }))
        .orderBy(Team.c.name)

      for (const batchSize of [1, 2, 3, 100]) {
        const seen: string[] = []
        for await (const team of query.iterate({ batchSize })) seen.push(`${team.name} ${team.members.length}`)
        expect(seen).toEqual(['blue 1', 'empty 0', 'red 2'])
      }
      const cursor = query.iterate({ batchSize: 1 })
      expect((await cursor.read())?.name).toBe('blue')
      expect(await cursor.skip(1)).toBe(1)
      expect((await cursor.read(5)).map(({ members }) => members.length)).toEqual([2])
      expect(await cursor.read()).toBeUndefined()
      await cursor.close()
    })

    test('lets iterate() forget the objects that are done', async () => {
      const { db, Team, User } = await filled(driver)
      await db.sql`insert into ${sqlTag.identifier(getTableName(Team.table))} (name) select 'team ' || n from generate_series(1, 60) n`
      await db.sql`insert into ${sqlTag.identifier(getTableName(User.table))} (name, team_id)
        select 'user', id from ${sqlTag.identifier(getTableName(Team.table))}`
      const seen: WeakRef<object>[] = []

      for await (const team of Team.query()
        .load(Team.load({ members: many(User) }))
        .iterate({ batchSize: 5 })) {
        seen.push(new WeakRef(team))
        expect(team.members.length).toBeGreaterThan(0)
      }
      globalThis.gc?.()
      const cursor = Team.query()
        .load(Team.load({ members: many(User) }))
        .iterate({ batchSize: 5 })
      const held: WeakRef<object>[] = []
      for (let n = 0; n < 40; n++) held.push(new WeakRef((await cursor.read()) as object))
      const forgotten = (): boolean => {
        globalThis.gc?.()
        return held.slice(0, 30).every((ref) => ref.deref() === undefined)
      }

      await until(forgotten, { what: 'the objects that are done are forgotten' })
      expect(seen).toHaveLength(63)
      await cursor.close()
    })

    test('is fetched by iterate() in batches of the size that is asked for', async () => {
      const name = `batches ${driver.name}`
      const { Team, User } = await filled(driver, await driver.db({ name }))
      using heard = hear(name)

      for await (const team of Team.query()
        .load(Team.load({ members: many(User) }))
        .iterate({ batchSize: 1 }))
        expect(team.members.length).toBeLessThan(3)

      // The first comes with the statement itself.
      expect(heard.statements.filter(({ sql: text }) => /^fetch/i.test(text)).length).toBeGreaterThanOrEqual(3)
    })

    test('with a method of its name gets each object by it', async () => {
      const { Team, User } = await filled(driver)
      class Gathering extends Team {
        gathered: string[] = []
        addMember(user: InstanceType<typeof User>): void {
          this.gathered.push(user.name)
        }
      }

      const teams = await Gathering.query()
        .load(Gathering.load({ addMember: many(User) }))
        .orderBy(Gathering.c.id)

      expect(teams.map(({ gathered }) => gathered)).toEqual([['Ann', 'Bob'], ['Cid'], []])
    })

    test('with a setter of its name is given to it once, as a whole', async () => {
      const { Team, User } = await filled(driver)
      const given: string[][] = []
      class Listing extends Team {
        // oxlint-disable-next-line accessor-pairs -- what the loader sets
        set members(users: readonly InstanceType<typeof User>[]) {
          given.push(users.map(({ name }) => name))
        }
      }

      const loader = Listing.load({ members: many(User) })
      for (const strategy of ['joined', 'select-in'] as const) {
        given.length = 0
        await Listing.query().load(loader, { strategy }).orderBy(Listing.c.id)
        expect(given).toEqual([['Ann', 'Bob'], ['Cid'], []])
      }
    })

    test('belongs to an object: alone or in a tuple it is refused', async () => {
      const { Team, User } = await filled(driver)

      expect(thrownBy(() => Team.query().load([Team, many(User)]))).toBeInstanceOf(UsageError)
      expect(thrownBy(() => Team.query().load(many(User)))).toBeInstanceOf(UsageError)
    })
  })

  describe('distinct()', () => {
    test('makes one object of all rows with the same key', async () => {
      const { User, Team } = await filled(driver)

      const users = await User.query()
        .load(User.load({ team: Team.distinct(Team.c.id) }))
        .orderBy(User.c.id)

      expect(users[0]?.team).toBe(users[1]?.team)
      expect(users[0]?.team).not.toBe(users[2]?.team)
    })

    test('leaves out objects that a join repeats', async () => {
      const { User, Team } = await filled(driver)

      const teams = await Team.query().load(Team.distinct()).join(User).orderBy(Team.c.id)

      expect(names(teams)).toBe('red blue')
      expect(names(await Team.query().join(User).orderBy(Team.c.id))).toBe('red red blue')
    })
  })

  describe("the strategy 'select-in'", () => {
    test('gives the same objects by a statement for each relation, on one connection', async () => {
      const { db, Team, User, Post, Company } = await filled(driver)
      const loader = Team.load({ company: Company, members: many(User.load({ posts: many(Post) })) })
      const look = (
        teams: readonly {
          name: string
          company: { name: string } | null
          members: readonly { name: string; posts: readonly { title: string }[] }[]
        }[],
      ): unknown[] =>
        teams.map(({ name, company, members }) => [
          name,
          company?.name,
          members
            .map(
              (user) =>
                `${user.name} ${user.posts
                  .map(({ title }) => title)
                  .toSorted()
                  .join(' ')}`,
            )
            .toSorted(),
        ])

      const joined = await Team.query().load(loader).orderBy(Team.c.id)
      // A transaction has one connection: what asked for another one would not see its rows.
      const separate = await db.transaction(async () => {
        await Team.create({ name: 'new', companyId: null })
        return Team.query().load(loader, { strategy: 'select-in' }).orderBy(Team.c.id)
      })

      expect(look(separate).slice(0, -1)).toEqual(look(joined))
      expect(separate.at(-1)?.name).toBe('new')
      expect(separate[0]?.members[0]).toBeInstanceOf(User)
    })

    test('works for first() and iterate(), and says where it does not', async () => {
      const { db, Team, User } = await filled(driver)
      const query = Team.query()
        .load(Team.load({ members: many(User) }), { strategy: 'select-in' })
        .orderBy(Team.c.id)

      expect((await query.first())?.members).toHaveLength(2)
      const seen: number[] = []
      for await (const { members } of query.iterate({ batchSize: 2 })) seen.push(members.length)
      expect(seen).toEqual([2, 1, 0])
      await db.scope(async () => {
        const limited: string[] = []
        for await (const { name } of query.offset(1).limit(5).iterate({ batchSize: 1 })) limited.push(name)
        expect(limited).toEqual(['blue', 'empty'])
      })
      expect((await query.where({ name: 'red' }).one()).members).toHaveLength(2)
      expect(await query.where({ name: 'nobody' }).oneOrNone()).toBeUndefined()
      expect(await caught(query.one())).toMatchObject({ name: 'MultipleResultsError' })
      expect(await caught(query.where({ name: 'nobody' }).one())).toMatchObject({ name: 'NoResultError' })
      const { rows, cursor } = await query.limit(1).page()
      expect(rows.map(({ members }) => members.length)).toEqual([2])
      expect((await query.limit(2).after(cursor).page()).rows.map(({ members }) => members.length)).toEqual([1, 0])
      expect(await caught(db.all(query))).toMatchObject({ message: expect.stringMatching(/further statements/) })
      expect(await caught(Team.query().load(Team.load({ size: sql`1` }), { strategy: 'select-in' }))).toMatchObject({
        message: expect.stringMatching(/needs the strategy 'joined'/),
      })
    })

    test('says of the table in between what it needs', async () => {
      const { User, Team } = await filled(driver)
      const Between = User.alias('between')
      const loader = Team.load({ teams: many(Team.alias('other').load({ between: Between }), { through: Between }) })
      expect(await caught(Team.query().load(loader, { strategy: 'select-in' }))).toMatchObject({
        name: 'UsageError',
        message: expect.stringMatching(/of the table in between, which needs the strategy 'joined'/),
      })
    })

    test('asks nothing where there are no keys', async () => {
      const name = `select-in ${driver.name}`
      const { User, Team } = await filled(driver, await driver.db({ name }))
      using heard = hear(name)

      const users = await User.where({ name: 'Dan' }).load(User.load({ team: Team }), { strategy: 'select-in' })

      expect(users.map(({ team }) => team)).toEqual([null])
      expect(heard.statements).toHaveLength(1)
    })
  })
})
