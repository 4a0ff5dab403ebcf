/** Models as classes: fields, private members, accessors, constructors, mix-ins, subclasses, views, other databases. */

import { inspect } from 'node:util'
import { eq, sql } from 'drizzle-orm'
import { integer, jsonb, pgTable, pgView, primaryKey, serial, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { createDb, InvalidOptionError, UsageError, ValidationError } from 'genever'
import { type AnyModel, json, Model, plain, type StandardSchema } from 'genever/models'
import { createRegistry } from 'genever/registry'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function things(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table('id serial primary key, name text, secret text, n integer default 0')
  const table = pgTable(name, { id: serial().primaryKey(), name: text(), secret: text(), n: integer() })
  return { db, name, table }
}

forEachDriver((driver) => {
  describe('a class may', () => {
    test('declare columns again, with and without a type alone', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {
        override name!: string | null
        override n: number | null = 99
        declare secret: string | null
      }

      const made = await Thing.create({ name: 'a', n: 1 })

      expect(await Thing.get(made.id)).toMatchObject({ name: 'a', n: 1, secret: null })
      expect((await Thing.query().one()).name).toBe('a')
    })

    test('have private members, initialisers, getters and own statics', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {
        #secret = 41
        readonly powers = ['sudo']
        static readonly kind = 'thing'
        get answer(): number {
          return ++this.#secret
        }
        static named(name: string): Promise<Thing | undefined> {
          return this.where({ name }).first()
        }
      }
      await Thing.create({ name: 'a' })

      const thing = await Thing.named('a')

      expect(thing?.answer).toBe(42)
      expect(thing?.powers).toEqual(['sudo'])
      expect(Thing.kind).toBe('thing')
      await thing?.update({ name: 'b' })
      expect(thing?.answer).toBe(43)
    })

    test('have an accessor over a column, but no getter alone', async () => {
      const { db, table } = await things(driver)
      class Loud extends Model(db, table) {
        #name: string | null = null
        override get name(): string | null {
          return this.#name?.toUpperCase() ?? null
        }
        override set name(value: string | null) {
          this.#name = value
        }
      }
      class Stuck extends Model(db, table) {
        override get name(): string {
          return 'x'
        }
      }

      const loud = await Loud.create({ name: 'a' })

      expect([loud.name, (await Loud.getOr404(loud.id)).name, loud.toJSON().name]).toEqual(['A', 'A', 'A'])
      await expect(Stuck.get(1)).rejects.toThrow('Stuck.name is a getter without a setter')
    })

    test('have a constructor, as long as it works without arguments', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {
        readonly made: string
        constructor(values?: { name?: string }) {
          super(values)
          this.made = 'here'
        }
      }
      class Picky extends Model(db, table) {
        constructor(options: { name: string }) {
          super({ name: options.name })
        }
      }

      expect(new Thing({ name: 'x' })).toMatchObject({ name: 'x', made: 'here' })
      expect(await Thing.create(new Thing({ name: 'x' }))).toMatchObject({ id: 1, made: 'here' })
      expect(await Thing.get(1)).toMatchObject({ name: 'x', made: 'here' })
      await expect(Picky.get(1)).rejects.toThrow('The constructor of Picky must work without arguments')
    })

    test('be made in memory with some values, and no others', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {}

      expect(new Thing({ name: 'a', id: 5 })).toMatchObject({ name: 'a', id: 5 })
      // @ts-expect-error no such column
      expect(() => new Thing({ nope: 1 })).toThrow('has no "nope"')
      // @ts-expect-error no object
      expect(() => new Thing('x')).toThrow('takes an object of values, not a string')
    })

    test('be extended, and every static gives the subclass', async () => {
      const { db, table } = await things(driver)
      class User extends Model(db, table) {
        greet(): string {
          return `hi ${String(this.name)}`
        }
      }
      class Admin extends User {
        powers = ['sudo']
        override greet(): string {
          return `${super.greet()}!`
        }
      }
      await User.create({ name: 'a' })

      const admins = [
        await Admin.create({ name: 'b' }),
        ...(await Admin.createMany([{ name: 'c' }])),
        await Admin.upsert({ id: 1, name: 'a' }),
        await Admin.getOr404(1),
        await Admin.where({ name: 'b' }).one(),
        ...(await Admin.update({ n: 1 }).where({ id: 1 }).returning()),
      ]

      expect(admins.map((admin) => admin.greet())).toEqual(['hi b!', 'hi c!', 'hi a!', 'hi a!', 'hi b!', 'hi a!'])
      expect(admins.every((admin) => admin instanceof Admin && admin.powers.length === 1)).toBe(true)
      expect(await User.get(1)).not.toBeInstanceOf(Admin)
      expectTypeOf(admins).toEqualTypeOf<Admin[]>()
    })

    test('take part in mix-ins, whose statics give it too', async () => {
      const { db, table } = await things(driver)
      // oxlint-disable-next-line typescript/no-explicit-any, typescript/explicit-function-return-type -- a mix-in
      function Named<B extends new (...args: any[]) => { name: string | null }>(Base: B) {
        return class extends Base {
          get loud(): string {
            return String(this.name).toUpperCase()
          }
          static newest<C extends AnyModel>(this: C): Promise<InstanceType<C>> {
            return (this as unknown as { query(): { one(): Promise<InstanceType<C>> } }).query().one()
          }
        }
      }
      class Thing extends Named(Model(db, table)) {}
      await Thing.create({ name: 'a' })

      const thing = await Thing.newest()

      expect(thing).toBeInstanceOf(Thing)
      expect(thing.loud).toBe('A')
      expectTypeOf(thing).toEqualTypeOf<Thing>()
    })
  })

  describe('an instance', () => {
    test('is plain and stateless: two of one row know nothing of each other', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {}
      const one = await Thing.create({ name: 'a' })
      const other = await Thing.getOr404(one.id)

      await one.update({ name: 'b' })

      expect(other.name).toBe('a')
      expect(Object.keys(one)).toEqual(['id', 'name', 'secret', 'n'])
    })

    test('prints its class and values, and leaves out what is hidden; so do toJSON and its type', async () => {
      const { db, table } = await things(driver)
      class Account extends Model(db, table, { hidden: ['secret'] }) {}

      const account = await Account.create({ name: 'a', secret: 'xyzzy' })

      expect(inspect(account)).toBe(`Account { id: 1, name: 'a', n: 0 }`)
      expect(inspect({ deep: { deeper: { account } } })).not.toContain('xyzzy')
      expect(JSON.stringify(account)).toBe('{"id":1,"name":"a","n":0}')
      expect(account.secret).toBe('xyzzy')
      expectTypeOf(account.toJSON()).toEqualTypeOf<{ id: number; name: string | null; n: number | null }>()
    })

    test('becomes a plain object with what is loaded into it', async () => {
      const { db, table } = await things(driver)
      class Thing extends Model(db, table) {
        cache = new Map()
      }
      const one = await Thing.create({ name: 'a' })
      const pair = Object.assign(await Thing.create({ name: 'b' }), { parent: one, all: [one] })

      const made = plain({ list: [pair], at: new Date(0), none: null })

      expect(made).toEqual({
        list: [{ ...pair.toJSON(), parent: one.toJSON(), all: [one.toJSON()] }],
        at: new Date(0),
        none: null,
      })
      expect(Object.getPrototypeOf(made.list[0])).toBe(Object.prototype)
      expect('cache' in (made.list[0] ?? {})).toBe(false)
      expect(made.list[0]?.parent?.name).toBe('a')
      expectTypeOf(made.at).toEqualTypeOf<Date>()
    })
  })

  describe('hooks', () => {
    test('beforeCreate and beforeUpdate change what is written, afterLoad sees every instance', async () => {
      const { db, table } = await things(driver)
      const loaded: string[] = []
      class Thing extends Model(db, table, {
        beforeCreate: (values) => ({ ...values, n: 5 }),
        beforeUpdate: async (values, instance) => {
          await Promise.resolve()
          values['secret'] = instance === undefined ? 'many' : 'one'
        },
        afterLoad: (instance) => void loaded.push(instance.constructor.name),
      }) {}
      const given = { name: 'a' }

      const thing = await Thing.create(given)
      await thing.update({ name: 'b' })

      expect(thing).toMatchObject({ n: 5, name: 'b', secret: 'one' })
      expect(given).toEqual({ name: 'a' })
      await Thing.update({ name: 'c' }).everyRow()
      expect((await thing.reload()).secret).toBe('many')
      await Thing.createMany([{ name: 'x' }, { name: 'y' }])
      await Thing.get(1)
      expect(loaded).toEqual(['Thing', 'Thing', 'Thing', 'Thing', 'Thing'])
      for (const read of [
        () => Thing.where({ id: 1 }),
        () => Thing.where({ id: 1 }).first(),
        () => Thing.where({ id: 1 }).limit(1).page(),
        () => Thing.where({ id: 1 }).iterate().read(5),
        () => Thing.where({ id: 1 }).load(Thing.load({})),
        () => Thing.where({ id: 1 }).load(Thing.load({}), { strategy: 'select-in' }),
      ]) {
        loaded.length = 0
        await read()
        expect(loaded).toEqual(['Thing'])
      }
      loaded.length = 0
      await Thing.select('id')
      expect(loaded).toEqual([])
    })

    test('an error of a hook reaches the caller as it is', async () => {
      const { db, table } = await things(driver)
      class Broken extends Error {}
      const fail = (): never => {
        throw new Broken()
      }
      class Made extends Model(db, table, { beforeCreate: fail, beforeUpdate: fail }) {}
      class Read extends Model(db, table, { afterLoad: fail }) {}

      expect(await caught(Made.create({}))).toBeInstanceOf(Broken)
      expect(await caught(Read.create({}))).toBeInstanceOf(Broken)
      expect(await caught(Read.get(1))).toBeInstanceOf(Broken)
      expect(await caught(new Made({ id: 1 }).update({ n: 1 }))).toBeInstanceOf(Broken)
    })

    test('validate gives or refuses values by any Standard Schema, without telling them', async () => {
      const { db, table } = await things(driver)
      const validate: StandardSchema = {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value) => {
            const { name } = (await Promise.resolve(value)) as { name: string }
            if (name.length < 3) return { issues: [{ message: `${name} is too short`, path: ['name'] }] }
            return { value: { name: name.trim() } }
          },
        },
      }
      class Thing extends Model(db, table, { validate }) {}

      expect(await Thing.create({ name: ' abc ' })).toMatchObject({ name: 'abc' })
      const error = await caught(Thing.createMany([{ name: 'long enough' }, { name: 'xy' }]))
      expect(error).toBeInstanceOf(ValidationError)
      expect(String(error)).toContain('are not valid at name')
      expect(inspect(error)).not.toContain('xy')
      expect((error as ValidationError).issues[0]?.message).toBe('xy is too short')
      expect(await Thing.query().count()).toBe(1)
    })
  })

  describe('a view', () => {
    test('is read like a table, and never written', async () => {
      const { db, table, name } = await things(driver)
      const view = `${name}_v`
      await db.status(`drop view if exists ${view}; create view ${view} as select id, upper(name) as loud from ${name}`)
      const louds = pgView(view, { id: integer().notNull(), loud: text() }).existing()
      class Thing extends Model(db, table) {}
      class Loud extends Model(db, louds) {
        shout(): string {
          return `${String(this.loud)}!`
        }
      }
      await Thing.create({ name: 'a' })

      const loud = await Loud.getOr404(1)
      expect(loud.shout()).toBe('A!')
      expect((await Loud.where(eq(Loud.c.loud, 'A')).one()).toJSON()).toEqual({ id: 1, loud: 'A' })
      expectTypeOf(loud.id).toEqualTypeOf<number>()
      await db.status(`update ${name} set name = 'b'`)
      expect((await loud.reload()).loud).toBe('B')

      const message = 'Loud is a model of a view, which is only read'
      // @ts-expect-error a view
      await expect(Loud.create({ id: 1 })).rejects.toThrow(message)
      await expect(Loud.createMany([])).rejects.toThrow(message)
      await expect(Loud.upsert({ id: 1 } as never)).rejects.toThrow(message)
      await expect(loud.delete()).rejects.toThrow(message)
      expect(() => loud.update({} as never)).toThrow(message)
      expect(() => Loud.update({} as never)).toThrow(message)
      expect(() => Loud.delete()).toThrow(message)
      await db.status(`drop view ${view}`)
    })
  })

  describe('using', () => {
    test('gives the same class on another database of the same db', async () => {
      const { table, name } = await things(driver)
      const other = await driver.db()
      // unbound: whatever works here ran on the other one
      const db = createRegistry({ main: createDb(), extra: { replica: other } })
      class Thing extends Model(db, table) {
        greet(): string {
          return 'hi'
        }
      }
      const Replica = Thing.using('replica')

      const made = await Replica.create({ name: 'a' })
      await made.update({ name: 'b' })

      expect(made).toBeInstanceOf(Thing)
      expect(made.greet()).toBe('hi')
      expect(Thing.using('replica')).toBe(Replica)
      expect(Replica.name).toBe('Thing')
      expect(await other.scalar(`select name from ${name}`)).toBe('b')
      expect(await Replica.where({ name: 'b' }).count()).toBe(1)
      await expect(Thing.get(1)).rejects.toThrow('This db has no database yet')
      expectTypeOf(made).toEqualTypeOf<Thing>()
      // @ts-expect-error no such name
      expect(() => Thing.using('nope')).toThrow('The registry has no database named "nope"')
    })
  })
})

