/** Integers inside of JSON: exact, or refused where only a number is asked for. */

import { type Db, UnsafeIntegerError } from 'genever'
import { Model } from 'genever/models'
import { integer, jsonb, pgTable } from 'drizzle-orm/pg-core'
import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { jsonReader } from '../../src/postgres/type-table.ts'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

const beyond = '9007199254740993'

forEachDriver((driver) => {
  const big = (db: Db, text: string): Promise<unknown> => db.scalar(`select ${text}`)

  test.each([
    `json_build_object('id', ${beyond}::int8)`,
    `json_agg(x) from (select -${beyond}::int8 as id) x`,
    `'{"a":[{"b":"\\" ${beyond}","c":${beyond}0}]}'::jsonb`,
    `array['[${beyond}]'::jsonb]`,
  ])('%s is refused as a number', async (text) => {
    const db = await driver.single()
    expect(await caught(big(db, text))).toBeInstanceOf(UnsafeIntegerError)
    expect(await db.scalar('select 1')).toBe(1)
  })

  test("with int8: 'bigint' or 'string' it is exact, and what a number holds is a number", async () => {
    const text = `'{"a":[${beyond},-${beyond},1,9007199254740991,1.5,1e3,"${beyond}"]}'::jsonb`
    const bigint = await driver.single({ int8: 'bigint' })
    expect(await big(bigint, text)).toEqual({
      a: [9007199254740993n, -9007199254740993n, 1, 9007199254740991, 1.5, 1000, beyond],
    })
    const string = await driver.single({ int8: 'string' })
    expect(await big(string, text)).toEqual({ a: [beyond, `-${beyond}`, 1, 9007199254740991, 1.5, 1000, beyond] })
    expect(await big(bigint, `array['${beyond}'::json, '1'::json]`)).toEqual([9007199254740993n, 1])
  })

  test('what was stored as a number is read as that number', async () => {
    const db = await driver.single()
    for (const value of [2 ** 60, -(2 ** 70), 1e21, 1e300, 123456789012345680000, Number.MAX_SAFE_INTEGER])
      expect(await db.scalar('select $1::jsonb', [[value]])).toEqual([value])
  })

  test('JSON columns of models have them as the engine has', async () => {
    const name = await driver.table('id int primary key, doc jsonb, list jsonb[]')
    const table = pgTable(name, { id: integer().primaryKey(), doc: jsonb(), list: jsonb().array() })
    const db = await driver.single()
    await db.status(`insert into ${name} values (1, '{"id":${beyond}}', array['${beyond}'::jsonb])`)
    class Row extends Model(db, table) {}
    expect(await caught(Row.get(1))).toBeInstanceOf(UnsafeIntegerError)
    if (driver.name === 'pglite') return
    const exact = await driver.single({ int8: 'bigint' })
    class Exact extends Model(exact, table) {}
    expect(await Exact.get(1)).toMatchObject({ doc: { id: 9007199254740993n }, list: [9007199254740993n] })
  })
})

const document = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.constantFrom('\\', '"', '\\"', '1234567890123456789', '\\\\"12345678901234567'),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
})).value

/** JSON with each bigint as its digits. */
function written(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(written).join(' , ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}: ${written(member)}`)
    .join(',')}}`
}

/** As it is to be read: integers beyond a number are bigint, whoever wrote them. */
function meant(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value === 'number') {
    const text = JSON.stringify(value)
    return /^-?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text) : JSON.parse(text)
  }
  if (Array.isArray(value)) return value.map(meant)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, meant(member)]))
}

test('any document with integers of any length is read exactly', () => {
  const read = jsonReader('bigint')
  fc.assert(
    fc.property(document, (value) => {
      expect(read(written(value))).toEqual(meant(value))
    }),
    { numRuns: 500 },
  )
})
