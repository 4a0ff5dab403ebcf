/** Defaults of JSON properties: a copy for each instance, and the same in SQL. */

import { asc, desc, eq, gt, isNull, sql } from 'drizzle-orm'
import { json as jsonColumn, jsonb, pgTable, serial } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { UsageError } from 'genever'
import { json, Model } from 'genever/models'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

const born = new Date('2020-01-02T03:04:05.678Z')
let calls = 0

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function things(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(`id serial primary key, profile jsonb default '{}', extra json`)
  const table = pgTable(name, { id: serial().primaryKey(), profile: jsonb().default({}), extra: jsonColumn() })
  class Thing extends Model(db, table, {
    json: {
      profile: {
        word: json.string({ default: `it's "x"` }),
        whole: json.integer({ default: -10 }),
        real: json.number({ default: 1.5e-7 }),
        on: json.boolean({ default: true }),
        off: json.boolean({ default: false }),
        born: json.dateTime({ default: born }),
        tags: json.array<string>({ default: ['a', `b'c`] }),
        deep: json.object<{ a?: { b?: number; c?: number }; list?: number[] }>({ default: { a: { b: 1 }, list: [] } }),
        made: json.string({ default: () => `m${++calls}`.slice(0, 1) }),
        lists: json.array<number>({ default: () => [1] }),
        plain: json.string(),
      },
      extra: { note: json.string({ default: 'none' }), box: json.object<{ x?: number }>({ default: { x: 1 } }) },
    },
  }) {}
  const defaults = {
    word: `it's "x"`,
    whole: -10,
    real: 1.5e-7,
    on: true,
    off: false,
    born,
    tags: ['a', `b'c`],
    deep: { a: { b: 1 }, list: [] },
    made: 'm',
    lists: [1],
    note: 'none',
    box: { x: 1 },
  }
  /** Rows of all kinds that hold none of the properties. */
  const empty = async (): Promise<void> => {
    await db.status(`insert into ${name} (profile, extra) values
      ('{}', '{}'), (null, null), ('[1]', '[1]'), ('"x"', '1'),
      ('{"word": null, "whole": null, "tags": null, "deep": null, "on": null, "lists": null}', '{"box": null, "note": null}')`)
  }
  return { db, name, table, Thing, defaults, empty }
}

