/** Streams of Kysely are cursors of Genever, closed by their end, by leaving the loop and by a signal. */

import { UsageError } from 'genever'
import { geneverDialect } from 'genever/kysely'
import { Kysely } from 'kysely'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { hear } from '../support/events.ts'
import { doing, forEachDriver } from '../support/matrix.ts'
import { people, type People, type Tables } from './support.ts'

async function crowd(people_: People, count: number): Promise<void> {
  await people_.db.all(`insert into ${people_.person} (name) select 'p' || i from generate_series(1, ${count}) i`)
}

/** Cursors on the connection of the code that asks. */
const cursors = ({ db }: People): Promise<unknown> =>
  db.scalar("select count(*) from pg_cursors where name like 'genever%'")

forEachDriver((driver) => {
  test('rows come in pages of the size that was asked for, all of them', async () => {
    const all = await people(driver, { name: 'pages' })
    await crowd(all, 25)
    using heard = hear('pages')

    const seen: number[] = []
    for await (const { id } of all.k.selectFrom(all.person).select('id').orderBy('id').stream(10)) seen.push(id)

    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => index + 1))
    // Pages behind the last may have been asked for ahead.
    expect(
      heard.statements
        .filter(({ sql: text }) => /^(?:select .* from|FETCH)/.test(text))
        .map(({ rowCount }) => rowCount)
        .filter((count) => count !== 0),
    ).toEqual([10, 10, 5])
    expect(doing(all.db)).toMatch(/^0 lent/)
  })

  test('leaving the loop closes the cursor, with either Kysely', async () => {
    const all = await people(driver)
    await crowd(all, 25)

    for (const k of [all.k, new Kysely<Tables>({ dialect: geneverDialect(all.db) })]) {
      for await (const { id } of k.selectFrom(all.person).select('id').orderBy('id').stream(3)) if (id === 4) break
      expect(await cursors(all)).toBe(0)
      expect(doing(all.db)).toMatch(/^0 lent/)
    }
  })

  test('leaving the loop in a transaction closes the cursor, and the transaction goes on', async () => {
    const all = await people(driver)
    await crowd(all, 25)

    await all.k.transaction().execute(async (trx) => {
      for await (const { id } of trx.selectFrom(all.person).select('id').orderBy('id').stream(3)) {
        expect(await cursors(all)).toBe(1)
        if (id === 4) break
      }
      expect(await cursors(all)).toBe(0)
      await trx.insertInto(all.person).values({ name: 'after' }).execute()
    })

    expect(await all.db.scalar(`select count(*) from ${all.person}`)).toBe(26)
  })

  test('an error in the loop closes it too and comes out', async () => {
    const all = await people(driver)
    await crowd(all, 5)

    const error = await caught(
      (async () => {
        for await (const row of all.k.selectFrom(all.person).selectAll().stream(2)) throw new TypeError(row.name)
      })(),
    )

    expect(error.message).toBe('p1')
    expect(doing(all.db)).toMatch(/^0 lent/)
  })

  test('in a transaction the loop may run other statements, of trx too', async () => {
    const all = await people(driver)
    await crowd(all, 5)

    await all.k.transaction().execute(async (trx) => {
      for await (const { id } of trx.selectFrom(all.person).select('id').orderBy('id').stream(2))
        await trx.updateTable(all.person).set({ age: id }).where('id', '=', id).execute()
    })

    expect(await all.db.scalar(`select sum(age) from ${all.person}`)).toBe(15)
  })

  test('a refused stream says so on its first row', async () => {
    const { k } = await people(driver)

    const error = await caught(
      (async () => {
        for await (const row of k.insertInto('person').values({ name: 'Ann' }).returningAll().stream(2)) void row
      })(),
    )

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('iterate() streams one SELECT')
  })

  test('an early end by hand closes the cursor', async () => {
    const all = await people(driver)
    await crowd(all, 5)

    const rows = all.k.selectFrom(all.person).select('name').orderBy('id').stream(2)
    expect(await rows.next()).toEqual({ done: false, value: { name: 'p1' } })
    await rows.return?.()

    expect(doing(all.db)).toMatch(/^0 lent/)
    expect(await cursors(all)).toBe(0)
  })
})
