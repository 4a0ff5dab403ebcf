/** Hooks of updates of many rows: when they run, and for which call. */

import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import { UsageError } from 'genever'
import { Model } from 'genever/models'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

forEachDriver((driver) => {
  test('beforeUpdate of many rows runs for each call, for what is changed, once it is known which rows are meant', async () => {
    const db = await driver.db()
    const table = pgTable(await driver.table('id serial primary key, name text'), {
      id: serial().primaryKey(),
      name: text(),
    })
    const gates: (() => void)[] = []
    class Thing extends Model(db, table, {
      beforeUpdate: async () => {
        const call = gates.length
        await new Promise<void>((resolve) => gates.push(resolve))
        return { name: `call ${call}` }
      },
    }) {}
    const [one] = await Thing.createMany([{ name: 'a' }])

    const change = Thing.update({ name: 'b' }).where({ id: 1 }).returning()
    const first = change.apply()
    const second = change.apply()
    await until(() => gates.length === 2, { what: 'both hooks run' })
    for (const open of gates) open()
    const names = (await Promise.all([first, second])).map(([thing]) => thing?.name)

    expect(names).toEqual(['call 0', 'call 1'])
    expect(await Thing.update({}).everyRow()).toBe(0)
    expect(await Thing.update({ name: undefined }).everyRow().returning()).toEqual([])
    expect(await caught(Thing.update({ name: 'c' }).apply())).toBeInstanceOf(UsageError)
    await one?.update({})
    expect(gates).toHaveLength(2)
  })
})
