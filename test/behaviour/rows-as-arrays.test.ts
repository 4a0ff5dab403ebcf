/** `status()` with rows as lists of values: names may come twice, and the fields say what each value is of. */

import { type Connection, sql, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('rows are lists of values in their order, and the fields name them', async () => {
    const db = await driver.db()
    const table = await driver.table('a int, b text')
    const one = driver.words.placeholder(1)
    await db.status(`insert into ${table} values (1, 'one'), (2, null)`)
    const answer = await db.status(`select b, a, a + ${one} as a from ${table} order by 2`, [1], { rows: 'array' })

    expect(answer.rows).toEqual([
      ['one', 1, 2],
      [null, 2, 3],
    ])
    expect([answer.command, answer.rowCount, String(answer)]).toEqual(['SELECT', 2, 'SELECT 2'])
    expect(answer.fields.map(({ name }) => name)).toEqual(['b', 'a', 'a'])
    // MySQL has other types, and no numbers of tables and columns.
    if (driver.name !== 'mysql') {
      expect(answer.fields.map(({ type, column }) => [type, column])).toEqual([
        [25, 2],
        [23, 1],
        [23, 0],
      ])
      expect(answer.fields[0]?.table).toBe(answer.fields[1]?.table)
    }
  })

  test('so are those of built queries, writes, transactions, and of the same text asked for in both ways', async () => {
    const db = await driver.db()
    const table = await driver.table('a int')
    const text = `insert into ${table} values (7) returning a, a * 2 as twice`
    expect((await db.status(text, [], { rows: 'array' })).rows).toEqual([[7, 14]])
    expect((await db.status(text, [], { rows: 'object' })).rows).toEqual([{ a: 7, twice: 14 }])
    expect(await db.all(text)).toEqual([{ a: 7, twice: 14 }])
    await db.transaction(async (tx) => {
      expect((await tx.status(text, undefined, { rows: 'array' })).rows).toEqual([[7, 14]])
      expect((await db.status(sql`select ${1} + 0, ${2} + 0`, { rows: 'array' })).rows).toEqual([[1, 2]])
    })
  })

  test.runIf(driver.most > 1)(
    'the fields are those that the session which was asked has under these names',
    async () => {
      const [db, table] = [await driver.db(), await driver.table('a int')]
      await using one = await db.acquire()
      await using other = await db.acquire()
      const fields = async (handle: Connection): Promise<string[]> =>
        (await handle.status(`select * from ${table}`, [], { rows: 'array' })).fields.map(({ name }) => name)

      await one.status(`create temporary table ${table} (b int, c int)`)
      for (let turn = 0; turn < 3; turn++) {
        expect(await fields(one)).toEqual(['b', 'c'])
        expect(await fields(other)).toEqual(['a'])
      }
    },
  )

  test('what gives no rows has no fields', async () => {
    const db = await driver.db()
    const table = await driver.table('a int')
    expect(await db.status(`insert into ${table} values (1)`, [], { rows: 'array' })).toMatchObject({
      command: 'INSERT',
      rowCount: 1,
      rows: [],
      fields: [],
    })
  })

  test('it is an option of status() alone', async () => {
    const db = await driver.db()
    expect(await caught(db.all('select 1', [], { rows: 'array' } as object))).toBeInstanceOf(UsageError)
    expect(await caught(db.status('select 1', [], { rows: 'lists' as 'array' }))).toBeInstanceOf(UsageError)
  })
})
