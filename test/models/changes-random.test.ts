/** Changes of a row at random, beside a memory: what an instance shows is what is stored. `RUNS=20000` runs that many. */

import { integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { json, Model } from 'genever/models'
import { test } from 'vitest'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { forEachDriver } from '../support/matrix.ts'
import { changes, run } from './support/changing.ts'

forEachDriver((driver) => {
  test('an instance, and what is read again, is what is stored, whatever was rolled back', async () => {
    const db = await driver.db()
    const name = await driver.table('id int primary key, name text, n int not null default 5, profile jsonb')
    const table = pgTable(name, {
      id: integer().primaryKey(),
      name: text(),
      n: integer().notNull().default(5),
      profile: jsonb(),
    })
    class Thing extends Model(db, table, {
      json: { profile: { nick: json.string(), rank: json.integer(), box: json.object(), list: json.array() } },
    }) {}
    const stored = (id: number): Promise<never> =>
      db.first(`select * from ${name} where id = $1`, [id]) as Promise<never>
    let id = 0

    await fc.assert(
      fc.asyncProperty(changes, ([first, steps]) =>
        run({ db, Thing: Thing as never, stored, nulls: 'stay' }, ++id, first, steps),
      ),
      { numRuns: sample({ once: 60, matrix: 300, soak: 20_000 }) },
    )
  })
})
