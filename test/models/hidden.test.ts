/** What is hidden is read by its name and seen nowhere else. */

import { inspect } from 'node:util'
import { integer, jsonb, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { describe, expect, test } from 'vitest'
import { json, many, Model, plain } from 'genever/models'
import { caught, thrownBy } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
async function users(driver: TestedDriver) {
  const db = await driver.db()
  const name = await driver.table(
    `id serial primary key, name text, password text, profile jsonb not null default '{}', boss_id int`,
  )
  const table = pgTable(name, {
    id: serial().primaryKey(),
    name: text(),
    password: text(),
    profile: jsonb().notNull().default({}),
    bossId: integer('boss_id').references((): never => table.id as never),
  })
  class User extends Model(db, table, {
    json: { profile: { nick: json.string(), token: json.string() } },
    hidden: ['password', 'token'],
  }) {}
  return { db, name, table, User }
}

const secrets = /pa55|s3cret/

/** Every way of looking at an object that does not name its members. */
function seen(value: object): string {
  const members: unknown[] = []
  for (const key in value) members.push(key, Reflect.get(value, key))
  return [
    JSON.stringify(value),
    JSON.stringify({ ...value }),
    JSON.stringify(Object.assign({}, value)),
    JSON.stringify(Object.entries(value)),
    Object.keys(value).join(),
    JSON.stringify(members),
    inspect(value, { depth: null }),
    inspect(value, { depth: null, showHidden: true }),
    inspect(value, { depth: null, customInspect: false }),
    inspect(plain(value), { depth: null }),
    inspect(structuredClone({ ...value }), { depth: null }),
    String(Object.values(value).map((each) => inspect(each, { depth: null }))),
  ].join('\n')
}

forEachDriver((driver) => {
  describe('hidden columns and properties', () => {
    test('are read by name, and in no copy, list of members, print or JSON of an instance', async () => {
      const { User } = await users(driver)

      const user = await User.create({ name: 'Ada', password: 'pa55', nick: 'a', token: 's3cret' })

      for (const each of [user, await User.getOr404(1), (await User.query())[0]!, await user.reload()]) {
        expect([each.password, each.token, each.nick]).toEqual(['pa55', 's3cret', 'a'])
        expect(seen(each)).not.toMatch(secrets)
        expect(seen(each)).toContain('Ada')
        expect('password' in each).toBe(true)
      }
      expect(JSON.stringify(user)).toBe('{"id":1,"name":"Ada","nick":"a","bossId":null}')
      expect(inspect(user)).toBe(`User { id: 1, name: 'Ada', bossId: null, profile: { nick: 'a' } }`)
    })

    test('of what is loaded, listed, aliased, written or made by hand either', async () => {
      const { User } = await users(driver)
      await User.createMany([
        { name: 'boss', password: 'pa55', token: 's3cret' },
        { name: 'Ada', password: 'pa55', token: 's3cret', bossId: 1 },
      ])
      const Boss = User.alias('boss')
      const Others = User.alias('others')
      const loaded = await User.query()
        .load(User.load({ boss: Boss, list: many(Others) }))
        .orderBy(User.c.id)

      const objects = [
        ...loaded,
        ...(await User.update({ name: 'x' }).everyRow().returning()),
        await User.upsert({ id: 1, password: 'pa55' }),
        new User({ id: 1, name: 'x', password: 'pa55', token: 's3cret' }),
        ...(await User.query().iterate().read(5)),
        (await User.query().load(User.load({ boss: User.alias('b') }), { strategy: 'select-in' }))[1]!,
      ]
      expect(loaded[1]?.boss?.password).toBe('pa55')
      for (const object of objects) {
        expect(seen(object)).not.toMatch(secrets)
        expect(seen({ in: { a: [object] } })).not.toMatch(secrets)
      }
      class Admin extends User {
        level = 1
      }
      expect(seen(await Admin.getOr404(1))).not.toMatch(secrets)
    })

    test('are given by a select() of their own', async () => {
      const { User } = await users(driver)
      await User.create({ password: 'pa55', token: 's3cret' })

      expect(await User.select('password', 'token')).toEqual([{ password: 'pa55', token: 's3cret' }])
      expect(await User.where({ password: 'pa55', token: 's3cret' }).count()).toBe(1)
    })

    test('are written like others, from values and from instances', async () => {
      const { User } = await users(driver)
      const made = await User.create({ name: 'a', password: 'pa55', token: 's3cret' })

      await made.update({ password: 'p2', token: 't2' })
      expect(await User.select('password', 'token')).toEqual([{ password: 'p2', token: 't2' }])
      made.password = 'p3'
      await made.update({ password: made.password })
      expect((await made.reload()).password).toBe('p3')
      const given = (id: number): InstanceType<typeof User> => new User({ id, password: `p${id}`, token: `t${id}` })
      await User.create(given(10))
      await User.createMany([given(11), given(12)])
      await User.upsert(given(11))
      expect((await User.select('id', 'password', 'token').orderBy(User.c.id)).slice(1)).toEqual(
        [10, 11, 12].map((id) => ({ id, password: `p${id}`, token: `t${id}` })),
      )
      await caught(made.update({ password: 'lost', id: 10 }))
      expect(made.password).toBe('p3')
    })

    test('stay hidden where the class declares their fields again', async () => {
      const { db, table } = await users(driver)
      class Again extends Model(db, table, { hidden: ['password'] }) {
        override password: string | null = 'pa55'
        override name!: string | null
      }

      const made = await Again.create({ name: 'Ada', password: 'pa55' })
      const given = await Again.create(Object.assign(new Again(), { name: 'Ada', password: 's3cret' }))

      expect([made.password, given.password]).toEqual(['pa55', 's3cret'])
      expect(seen(made) + seen(given) + seen((await Again.query())[1]!)).not.toMatch(secrets)
    })

    test('are no part of messages', async () => {
      const { User } = await users(driver)

      const errors = [
        await caught(User.create({ id: 'pa55' as never, password: 'pa55' })),
        await caught(User.create({ password: 'pa55', nope: 1 } as never)),
        await caught(User.create({ token: { s3cret: 1 } as never })),
        thrownBy(() => User.where({ nope: 'pa55' } as never)),
      ]

      for (const error of errors) expect(inspect(error, { depth: null })).not.toMatch(secrets)
      expect(errors[1]?.message).toMatch(/has no "nope"\. It has id, name, profile, bossId, nick\.$/)
    })
  })
})
