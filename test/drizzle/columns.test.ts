/** Values of every kind of column, written and read: as the same Drizzle has them on a pool of its own. */

import { eq, sql } from 'drizzle-orm'
import { beforeEach, expect, test } from 'vitest'
import { empty, full, type Kind, kinds, kindsDdl, odd } from './kinds.ts'
import { onBoth, same } from './support.ts'

onBoth(kindsDdl, (bench) => {
  beforeEach(() => bench.both('truncate kinds restart identity'))

  test.each(Object.keys(full))('%s is written and read as on a pool of its own', async (name) => {
    const column = name as keyof Kind
    for (const values of [full, odd]) {
      const value = { [column]: values[column] ?? null } as Kind
      const [mine] = await bench.ours.insert(kinds).values(value).returning()
      const [other] = await bench.theirs.insert(kinds).values(value).returning()

      expect(mine).toEqual(other)
      if (column !== 'atZoneText' && column !== 'atText')
        expect(mine?.[column]?.constructor).toBe(other?.[column]?.constructor)
      const key = eq(kinds.id, mine!.id)
      expect(await bench.ours.select({ value: kinds[column] }).from(kinds).where(key)).toEqual(
        await bench.theirs.select({ value: kinds[column] }).from(kinds).where(key),
      )
    }
  })

  test('rows of all kinds are the same rows', async () => {
    for (const values of [full, odd, empty]) {
      await bench.ours.insert(kinds).values(values)
      await bench.theirs.insert(kinds).values(values)
    }
    const rows = await same(bench, (q) => q.select().from(kinds).orderBy(kinds.id))

    expect(rows).toHaveLength(3)
    expect(rows[0]).toMatchObject({ big: full.big, shout: 'LOUD', at: full.at, blob: full.blob })
  })

  test('db.all decodes a builder as Drizzle does', async () => {
    await bench.ours.insert(kinds).values([full, odd, empty].map((row) => ({ ...empty, ...row })))
    const query = () => bench.ours.select().from(kinds).orderBy(kinds.id)

    expect(await bench.db.all(query())).toEqual(await query())
    expect(await bench.db.all(query())).toMatchObject([
      { big: full.big, shout: 'LOUD', at: full.at },
      {},
      { name: null },
    ])
  })

  test('text gives what node-postgres gives to Drizzle: dates, 8-byte integers and exact numbers stay text', async () => {
    for (const q of [bench.ours, bench.theirs]) await q.insert(kinds).values(full)
    const query = sql`select big, exact, day, at, at_zone, span, data, spot, words, ints, bigs, exacts, moments, flags, blob from kinds`
    const mine = (await bench.ours.execute(query)).rows
    const other = (await bench.theirs.execute(query)).rows

    expect(mine).toEqual(other)
    expect(mine[0]).toMatchObject({ big: '9223372036854775807', at: '2026-03-29 01:30:00.123', exacts: '{1.10,2.20}' })
  })

  test('the answer to text is that of node-postgres: command, rowCount, fields', async () => {
    const { command, rowCount, fields } = await bench.ours.execute(sql`select 1::int as one, 'x'::text as two`)
    const theirs = await bench.theirs.execute(sql`select 1::int as one, 'x'::text as two`)

    expect({ command, rowCount }).toEqual({ command: theirs.command, rowCount: theirs.rowCount })
    expect(fields.map(({ name, dataTypeID }) => ({ name, dataTypeID }))).toEqual(
      theirs.fields.map(({ name, dataTypeID }) => ({ name, dataTypeID })),
    )
    for (const text of ['create table passing (id int)', 'drop table passing', 'update kinds set int = 1']) {
      const [mine, other] = [
        await bench.ours.execute(text),
        bench.driver !== 'pglite' ? null : await bench.theirs.execute(text),
      ]
      if (other !== null) expect([mine.command, mine.rowCount]).toEqual([other.command, other.rowCount])
    }
  })

  test('undefined among parameters is NULL, as with node-postgres', async () => {
    await bench.both("insert into kinds (name) values ('one')")
    const nothing = sql`${sql.placeholder('nothing')}::text is null`
    const rows = await same(bench, (q) =>
      q.select({ name: kinds.name }).from(kinds).where(nothing).prepare('nothing').execute({ nothing: undefined }),
    )

    expect(rows).toEqual([{ name: 'one' }])
  })
})
