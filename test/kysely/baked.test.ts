/** Kysely's builders, baked: compiled once, with the placeholders of a function where values go. */

import { ParameterError } from 'genever'
import { kysely, toQuery } from 'genever/kysely'
import { CamelCasePlugin, sql } from 'kysely'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('values of a function become placeholders, everywhere Kysely takes a value', async () => {
    const db = await driver.db()
    const people = await driver.table('id int primary key, full_name text, tags text[]')
    const k = kysely<Record<string, { id: number; fullName: string | null; tags: string[] }>>(db, {
      plugins: [new CamelCasePlugin()],
    })
    const add = db.bake((p: { id: number; name: string | null; tags: string[] }) =>
      k.insertInto(people).values({ id: p.id, fullName: p.name, tags: p.tags }).returningAll(),
    )
    const find = db.bake((p: { id: number; ids: number }) =>
      k.selectFrom(people).selectAll().where('id', 'in', [p.id, p.ids]).orderBy('id').limit(10),
    )
    const raw = db.bake((p: { n: number }) => toQuery(sql<{ n: number }>`select ${p.n}::int + ${1}::int as n`))

    expect(await add.one({ id: 1, name: 'Ada', tags: ['x', 'y'] })).toEqual({
      id: 1,
      fullName: 'Ada',
      tags: ['x', 'y'],
    })
    expect(String(await add.executeMany([{ id: 2, name: null, tags: [] }]))).toBe('INSERT 0 1')
    expect(await find.all({ id: 2, ids: 1 })).toEqual([
      { id: 1, fullName: 'Ada', tags: ['x', 'y'] },
      { id: 2, fullName: null, tags: [] },
    ])
    expect(await db.transaction((tx) => tx.all(find.bind({ id: 7, ids: 1 })))).toHaveLength(1)
    expect(await raw.scalar({ n: 1 })).toBe(2)
    expect(await caught(find.all({ id: 2 } as never))).toBeInstanceOf(ParameterError)
  })
})
