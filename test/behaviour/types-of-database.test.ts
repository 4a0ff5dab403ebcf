/** The option `types`, for types that a database has: enums, domains, composite types, ranges and their arrays. */

import { createDb, type Db } from 'genever'
import { composite, multirange, range, text } from 'genever/types'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, query } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'
import { dbWithTypes } from '../support/own-types.ts'

forEachDriver((driver) => {
  let name: string
  beforeEach(async () => (name = await driver.table('id int, s text')))

  const withTypes = (sql = ''): Promise<Db> => dbWithTypes(driver, name, sql)

  describe('types of the database', () => {
    test('are text, and arrays of them too, while nobody says anything else', async () => {
      const db = await withTypes()

      expect(
        await db.one(
          `select 'ok'::${name}_mood as mood, '{ok}'::${name}_mood[] as moods, '{a}'::${name}_email[] as emails`,
        ),
      ).toEqual({ mood: 'ok', moods: '{ok}', emails: '{a}' })
    })

    test.each([
      ['by name', (of: string) => ({ [`${of}_mood`]: text })],
      ['by name and schema', (of: string) => ({ [`public.${of}_mood`]: text })],
      ['by kind', () => ({ anyenum: text })],
    ])('are found %s', async (_, types) => {
      await withTypes()
      const db = await driver.db({ types: types(name) })

      for (let run = 0; run < 3; run++)
        expect(
          await db.all(`select 'ok'::${name}_mood as mood, '{so so,NULL}'::${name}_mood[] as moods
            from generate_series(1, 2)`),
        ).toEqual(Array.from({ length: 2 }, () => ({ mood: 'ok', moods: ['so so', null] })))
    })

    test('are met in every kind of statement', async () => {
      await withTypes()
      const types = { anyenum: text }
      const read = `select '{ok}'::${name}_mood[] as moods from generate_series(1, 3)`
      const three = Array.from({ length: 3 }, () => ({ moods: ['ok'] }))
      const fresh = (): Promise<Db> => driver.single({ types })

      expect(await (await fresh()).all(read)).toEqual(three)
      expect(await (await fresh()).scalar(read)).toEqual(['ok'])
      expect((await (await fresh()).status(`select 1; ${read}`)).rows).toEqual(three)
      expect((await (await fresh()).status(read, [], { rows: 'array' })).rows).toEqual(
        three.map(({ moods }) => [moods]),
      )
      expect(await (await fresh()).transaction((tx) => tx.all(read))).toEqual(three)
      const db = await fresh()
      const cursor = db.iterate(read, [], { batchSize: 2 })
      expect(await cursor.read(9)).toEqual(three)
      await cursor.close()
      const other = await fresh()
      expect(await Promise.all([other.all(read), other.scalar('select 7'), other.all(read)])).toEqual([three, 7, three])
      const apart = await driver.single()
      await apart.all(read)
      expect(await apart.all(read, [], { types })).toEqual(three)
      expect(await apart.all(read)).toEqual(three.map(() => ({ moods: '{ok}' })))
    })

    test('composite types are objects, and are written as such', async () => {
      await withTypes()
      const db = await driver.db({ types: { record: composite, anyenum: text } })
      const value = { id: 1, moods: ['ok', 'so so'], at: new Date('2024-01-02T03:04:05.678Z') }

      expect(await db.scalar(`select $1::${name}_pair`, [value])).toEqual(value)
      expect(await db.scalar(`select $1::${name}_pair[]`, [[value, null]])).toEqual([value, null])
      expect(await db.scalar(`select $1::${name}_pair`, [{ id: 2 }])).toEqual({ id: 2, moods: null, at: null })
      await db.status(`insert into ${name} values (1, 'a "b", (c)\\'), (2, ''), (3, null)`)
      expect(await db.all(`select t from ${name} t order by id`)).toEqual([
        { t: { id: 1, s: 'a "b", (c)\\' } },
        { t: { id: 2, s: '' } },
        { t: { id: 3, s: null } },
      ])
      expect(await db.scalar("select row(1, 'a', null, '')")).toEqual(['1', 'a', null, ''])
    })

    test('a composite type that is changed is read as it is then', async () => {
      await withTypes()
      const db = await driver.single({ types: { record: composite } })
      const read = `select t from ${name} t`
      await db.status(`insert into ${name} values (1, 'a')`)
      expect(await db.scalar(read)).toEqual({ id: 1, s: 'a' })

      await db.status(`alter table ${name} add n int default 7, drop s`)
      expect(await db.scalar(read)).toEqual({ id: 1, n: 7 })
      await db.transaction(async (tx) => {
        await tx.status(`alter table ${name} add m int`)
        expect(await tx.scalar(read)).toEqual({ id: 1, n: 7, m: null })
        tx.raiseRollback()
      })
      expect(await db.scalar(read)).toEqual({ id: 1, n: 7 })
    })

    test('ranges of the user, and those of the server, are objects with ends of their type', async () => {
      await withTypes()
      const db = await driver.db({ types: { anyrange: range, anymultirange: multirange } })
      const floats = { lower: 0.5, upper: null, bounds: '[)', empty: false }

      expect(await db.scalar(`select $1::${name}_floats`, [{ lower: 0.5 }])).toEqual(floats)
      expect(await db.scalar(`select $1::${name}_floats[]`, [[{ lower: 0.5 }, { empty: true }]])).toEqual([
        floats,
        { lower: null, upper: null, bounds: '()', empty: true },
      ])
      const at = { lower: new Date('2024-01-01T00:00:00Z'), upper: null, bounds: '(]', empty: false }
      expect(await db.scalar('select $1::tstzrange', [at])).toEqual({ ...at, bounds: '()' })
      expect(
        await db.scalar('select $1::int4multirange', [
          [
            { lower: 1, upper: 3 },
            { lower: 7, upper: 9 },
          ],
        ]),
      ).toEqual([
        { lower: 1, upper: 3, bounds: '[)', empty: false },
        { lower: 7, upper: 9, bounds: '[)', empty: false },
      ])
      expect(await db.scalar("select '{}'::int4multirange")).toEqual([])
    })

    test('that cannot be looked up fail the statement that has them, and only that', async () => {
      await withTypes()
      const db = await driver.single({ types: { anyenum: text } })
      const both: PromiseSettledResult<unknown>[] = []
      await caught(
        db.transaction(async (tx) => {
          const read = tx.scalar(`select '{ok}'::${name}_mood[]`)
          both.push(...(await Promise.allSettled([read, tx.scalar('select 1 / 0')])))
          throw new Error('over')
        }),
      )

      const [read, failed] = both
      if (read?.status === 'rejected') expect(String(read.reason)).toContain('look-up failed')
      else expect(read?.value).toEqual(['ok'])
      expect(failed?.status).toBe('rejected')
      expect(await db.scalar(`select '{ok}'::${name}_mood[]`)).toEqual(['ok'])
    })
  })
})

test('a composite type that another program has changed is looked up again', async () => {
  await using database = await freshDatabase('create table t (id int); insert into t values (1)')
  const { url } = database
  const db = createDb(url, { types: { record: composite } })
  expect(await db.scalar('select t from t')).toEqual({ id: 1 })

  await query(url, 'alter table t add n int')
  expect((await caught(db.scalar('select t from t'))).message).toContain('another program has changed it')
  expect(await db.scalar('select t from t')).toEqual({ id: 1, n: null })
  await db.close()
})

test('what PostgreSQL makes along with a range type leaves nothing in a session', async () => {
  await using database = await freshDatabase('create type spans as range (subtype = float8)')
  using heard = hear('spans')
  const db = createDb(database.url, { name: 'spans' })
  await db.status('create table t (s spans)')
  await db.status("insert into t values (spans(1, 2)), ('[1,2)')")
  expect(await db.all('select s from t where s @> 1.5::float8')).toHaveLength(2)
  await db.close()
  expect(heard.notices).toEqual([])
})
