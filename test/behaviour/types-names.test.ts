/** Names in the option `types` that are no types of the database. */

import { createDb, UsageError } from 'genever'
import { hstore, structured, text } from 'genever/types'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, urlForPg } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { startProxy } from '../support/proxy.ts'
import { until } from '../support/until.ts'
import { message } from '../faults/messages.ts'

const marked = (value: string): string => `<${value}>`

forEachDriver((driver) => {
  let name: string
  beforeEach(async () => (name = await driver.table('id int')))

  describe('of a statement', () => {
    test.each([
      'timestampz',
      '_int4',
      'anyenum[]',
      'numeric[][]',
      '1701',
      '4294967295',
      '12345678901',
      'a\0b',
      '\uD800',
    ])('%o is refused before anything is sent', async (key) => {
      const db = await driver.db()
      const types = { numeric: Number, [key]: marked }

      const error = await caught(db.status(`insert into ${name} values (1)`, [], { types }))

      expect(error).toBeInstanceOf(UsageError)
      expect(error.message).toContain(`names ${JSON.stringify(key)}, and`)
      expect(error.message).not.toContain('"numeric"')
      expect(await db.scalar(`select count(*) from ${name}`)).toBe(0)
    })

    test('all that are none are named, at every door and again and again', async () => {
      const db = await driver.db()
      const types = { nothing_1: marked, nothing_2: marked }

      for (let run = 0; run < 2; run++)
        for (const work of [
          () => db.all('select 1', [], { types }),
          () => db.scalar('select $1::int', [1], { types }),
          () => db.status('select 1; select 2', [], { types }),
          () => db.executeMany('select $1::int', [[1], [2]], { types }),
          async () => {
            for await (const row of db.iterate('select 1', [], { types })) expect(row).toBe(null)
          },
        ])
          expect((await caught(work())).message).toContain('names "nothing_1", "nothing_2", and')
    })

    test('fail that statement alone in a transaction', async () => {
      const db = await driver.db()

      await db.transaction(async (tx) => {
        const [before, wrong, after] = await Promise.allSettled([
          tx.status(`insert into ${name} values (1)`),
          tx.scalar('select 1', [], { types: { nothing: marked } }),
          tx.status(`insert into ${name} values (2)`),
        ])
        expect([before.status, wrong.status, after.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      })

      expect(await db.all(`select id from ${name} order by id`)).toEqual([{ id: 1 }, { id: 2 }])
    })

    test('do not hide that a transaction has failed', async () => {
      const db = await driver.db()
      const both: PromiseSettledResult<unknown>[] = []

      await caught(
        db.transaction(async (tx) => {
          const types = { nothing: marked }
          both.push(...(await Promise.allSettled([tx.scalar('select 1 / 0'), tx.scalar('select 1', [], { types })])))
          throw new Error('over')
        }),
      )

      expect(both.map((each) => (each.status === 'rejected' ? (each.reason as Error).name : each.value))).toEqual([
        'QueryError',
        'TransactionAbortedError',
      ])
    })

    test('are types once they were created, and none once they were dropped', async () => {
      const db = await driver.db()
      const mood = `${name}_mood`
      const read = (): Promise<unknown> =>
        db.scalar("select array['ok']", [], { types: { [mood]: marked, 'text[]': marked } })

      expect(await caught(read())).toBeInstanceOf(UsageError)
      await db.status(`create type ${mood} as enum ('ok')`)
      expect(await read()).toBe('<{ok}>')
      expect(await db.scalar(`select 'ok'::${mood}`, [], { types: { [mood]: marked } })).toBe('<ok>')
      await db.status(`drop type ${mood}`)
      expect(await caught(read())).toBeInstanceOf(UsageError)
    })

    test('may be written as types of the database are named', async () => {
      const db = await driver.db()
      await db.status(`create type "${name}_Mood" as enum ('ok')`)
      const [oid, schema] = Object.values(
        await db.one(`select oid, typnamespace::regnamespace::text from pg_type where typname = '${name}_Mood'`),
      )

      for (const key of [`"${name}_Mood"`, `${String(schema)}."${name}_Mood"`, String(oid)])
        expect(await db.scalar(`select 'ok'::"${name}_Mood"`, [], { types: { [key]: marked } })).toBe('<ok>')
      const types = { [`"${name}_Mood"[]`]: marked, 'pg_catalog.numeric[]': marked, [name]: marked }
      expect(await db.scalar(`select array['ok'::"${name}_Mood"]`, [], { types })).toBe('<{ok}>')
    })

    test('may be those of extensions where the conversion is ready-made for them', async () => {
      const db = await driver.db()

      expect(await db.scalar("select '[1,2)'::int4range", [], { types: structured })).toMatchObject({ lower: 1 })
      expect(await db.scalar('select 1', [], { types: { hstore } })).toBe(1)
      expect((await caught(db.scalar('select 1', [], { types: { hstor: hstore } }))).message).toContain('"hstor"')
    })
  })

  test('of an engine are in a notice, once, and change nothing', async () => {
    const engine = `types-${driver.name}`
    using heard = hear(engine)
    const db = await driver.db({ name: engine, types: { timestampz: marked, bool: marked, nothing: text } })

    for (let run = 0; run < 3; run++)
      expect(await Promise.all([db.scalar('select 1'), db.scalar('select true')])).toEqual([1, '<t>'])
    await db.status(`create table ${name}_more (id int)`)
    expect(await db.scalar('select true', [], { types: { bool: (value) => value } })).toBe('t')

    expect(heard.notices.map(({ code }) => code)).toEqual(['types-unknown'])
    expect(heard.notices[0]?.message).toContain('names "timestampz", "nothing", and')
  })

  test('of an engine are in no notice where the types are there, or come ready-made', async () => {
    const engine = `types-right-${driver.name}`
    using heard = hear(engine)
    const db = await driver.db({ name: engine, types: { ...structured, [name]: marked, numeric: Number } })

    expect(await db.scalar('select 1.5')).toBe(1.5)
    expect(heard.notices).toEqual([])
  })
})

test.each(['pg', 'socket'] as const)('%s: names are looked up in one trip, before their first use', async (driver) => {
  await using database = await freshDatabase("create type mood as enum ('ok')")
  await using proxy = await startProxy(urlForPg(database.url))
  const trips = async (work: () => Promise<unknown>): Promise<number> => {
    const [link] = proxy.open
    const before = link?.toServer.types.length ?? 0
    await work()
    const types = link?.toServer.types.slice(before) ?? ''
    return types.replaceAll(/[^SQ]/g, '').length
  }
  await using db = createDb(proxy.url, { driver, pool: { max: 1 } })
  const plain = (): Promise<unknown> => db.scalar('select 1')
  const built = (): Promise<unknown> => db.scalar('select 2', [], { types: { numeric: Number, ...structured } })
  const own = (): Promise<unknown> => db.scalar('select 3', [], { types: { mood: text } })
  await plain()

  expect(await trips(plain)).toBe(1)
  expect(await trips(built)).toBe(1)
  expect(await trips(own)).toBe(2)
  expect(await trips(own)).toBe(1)
  await db.status('create table t ()')
  // What else is asked again after that comes with this.
  await plain()
  await plain()
  expect(await trips(own)).toBe(2)

  await using all = createDb(proxy.url, { driver, pool: { max: 1 }, types: { mood: text } })
  const of = (): Promise<unknown> => all.scalar('select 1')
  await of()
  const [, link] = proxy.open
  await all.status('create table u ()')
  await of()
  await of()
  const before = link?.toServer.types.length ?? 0
  await of()
  expect(link?.toServer.types.slice(before).replaceAll(/[^SQ]/g, '')).toHaveLength(1)
})

test.each(['pg', 'socket'] as const)(
  '%s: types are looked up again where another connection has changed the catalogue since',
  async (driver) => {
    await using database = await freshDatabase("create type mood as enum ('ok')")
    await using proxy = await startProxy(urlForPg(database.url))
    await using db = createDb(proxy.url, { driver, pool: { max: 2 } })
    await using reader = await db.acquire()
    await using other = await db.acquire()
    const types = { mood: marked }
    await reader.scalar('select 1', [], { types })
    // The look-up is answered, and what closes it is on its way.
    const waits = { to: 'server', type: 'C', when: 'before' } as const
    const closing = proxy.on(waits, ({ toServer }) => void (toServer.swallows = true))
    const read = reader.scalar("select 'ok'::mood", [], { types })
    await until(() => closing.link !== null, { what: 'the types are known' })
    await other.status('create table t ()')
    const { toServer } = closing.link!
    toServer.swallows = false
    toServer.write(Buffer.concat([message('C', 'Sit\0'), message('S', '')]))

    expect(await read).toBe('<ok>')
  },
)
