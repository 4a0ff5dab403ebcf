/** Keys of unusual types, and texts that are no keys at all. */

import { bigserial, integer, jsonb, pgTable, serial, smallint, text, timestamp } from 'drizzle-orm/pg-core'
import { Model } from 'genever/models'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

/** None of them is a whole number in decimal digits, though it begins as one, or some servers read it as one. */
const strange = ['1a', '0x', '0x1', '1_0', '1_', '1e3', '0b1', '1.0', '--1', '١']

forEachDriver((driver) => {
  test('no row has a text as a key that is no whole number in decimal digits, in a transaction either', async () => {
    const db = await driver.db()
    const kinds = {
      small: smallint().primaryKey(),
      whole: serial().primaryKey(),
      big: bigserial({ mode: 'number' }).primaryKey(),
    }
    for (const id of Object.values(kinds)) {
      class Thing extends Model(db, pgTable(await driver.table('id bigint primary key'), { id })) {}
      await Thing.createMany([{ id: 1 }, { id: 10 }])

      await db.transaction(async () => {
        for (const key of strange) expect([key, await Thing.get(key as never)]).toEqual([key, undefined])
        expect(await Thing.get(' +10 ' as never)).toMatchObject({ id: 10 })
      })
      expect(await caught(Thing.getOr404('1a' as never))).toMatchObject({ name: 'NotFoundError' })
    }
  })

  describe('a key that is a list or an object', () => {
    test('finds its row', async () => {
      const db = await driver.db()
      const lists = pgTable(await driver.table('key text[] primary key, n int'), {
        key: text().array().primaryKey(),
        n: integer(),
      })
      const objects = pgTable(await driver.table('key jsonb primary key, n int'), {
        key: jsonb().$type<{ a: number }>().primaryKey(),
        n: integer(),
      })
      class Listed extends Model(db, lists) {}
      class Boxed extends Model(db, objects) {}
      await Listed.create({ key: ['a', 'b'], n: 1 })
      await Boxed.create({ key: { a: 1 }, n: 2 })

      expect(await Listed.get(['a', 'b'])).toMatchObject({ n: 1 })
      expect(await Listed.get(['b', 'a'])).toBe(undefined)
      expect(await Boxed.get({ a: 1 })).toMatchObject({ n: 2 })
      expect(await caught(Listed.get({ a: 1 } as never))).toMatchObject({ name: 'UsageError' })
    })

    test('is that of the row, whatever is done to the field', async () => {
      const db = await driver.db()
      const table = pgTable(await driver.table('key jsonb primary key, n int'), {
        key: jsonb().$type<{ path: (string | { to: number })[] }>().primaryKey(),
        n: integer(),
      })
      const listed = pgTable(await driver.table('a timestamptz[] not null unique, n int'), {
        a: timestamp({ withTimezone: true }).array().notNull().unique(),
        n: integer(),
      })
      class Boxed extends Model(db, table) {}
      class Listed extends Model(db, listed, { pk: 'a' }) {}

      const box = await Boxed.create({ key: { path: ['a', { to: 1 }] }, n: 1 })
      const list = await Listed.create({ a: [new Date(0)], n: 1 })
      Object.assign(box.key.path[1] as object, { to: 2 })
      list.a[0]?.setFullYear(2000)
      await box.update({ n: 2 })
      await list.update({ n: 2 })

      expect(await Boxed.get({ path: ['a', { to: 1 }] })).toMatchObject({ n: 2 })
      expect(await Listed.get([new Date(0)])).toMatchObject({ n: 2 })
    })
  })
})
