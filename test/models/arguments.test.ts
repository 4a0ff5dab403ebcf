/** What the methods of models do with arguments that are none, and where a handle takes their calls. */

import { sql as drizzle } from 'drizzle-orm'
import { sql, type Transaction, UsageError } from 'genever'
import { literal, many } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { filled } from './support/library.ts'

type Models = Awaited<ReturnType<typeof filled>>

/** What it throws, at once or later. */
const failure = (call: () => unknown): Promise<unknown> => caught((async () => call())())

class Dto {
  get name(): string {
    return 'Ann'
  }
}

const nothings: Record<string, unknown> = {
  'a Map': new Map([['name', 'Ann']]),
  'a Date': new Date(0),
  getters: new Dto(),
  'inherited members': Object.create({ name: 'Ann' }),
  'a list': ['Ann'],
  'a text': "name = 'Ann'",
  'a function': () => true,
  'a number': 1,
  null: null,
  'a getter that throws': {
    get name(): string {
      throw new RangeError('no')
    },
  },
  'a symbol as a key': { [Symbol('name')]: 'Ann' },
}

const filters: Record<string, (models: Models, given: never) => unknown> = {
  where: ({ User }, given) => User.where(given).count(),
  'where of a query': ({ User }, given) => User.query().where(given).all(),
  'update().where': ({ User }, given) => User.update({ age: 1 }).where(given),
  'delete().where': ({ User }, given) => User.delete().where(given),
}

const orders: Record<string, (models: Models, given: never) => unknown> = {
  orderBy: ({ User }, given) => User.query().orderBy(given).all(),
  groupBy: ({ User }, given) => User.query().groupBy(given).all(),
  having: ({ User }, given) => User.query().having(given).all(),
  'the condition of a join': ({ User, Team }, given) => User.query().join(Team, given).all(),
  'the condition of a loader': ({ User }, given) => User.on(given),
  'the condition of a list': ({ User }, given) => many(User).on(given),
  distinct: ({ User }, given) => User.distinct(given),
}