describe('a definition', () => {
  const db = createDb()
  const ok = pgTable(
    't',
    { id: serial().primaryKey(), name: text(), email: text().unique(), a: integer(), b: integer() },
    (t) => [uniqueIndex().on(t.a, t.b)],
  )

  test.each([
    [
      'a column with the name of a method',
      () => Model(db, pgTable('t', { id: serial(), reload: text() }) as never),
      'the key reload',
    ],
    [
      'a column called constructor',
      () => Model(db, pgTable('t', { id: serial(), constructor: text() }) as never),
      'the key constructor',
    ],
    ['a key of columns that there are not', () => Model(db, ok, { pk: 'nope' as 'id' }), 'pk: "t" has no column nope'],
    [
      'a key that is not unique',
      () => Model(db, ok, { pk: 'name' }),
      'name of "t" is neither its primary key nor unique',
    ],
    [
      'a key that may be NULL',
      () => Model(db, ok, { pk: 'email' }),
      'email of "t" may be NULL, and nothing finds a row by NULL',
    ],
    [
      'a composite key of which a part may be NULL',
      () =>
        Model(
          db,
          pgTable('t', { a: integer().notNull(), b: integer() }, (t) => [uniqueIndex().on(t.a, t.b)]),
          { pk: ['a', 'b'] },
        ),
      'b of "t" may be NULL',
    ],
    [
      'a key that is no name',
      () => Model(db, ok, { pk: 5 as never }),
      'The option "pk" of Model() must be the key of a column',
    ],
    ['a key without columns', () => Model(db, ok, { pk: [] as never }), 'which only a view can'],
    ['a column twice', () => Model(db, ok, { pk: ['id', 'id'] as never }), 'has each column once'],
    ['half of a composite key', () => Model(db, ok, { pk: ['a'] }), 'a of "t" is neither'],
    [
      'something hidden that there is not',
      () => Model(db, ok, { hidden: ['nope'] }),
      "has no column or property 'nope'",
    ],
    [
      'what is no table',
      () => Model(db, {} as typeof ok),
      'takes a pgTable, mysqlTable or a view second, not an object',
    ],
    ['what is no db', () => Model('postgres://' as never, ok), 'takes a db made by createDb() first, not a string'],
  ])('refuses %s', (_, define, message) => {
    const error = thrownBy(define)

    expect(error).toBeInstanceOf(UsageError)
    expect(String(error)).toContain(message)
  })

  test('refuses options that there are not, and such as are of the wrong kind', () => {
    expect(() => Model(db, ok, { nope: 1 } as never)).toThrow(InvalidOptionError)
    expect(() => Model(db, ok, { afterLoad: 'x' } as never)).toThrow(
      'The option "afterLoad" of Model() must be a function',
    )
    expect(() => Model(db, ok, { validate: {} } as never)).toThrow(
      'The option "validate" of Model() must be a Standard Schema',
    )
  })

  test('takes the primary key of the table, or other unique columns that are not NULL', () => {
    const composite = pgTable('c', { id: integer(), tenant: integer() }, (t) => [
      primaryKey({ columns: [t.tenant, t.id] }),
    ])
    const code = pgTable('c', { id: integer(), code: text().primaryKey() })
    const none = pgTable('n', { id: integer() })
    const other = pgTable('o', { a: integer().notNull(), b: text().notNull().unique() }, (t) => [
      uniqueIndex().on(t.a, t.b),
    ])
    const lookup = (table: never): unknown => new (Model(db, table))({ id: 1 } as never).lookup()

    expect(() => lookup(composite as never)).toThrow('has no tenant, so it is no row yet')
    expect(() => lookup(code as never)).toThrow('has no code, so it is no row yet')
    expect(() => lookup(none as never)).toThrow('n has no primary key')
    expect(Model(db, other, { pk: ['b', 'a'] }).table).toBe(other)
    expect(Model(db, other, { pk: 'b' }).table).toBe(other)
    expect(Model(db, composite, { pk: ['id', 'tenant'] }).table).toBe(composite)
  })

  test('a static that lost its class says so', async () => {
    class Thing extends Model(db, pgTable('t', { id: serial().primaryKey(), profile: jsonb() }), {
      json: { profile: { x: json.string() } },
    }) {}
    // oxlint-disable-next-line typescript/unbound-method -- that is the mistake
    const { get } = Thing

    // @ts-expect-error statics need their class
    await expect(get(1)).rejects.toThrow('A model was expected, a class that extends Model(db, table), not undefined.')
    expect(String(Thing.where(sql`true`))).toContain('select')
  })
})
