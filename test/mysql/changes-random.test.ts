/** Changes of a row at random on MySQL, beside a memory: what an instance shows is what is stored. */

import { int, json as jsonColumn, mysqlTable, varchar } from 'drizzle-orm/mysql-core'
import { createDb } from 'genever'
import { json, Model } from 'genever/models'
import { expect, test } from 'vitest'
import { changes, run } from '../models/support/changing.ts'
import { sample } from '../support/extent.ts'
import { fc } from '../support/fast-check.ts'
import { describeMysql, freshMysql } from '../support/mysql.ts'

describeMysql('changes of a row', () => {
  test('an instance, and what is read again, is what is stored, whatever was rolled back', async () => {
    await using server = await freshMysql(
      'create table things (id int primary key, name varchar(40), n int not null default 5, profile json)',
    )
    await using db = createDb(server.url)
    const table = mysqlTable('things', {
      id: int().primaryKey(),
      name: varchar({ length: 40 }),
      n: int().notNull().default(5),
      profile: jsonColumn(),
    })
    class Thing extends Model(db, table, {
      json: { profile: { nick: json.string(), rank: json.integer(), box: json.object(), list: json.array() } },
    }) {}
    const stored = async (id: number): Promise<never> => {
      const [row] = await server.query(
        `select id, name, n, cast(profile as char) as profile from things where id = ${id}`,
      )
      expect(row).toBeDefined()
      return { ...row, profile: JSON.parse(String(row?.['profile'])) as unknown } as never
    }
    let id = 0

    await fc.assert(
      fc.asyncProperty(changes, ([first, steps]) =>
        run({ db, Thing: Thing as never, stored, nulls: 'go' }, ++id, first, steps),
      ),
      { numRuns: sample({ once: 60, matrix: 300, soak: 20_000 }) },
    )
  })
})