forEachDriver((driver) => {
  describe('the default of a JSON property', () => {
    test('is a copy for each instance, kept by it, to any depth', async () => {
      const { Thing, db, name } = await things(driver)
      await db.status(`insert into ${name} (profile) values ('{}'), ('{}'), (null)`)
      const [one, two, none] = await Thing.query().orderBy(Thing.c.id)

      for (const thing of [one!, none!]) {
        thing.tags.push('mine')
        thing.deep.a!.b = 99
        thing.lists.push(2)
        thing.born.setFullYear(1999)
        thing.box.x = 5
        expect([thing.tags.length, thing.deep.a?.b, thing.lists, thing.born.getFullYear()]).toEqual([
          3,
          99,
          [1, 2],
          1999,
        ])
        expect(JSON.stringify(thing)).toContain('mine')
      }

      expect([two!.tags, two!.deep, two!.lists, two!.born]).toEqual([
        ['a', `b'c`],
        { a: { b: 1 }, list: [] },
        [1],
        born,
      ])
      expect(two!.box).toEqual({ x: 1 })
      const fresh = await Thing.create({})
      expect(JSON.stringify(await db.scalar(`select profile from ${name} where id = $1`, [fresh.id]))).not.toMatch(
        /mine|99/,
      )
      expect([(await one!.reload()).tags.length, (await none!.reload()).tags.length]).toEqual([2, 2])
    })

    test('as an instance made by hand shows it is what is stored with it', async () => {
      const { Thing } = await things(driver)
      const thing = new Thing()
      thing.tags.push('mine')

      await Thing.create(thing)

      expect((await Thing.getOr404(thing.id)).tags).toEqual(['a', `b'c`, 'mine'])
      expect(new Thing().tags).toHaveLength(2)
    })

    test('may be frozen', async () => {
      const { db, table } = await things(driver)
      const given = Object.freeze([Object.freeze({ n: 1 })])
      class Frozen extends Model(db, table, {
        json: { profile: { list: json.array<{ n: number }>({ default: given as { n: number }[] }) } },
      }) {}

      const made = await Frozen.create({})
      made.list[0]!.n = 2

      expect([made.list, given]).toEqual([[{ n: 2 }], [{ n: 1 }]])
    })

    test('is refused at the definition when it is of another kind', async () => {
      const { db, table } = await things(driver)
      const define = (property: object) => () => Model(db, table, { json: { profile: { x: property as never } } })

      for (const [property, kind] of [
        [json.integer({ default: 'ten' as never }), 'an integer'],
        [json.dateTime({ default: '2020' as never }), 'a valid Date'],
        [json.array({ default: {} as never }), 'an array'],
      ] as const) {
        const error = thrownBy(define(property))
        expect(error).toBeInstanceOf(UsageError)
        expect(String(error)).toContain(`The default of the JSON property 'x' is ${kind}`)
      }
    })
  })

  describe('in SQL a default', () => {
    test('is found by conditions, wherever nothing is stored', async () => {
      const { Thing, defaults, empty } = await things(driver)
      await empty()

      for (const [key, value] of Object.entries(defaults)) {
        if (typeof value === 'object' && key !== 'born') continue
        expect([key, await Thing.where({ [key]: value } as object).count()]).toEqual([key, 5])
        expect([key, await Thing.where({ [key]: [value] } as object).count()]).toEqual([key, 5])
        expect([key, await Thing.where({ [key]: null } as object).exists()]).toEqual([key, false])
      }
      for (const key of ['tags', 'deep', 'lists', 'box'] as const)
        expect([key, await Thing.where(isNull(Thing.c[key])).count()]).toEqual([key, 0])
      expect(await Thing.where({ plain: null }).count()).toBe(5)
      expect(await Thing.where(gt(Thing.c.whole, -11)).count()).toBe(5)
      const Other = Thing.alias('other')
      expect(await Thing.query().join(Other, eq(Other.c.word, Thing.c.word)).count()).toBe(25)
    })

    test('stands beside what $defaultFn() makes for the column, which is called once', async () => {
      const db = await driver.db()
      let made = 0
      const table = pgTable(await driver.table('id serial primary key, profile jsonb, settings jsonb'), {
        id: serial().primaryKey(),
        profile: jsonb().$defaultFn(() => ({ theme: 'dark', made: ++made })),
        settings: jsonb().$onUpdateFn(() => ({ seen: true })),
      })
      class Thing extends Model(db, table, {
        json: {
          profile: { nick: json.string(), age: json.integer({ default: 7 }) },
          settings: { size: json.integer() },
        },
      }) {}

      const [plain, named] = [await Thing.create({}), (await Thing.createMany([{ nick: 'Ada', size: 1 }]))[0]]
      const byHand = await Thing.create(new Thing({ nick: 'Bo' }))
      const whole = await Thing.create({ profile: { own: 1 } })
      const without = await Thing.create({ profile: null })

      expect(plain.profile).toEqual({ theme: 'dark', made: 1, age: 7 })
      expect(plain.settings).toEqual({ seen: true })
      expect(named?.profile).toEqual({ theme: 'dark', made: 2, nick: 'Ada', age: 7 })
      expect(named?.settings).toEqual({ seen: true, size: 1 })
      expect(byHand.profile).toEqual({ theme: 'dark', made: 3, nick: 'Bo', age: 7 })
      expect(whole.profile).toEqual({ own: 1, age: 7 })
      expect(without.profile).toBe(null)
      expect(made).toBe(3)
    })

    test('stands beside the default of the column in an instance made by hand, which does not share it', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('id serial primary key, profile jsonb'), {
        id: serial().primaryKey(),
        profile: jsonb()
          .$type<{ font: { size: number } }>()
          .default({ font: { size: 1 } }),
      })
      class Thing extends Model(db, table, { json: { profile: { nick: json.string() } } }) {}

      const one = new Thing({ nick: 'Ada' })
      Object.assign(one.profile?.font ?? {}, { size: 2 })
      const other = new Thing({ nick: 'Bo' })
      const without = new Thing({ profile: null })
      without.nick = 'Cy'

      expect((await Thing.create(one)).profile).toEqual({ font: { size: 2 }, nick: 'Ada' })
      expect((await Thing.create(other)).profile).toEqual({ font: { size: 1 }, nick: 'Bo' })
      expect((await Thing.create({ nick: 'Di' })).profile).toEqual({ font: { size: 1 }, nick: 'Di' })
      expect((await Thing.create(without)).profile).toEqual({ nick: 'Cy' })
    })

    test('is what select(), loaders and orders see', async () => {
      const { Thing, defaults, empty } = await things(driver)
      await empty()
      const keys = Object.keys(defaults) as (keyof typeof defaults)[]

      for (const row of await Thing.select(...keys)) expect(row).toEqual(defaults)
      const Other = Thing.alias('other')
      const loaded = await Thing.query().load([
        Thing.c.whole,
        sql<string>`upper(${Thing.c.made})`,
        Thing.c.tags,
      ] as const)
      expect(loaded[1]).toEqual([-10, 'M', defaults.tags])
      expect(Other.c.whole).toBeDefined()
      const low = await Thing.create({ whole: -20 })
      const high = await Thing.create({ whole: 5 })
      expect((await Thing.query().orderBy(asc(Thing.c.whole)).first())?.id).toBe(low.id)
      expect((await Thing.query().orderBy(desc(Thing.c.whole), Thing.c.id).first())?.id).toBe(high.id)
      const { rows, cursor } = await Thing.query().orderBy(Thing.c.whole).limit(3).page()
      expect(rows.map(({ id }) => id)).toEqual([low.id, 1, 2])
      expect((await Thing.query().orderBy(Thing.c.whole).after(cursor).limit(9).page()).rows).toHaveLength(4)
    })

    test('is what an update by expression begins with', async () => {
      const { Thing, db, name } = await things(driver)
      await db.status(`insert into ${name} (profile) values ('{}'), (null)`)
      const thing = await Thing.getOr404(1)

      await thing.update({ whole: sql`${Thing.c.whole} + 15`, word: sql`${Thing.c.word} || '!'` })
      expect([thing.whole, thing.word]).toEqual([5, `it's "x"!`])
      await Thing.update({ whole: sql`${Thing.c.whole} * 2` }).everyRow()
      expect((await Thing.query().orderBy(Thing.c.id)).map(({ whole }) => whole)).toEqual([10, -20])
    })

    test('is what members of an object are merged into', async () => {
      const { Thing, db, name } = await things(driver)
      await db.status(`insert into ${name} (profile) values ('{}'), ('{"deep": {"a": {"c": 7}}}')`)
      const [one, two] = await Thing.query().orderBy(Thing.c.id)

      const pending = one!.update({ deep: { a: { c: 2 } } })
      expect(one!.deep).toEqual({ a: { b: 1, c: 2 }, list: [] })
      await pending
      await two!.update({ deep: { list: [1] } })

      expect(one!.deep).toEqual({ a: { b: 1, c: 2 }, list: [] })
      expect(two!.deep).toEqual({ a: { c: 7 }, list: [1] })
      expect((await Thing.query().orderBy(Thing.c.id)).map(({ deep }) => deep)).toEqual([one!.deep, two!.deep])
    })

    test('that is a function is called for each statement', async () => {
      const { db, table, empty } = await things(driver)
      await empty()
      let n = 0
      class Counted extends Model(db, table, { json: { profile: { n: json.integer({ default: () => ++n }) } } }) {}

      const first = await Counted.select('n').limit(1)
      const second = await Counted.select('n').limit(1)
      expect(second[0]!.n).toBeGreaterThan(first[0]!.n)
      const loader = [Counted.c.n] as const
      const third = await Counted.query().load(loader).limit(1)
      expect(third[0]![0]).toBeGreaterThan(second[0]!.n)
      expect(await Counted.where(gt(Counted.c.n, 1_000_000)).count()).toBe(0)
      n = 2_000_000
      expect(await Counted.where(gt(Counted.c.n, 1_000_000)).count()).toBe(5)
    })
  })

  test.each([
    ['beforeSet', { beforeSet: () => Promise.reject(new Error('x')) as never }],
    ['default', { default: () => Promise.reject(new Error('x')) as never }],
  ])('an asynchronous %s is refused before anything is sent', async (option, options) => {
    const { db, table, name } = await things(driver)
    class Waiting extends Model(db, table, { json: { profile: { x: json.string(options as object) } } }) {}

    const error = await caught(Waiting.create(option === 'default' ? {} : { x: 'a' }))

    expect(error).toBeInstanceOf(UsageError)
    expect(String(error)).toMatch(/asynchronous, but (its result )?is needed at once/)
    expect(await db.scalar(`select count(*)::int from ${name}`)).toBe(0)
  })

  test('an asynchronous afterGet is refused where it is read', async () => {
    const { db, table } = await things(driver)
    class Waiting extends Model(db, table, {
      json: { profile: { x: json.string({ afterGet: () => Promise.reject(new Error('x')) as never }) } },
    }) {}

    const made = await Waiting.create({})

    expect(() => made.x).toThrow('afterGet of the JSON property')
  })

  test('an asynchronous afterLoad is refused, before anything is sent where it says so itself', async () => {
    const { db, table, name } = await things(driver)
    class Says extends Model(db, table, {
      // oxlint-disable-next-line typescript/no-misused-promises -- that is the mistake
      afterLoad: async () => {
        await Promise.resolve()
        throw new Error('from the hook')
      },
    }) {}
    class Returns extends Model(db, table, { afterLoad: () => Promise.reject(new Error('from the hook')) as never }) {}

    expect(String(await caught(Says.create({})))).toContain('afterLoad of Says is asynchronous')
    expect(await db.scalar(`select count(*)::int from ${name}`)).toBe(0)
    expect(String(await caught(Returns.create({})))).toContain('is asynchronous')
    for (const call of [Returns.get(1), Returns.query(), Returns.query().load(Returns.load({}))])
      expect(String(await caught(call))).toContain('is asynchronous')
  })
})