forEachDriver((driver) => {
  test('a list or an object is no value of a column of text, wherever it is given', async () => {
    const { User } = await filled(driver)
    const ann = await User.where({ name: 'Ann' }).one()
    for (const name of [['Ann'], { a: 'Ann' }, []] as unknown as string[]) {
      const calls: Record<string, () => unknown> = {
        create: () => User.create({ name }),
        createMany: () => User.createMany([{ name }, { name }]),
        upsert: () => User.upsert({ id: 1, name }),
        update: () => ann.update({ name }).apply(),
        'update of many': () => User.update({ name }).everyRow().apply(),
      }
      for (const [method, call] of Object.entries(calls))
        expect([method, await failure(call)]).toMatchObject([
          method,
          {
            name: 'ParameterError',
            clientError: true,
            message: expect.stringMatching(/'name' is (a list|an object), not text/),
          },
        ])
    }
    expect(await failure(() => User.where({ name: { a: 1 } as never }).count())).toMatchObject({ clientError: true })
    expect(ann.name).toBe('Ann')
    expect(await User.where({ name: 'Ann' }).count()).toBe(1)
  })

  test.each(['joined', 'select-in'] as const)(
    'a method is called with what %s loads, and not with null',
    async (strategy) => {
      const { User, Team } = await filled(driver)
      class Told extends User {
        readonly told: unknown[] = []
        tell(value: unknown): void {
          this.told.push(value)
        }
        name1(value: unknown): void {
          this.told.push(value)
        }
        name2(value: unknown): void {
          this.told.push(value)
        }
      }
      const loader = Told.load({ tell: Team, name1: literal(null), name2: literal('x') } as never)
      const found = (await Told.query().orderBy(Told.c.id).load(loader, { strategy })) as unknown as Told[]

      const told = found.map((user) => user.told.map((each) => (each instanceof Team ? each.name : each)))
      expect(told.map((each) => each.map(String).toSorted((a, b) => a.localeCompare(b)))).toEqual([
        ['red', 'x'],
        ['red', 'x'],
        ['blue', 'x'],
        ['x'],
      ])
    },
  )

  test('load() has no names that each object has by itself', async () => {
    const { User, Team } = await filled(driver)
    for (const name of ['valueOf', 'toString', 'hasOwnProperty', 'constructor', '__proto__'])
      expect(await failure(() => Team.load(JSON.parse(`{ "${name}": null }`) as never))).toMatchObject({
        message: expect.stringContaining(`would overwrite Team.${name}`),
      })
    const [team] = await Team.query().load(Team.load({ then: many(User) } as never))
    expect(Array.isArray((team as unknown as { then: unknown }).then)).toBe(true)
  })

  test.each(['joined', 'select-in'] as const)(
    'a cursor of %s objects takes whole numbers, and ends with close()',
    async (strategy) => {
      const { User, Team } = await filled(driver)
      const iterate = () =>
        Team.query()
          .orderBy(Team.c.id)
          .load(Team.load({ users: many(User) }), { strategy })
          .iterate()
      const cursor = iterate()
      for (const count of [-1, 1.5, Number.NaN, '2' as never]) {
        expect(await caught(cursor.read(count))).toMatchObject({
          name: 'UsageError',
          message: expect.stringContaining('read()'),
        })
        expect(await caught(cursor.skip(count))).toMatchObject({
          name: 'UsageError',
          message: expect.stringContaining('skip()'),
        })
      }
      expect(await cursor.read(1)).toHaveLength(1)
      await cursor.close()

      for (const call of [() => cursor.read(), () => cursor.read(1), () => cursor.skip(1)])
        expect(await caught(call())).toMatchObject({
          name: 'TransactionStateError',
          message: expect.stringContaining('closed'),
        })
    },
  )

  test.each(Object.keys(filters))(
    'the filter of %s is a plain object or a condition, and nothing else',
    async (method) => {
      const models = await filled(driver)

      for (const [what, given] of Object.entries(nothings))
        expect([what, await failure(() => filters[method]?.(models, given as never))]).toEqual([
          what,
          expect.any(UsageError),
        ])
      expect(await models.User.query().count()).toBe(4)
    },
  )

  test.each(Object.keys(orders))('%s is given columns or SQL, and nothing else', async (method) => {
    const models = await filled(driver)

    for (const given of ['name', { name: 'desc' }, ['name'], 5, () => 'name', new Date(0), null])
      expect([given, await failure(() => orders[method]?.(models, given as never))]).toEqual([
        given,
        expect.any(UsageError),
      ])
  })

  test("fragments of the package's own tag are conditions and orders", async () => {
    const { User } = await filled(driver)
    const name = 'Ann'

    expect(await User.where(sql`name = ${name}`).count()).toBe(1)
    expect(
      await User.where(sql`age > ${15}`)
        .where(sql`name <> ${name} and name <> ${name}`)
        .count(),
    ).toBeGreaterThan(0)
    expect((await User.query().orderBy(sql`name desc`)).map((user) => user.name)).toEqual(
      (await User.query().orderBy(drizzle`name desc`)).map((user) => user.name),
    )
    expect(await User.delete().where(sql`name = ${name}`)).toBe(1)
    expect(await User.query().count()).toBe(3)
  })

  const calls: Record<string, (models: Models, tx: Transaction) => unknown> = {
    create: ({ User }, tx) => User.create({ name: 'Zoe' }, tx),
    createMany: ({ User }, tx) => User.createMany([{ name: 'Zoe' }], tx),
    createOrIgnore: ({ User }, tx) => User.createOrIgnore({ name: 'Zoe' }, tx),
    upsert: ({ User }, tx) => User.upsert({ id: 900, name: 'Zoe' }, tx),
    upsertMany: ({ User }, tx) => User.upsertMany([{ id: 900, name: 'Zoe' }], { on: tx }),
    'update of an instance': async ({ User }, tx) =>
      (await User.where({ name: 'Ann' }).one(tx)).update({ name: 'Zoe' }).apply(tx),
    'static update': ({ User }, tx) => User.update({ name: 'Zoe' }).where({ name: 'Ann' }).apply(tx),
    'static update that gives instances': ({ User }, tx) =>
      User.update({ name: 'Zoe' }).where({ name: 'Ann' }).returning().apply(tx),
    'what a query says': async ({ User }, tx) => {
      await User.create({ name: 'Zoe' }, { on: tx })
      expect(await User.where({ name: 'Zoe' }).options(tx).count()).toBe(1)
    },
  }

  describe('a transaction in place of options', () => {
    test.each(Object.keys(calls))('is where %s runs', async (what) => {
      const models = await filled(driver)
      const { db, User } = models
      const tx = await db.begin()
      await calls[what]?.(models, tx)

      expect(await User.where({ name: 'Zoe' }).count(tx)).toBe(1)
      expect(await User.where({ name: 'Zoe' }).exists(tx)).toBe(true)
      expect((await User.where({ name: 'Zoe' }).first(tx))?.name).toBe('Zoe')
      expect(await User.where({ name: 'Zoe' }).iterate(tx).read(2)).toHaveLength(1)
      await tx.rollback()
      expect(await User.where({ name: 'Zoe' }).count()).toBe(0)
    })
  })

  const wrong: Record<string, (models: Models) => unknown> = {
    create: ({ User }) => User.create({ name: 'Zoe' }, { timeout: 5 } as never),
    upsert: ({ User }) => User.upsert({ id: 1, name: 'Zoe' }, { targets: ['id'] } as never),
    get: ({ User }) => User.get(1, { timeoutMs: Number.NaN }),
    all: ({ User }) => User.query().all(null as never),
    count: ({ User }) => User.query().count({ on: {} as never }),
    page: ({ User }) =>
      User.query()
        .limit(1)
        .page({ limit: 2 } as never),
    iterate: ({ User }) => User.query().iterate({ batchSize: 0 }),
    forUpdate: ({ User }) => User.query().forUpdate({ skiplocked: true } as never),
    load: ({ User }) => User.query().load(User, { strategy: 'none' } as never),
    'load of what is no map': ({ User }) => User.load(new Map() as never),
    after: ({ User }) => User.query().after(5 as never),
    'update of an instance': async ({ User }) =>
      (await User.query().limit(1).one()).update({ name: 'Zoe' }).apply([] as never),
    'create of a Map': ({ User }) => User.create(new Map([['name', 'Zoe']]) as never),
    'create of a form': ({ User }) => User.create(new FormData() as never),
  }

  test.each(Object.keys(wrong))('%s refuses what is no argument, and writes nothing', async (what) => {
    const models = await filled(driver)

    expect(await failure(() => wrong[what]?.(models))).toBeInstanceOf(UsageError)
    expect(await models.User.where({ name: 'Zoe' }).count()).toBe(0)
  })
})
