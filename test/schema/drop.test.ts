/** Dropping a schema: only what was made, never more than asked for. */

import { integer, pgTable } from 'drizzle-orm/pg-core'
import { createAll, drop, dropAll } from 'genever/schema'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { onEmpty } from './support.ts'
import * as schema from './tables.ts'
import { mood, names, orders, users, whole } from './tables.ts'

onEmpty((place) => {
  test('dropAll drops what createAll made, tables in a circle too, and leaves schemas', async () => {
    await createAll(place.db, schema)
    const { dropped, missing } = await dropAll(place.db, schema)

    expect(await place.there()).toEqual(['schema shop'])
    expect(dropped).toHaveLength(7)
    expect(missing).toEqual([])
    expect(await dropAll(place.db, schema)).toMatchObject({ dropped: [] })
  })

  test('schemas are dropped when asked for, those that hold something else stay', async () => {
    await createAll(place.db, schema)
    await place.db.status('create table shop.others (id int)')
    expect((await dropAll(place.db, schema, { schemas: true })).dropped).not.toContain('schema "shop"')
    expect(await place.there()).toEqual(['schema shop', 'table shop.others'])
    await place.db.status('drop table shop.others')
    expect(await dropAll(place.db, schema, { schemas: true })).toMatchObject({ dropped: ['schema "shop"'] })

    expect(await place.there()).toEqual([])
  })

  test('what somebody else made keeps what it depends on, and everything stays', async () => {
    await createAll(place.db, schema)
    await place.db.status('create view theirs as select name from users')

    expect(await caught(dropAll(place.db, schema))).toMatchObject({ sqlState: '2BP01' })
    expect(await place.there()).toEqual([...whole, 'view public.theirs'].toSorted())
    await dropAll(place.db, schema, { cascade: true })
    expect(await place.there()).toEqual(['schema shop'])
  })

  test('what is missing is passed over, or refused with checkFirst: false', async () => {
    await createAll(place.db, schema)
    await place.db.status('drop view names')
    const before = await place.there()

    expect(await caught(dropAll(place.db, schema, { checkFirst: false }))).toMatchObject({ sqlState: '42P01' })
    expect(await place.there()).toEqual(before)
    expect(await dropAll(place.db, schema)).toMatchObject({ missing: ['view "names"'] })
  })

  test('drop takes one thing away and not the enum it uses', async () => {
    const alone = pgTable('alone', { id: integer().primaryKey(), mood: mood() })
    await createAll(place.db, [alone])
    expect(await drop(place.db, alone)).toEqual({ dropped: ['table "alone"'], missing: [] })
    expect(await place.there()).toEqual(['enum public.mood'])
    await drop(place.db, mood)
    expect(await drop(place.db, mood)).toEqual({ dropped: [], missing: ['enum "mood"'] })
    expect(await place.there()).toEqual([])
  })

  test('drop refuses a table that others refer to, unless told to cascade', async () => {
    await createAll(place.db, schema)
    await drop(place.db, names)
    expect(await caught(drop(place.db, users))).toMatchObject({ sqlState: '2BP01' })
    await drop(place.db, users, { cascade: true })

    expect(await place.there()).toContain('table shop.orders')
    expect(await place.there()).not.toContain('table public.users')
    expect(await caught(drop(place.db, [orders]))).toMatchObject({ code: 'GENEVER_USAGE' })
  })
})
