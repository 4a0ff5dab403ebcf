/** The table of conversions: the same on every driver, whatever its package would do, in both directions. */

import { createDb, type Db, ParameterError, UnsafeIntegerError } from 'genever'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

const utc = (text: string): Date => new Date(`${text}Z`)

/** Type, SQL literal, value. What is read is written back as a parameter, unless the last column says otherwise. */
const given: readonly (readonly [type: string, literal: string, value: unknown, parameter?: unknown])[] = [
  ['bool', 'true', true],
  ['bool', 'false', false],
  ['int2', '-32768', -32768],
  ['int4', '2147483647', 2147483647],
  ['int8', '9007199254740991', 9007199254740991],
  ['int8', '-9007199254740991', -9007199254740991],
  ['oid', '4294967295', 4294967295],
  ['float4', '1.5', 1.5],
  ['float8', '0.1', 0.1],
  ['float8', '1e300', 1e300],
  ['float8', "'NaN'", NaN],
  ['float8', "'-Infinity'", -Infinity],
  ['numeric', '12345678901234567890.1230', '12345678901234567890.1230'],
  ['numeric', "'NaN'", 'NaN'],
  ['money', '1.5', '$1.50'],
  ['text', `'it''s "quoted" \\ ünï😀'`, `it's "quoted" \\ ünï😀`],
  ['text', "''", ''],
  ['varchar(3)', "'abc'", 'abc'],
  ['char(3)', "'a'", 'a  '],
  ['uuid', "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['date', "'2024-02-29'", '2024-02-29'],
  ['date', "'infinity'", 'infinity'],
  ['date', "'0044-03-15 BC'", '0044-03-15 BC'],
  ['timestamp', "'2024-02-29 23:59:59.123'", utc('2024-02-29T23:59:59.123')],
  ['timestamptz', "'2024-02-29 23:59:59.123+05:30'", utc('2024-02-29T18:29:59.123')],
  ['timestamptz', "'1883-11-18 12:00:00+00'", utc('1883-11-18T12:00:00')],
  ['timestamptz', "'10000-01-01 00:00:00+00'", utc('+010000-01-01T00:00:00')],
  ['timestamptz', "'0044-03-15 00:00:00+00 BC'", utc('-000043-03-15T00:00:00')],
  ['timestamptz', "'infinity'", Infinity],
  ['timestamp', "'-infinity'", -Infinity],
  ['time', "'23:59:59.5'", '23:59:59.5'],
  ['interval', "'1 day 02:00'", '1 day 02:00:00'],
  ['json', `'{"a": [1, null, "x"]}'`, { a: [1, null, 'x'] }],
  ['jsonb', `'{"a": {"b": true}}'`, { a: { b: true } }],
  ['jsonb', `'[1, {"a": 2}]'`, [1, { a: 2 }]],
  ['jsonb', `'[]'`, []],
  ['jsonb', `'"text"'`, 'text', '"text"'],
  ['jsonb', `'17'`, 17],
  ['jsonb', `'null'`, null, 'null'],
  ['bytea', "'\\x00ff10'", Buffer.from([0, 255, 16])],
  ['bytea', "''", Buffer.alloc(0)],
  ['inet', "'192.168.0.1/24'", '192.168.0.1/24'],
  ['point', "'(1,2)'", '(1,2)'],
  ['int4range', "'[1,5)'", '[1,5)'],
  ['bit(3)', "'101'", '101'],
  ['int4[]', "'{1,NULL,3}'", [1, null, 3]],
  ['int4[]', "'{}'", []],
  [
    'int4[]',
    "'{{1,2},{3,4}}'",
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ['int8[]', "'{1,9007199254740991}'", [1, 9007199254740991]],
  ['bool[]', "'{t,f}'", [true, false]],
  ['numeric[]', "'{1.10}'", ['1.10']],
  ['text[]', `'{a,"b,c","d\\"e","NULL",NULL,""," f ","\\\\"}'`, ['a', 'b,c', 'd"e', 'NULL', null, '', ' f ', '\\']],
  ['timestamptz[]', `'{"2024-01-01 00:00:00+00"}'`, [utc('2024-01-01T00:00:00')]],
  ['date[]', "'{2024-01-01}'", ['2024-01-01']],
  ['bytea[]', `'{"\\\\x0102"}'`, [Buffer.from([1, 2])]],
  ['jsonb[]', `array['{"a": [1]}'::jsonb, '[2]']`, [{ a: [1] }, [2]]],
  ['uuid[]', "'{}'", []],
]

const table = given.map(([type, literal, value, parameter = value]) => [type, literal, value, parameter] as const)

/** Parameters that come back as something else. */
const written: readonly (readonly [type: string, parameter: unknown, value: unknown])[] = [
  ['int8', 42n, 42],
  ['numeric', 12.5, '12.5'],
  ['numeric', 123456789012345678901234567890n, '123456789012345678901234567890'],
  ['text', 7, '7'],
  ['text', true, 'true'],
  ['text', { a: 1 }, '{"a":1}'],
  ['date', utc('2024-02-29T12:00:00'), '2024-02-29'],
  ['jsonb', utc('2024-02-29T12:00:00'), '2024-02-29T12:00:00.000Z'],
  ['jsonb', [[1], [2]], [[1], [2]]],
  ['jsonb', true, true],
  ['json', Object.create(null), {}],
  ['bytea', new Uint8Array([1, 2]), Buffer.from([1, 2])],
  ['bytea', new Uint8Array([9, 1, 2, 9]).subarray(1, 3), Buffer.from([1, 2])],
  ['bytea', new Uint16Array([258]), Buffer.from([2, 1])],
  ['int8[]', [1n, 2n], [1, 2]],
  ['numeric', { toJSON: () => '1.25' }, '1.25'],
  ['jsonb', { toJSON: () => ({ a: 1 }) }, { a: 1 }],
]

forEachDriver((driver) => {
  let db: Db
  beforeAll(async () => {
    db = createDb(await driver.url(), { settings: { timezone: 'America/New_York' }, pool: { idleTimeoutMs: Infinity } })
  })
  afterAll(() => db.close())

  test.each(table)('%s %s is read', async (type, literal, value) => {
    expect(await db.scalar(`select (${literal})::${type}`)).toEqual(value)
    expect(await db.all(`select (${literal})::${type} as v, null::${type} as n`)).toEqual([{ v: value, n: null }])
  })

  test.each(table)('%s %s is written and read again', async (type, _, value, parameter) => {
    expect(await db.scalar(`select $1::${type}`, [parameter])).toEqual(value)
    expect(await db.scalar(`select :value::${type}`, { value: parameter })).toEqual(value)
    expect(await db.scalar(`select $1::${type}`, [null])).toBeNull()
  })

  test.each(written)('%s takes %o', async (type: string, parameter: unknown, value: unknown) => {
    expect(await db.scalar(`select $1::${type}`, [parameter])).toEqual(value)
  })

  test('types of the user are text', async () => {
    const name = await driver.table('n int, s text')
    await db.status(`create type ${name}_mood as enum ('sad', 'happy')`)
    await db.status(`create domain ${name}_count as int check (value >= 0)`)

    expect(
      await db.one(`select 'happy'::${name}_mood as mood, 3::${name}_count as count, row(1, 'a b')::${name} as row`),
    ).toEqual({
      mood: 'happy',
      count: 3,
      row: '(1,"a b")',
    })
    expect(await db.scalar(`select $1::${name}_mood = 'sad'`, ['sad'])).toBe(true)
  })

  test('a statement keeps its conversions on every run', async () => {
    for (let run = 0; run < 4; run++)
      expect(
        await db.one('select $1::jsonb as j, $2::int[] as a, $3::timestamptz as t', [
          [run],
          [run],
          utc('2024-01-01T00:00:00'),
        ]),
      ).toEqual({
        j: [run],
        a: [run],
        t: utc('2024-01-01T00:00:00'),
      })
  })

  test('a timestamp that no Date can hold, or in another style than ISO, is refused with the advice', async () => {
    const advice = 'set DateStyle to ISO, or select the timestamp as text'
    for (const type of ['timestamp', 'timestamptz'])
      for (let run = 0; run < 3; run++)
        for (const value of [`'294276-01-01'::${type}`, `array['294276-01-01']::${type}[]`])
          expect((await caught(db.scalar(`select ${value}`))).message).toContain(advice)
    await db.scope(async () => {
      await db.status("set datestyle = 'German'")
      const error = await caught(db.scalar("select '2024-01-31 10:00'::timestamptz"))
      expect(error.message).toContain(advice)
      expect(await db.scalar("select '2024-01-31 10:00'::timestamptz::text")).toMatch(/^31\.01\.2024/)
    })
  })

  describe('8-byte integers', () => {
    test.each(['9007199254740992', '-9007199254740993', '9223372036854775807'])(
      '%s is refused as a number',
      async (text) => {
        const error = await caught(db.scalar('select $1::int8', [text]))

        expect(error).toBeInstanceOf(UnsafeIntegerError)
        expect(error.message).toContain("'bigint'")
        expect(error.message + JSON.stringify(error)).not.toContain(text)
        expect(await caught(db.all(`select array[${text}::int8]`))).toBeInstanceOf(UnsafeIntegerError)
      },
    )

    test('in the answer of an autocommitted write the error says that it is committed', async () => {
      const t = await driver.table('n int8')

      const error = await caught(db.all(`insert into ${t} values (9007199254740993) returning n`))

      expect(error).toMatchObject({ code: 'GENEVER_UNSAFE_INTEGER', outcome: 'committed' })
      expect(await db.scalar(`select count(*) from ${t}`)).toBe(1)
      expect((await caught(db.all(`select n from ${t}`))).outcome).toBe('rolled_back')
    })

    test.each([
      ['bigint', 9223372036854775807n, 1n],
      ['string', '9223372036854775807', '1'],
    ] as const)('with int8: %s they are that, in arrays and counts too', async (int8, largest, one) => {
      const other = await driver.db({ int8 })

      expect(
        await other.one('select 9223372036854775807 as n, array[1::int8] as a, count(*) as c, 1::int4 as i'),
      ).toEqual({
        n: largest,
        a: [one],
        c: one,
        i: 1,
      })
      expect(await other.scalar('select $1::int8', [largest])).toBe(largest)
    })
  })

  test.each([
    ['an invalid date', [new Date(NaN)]],
    ['a Map', [new Map([[1, 2]])]],
    ['a circular object', [circular()]],
    ['an object with a bigint', [{ n: 1n }]],
    ['text with NUL', ['a\0b']],
    ['half a surrogate pair', ['\uD83D']],
    ['an array with undefined', [[1, undefined]]],
    ['a function', [() => 1]],
    ['a symbol', [Symbol('s')]],
    ['a promise', [Promise.resolve(1)]],
  ])('%s is refused by its position and nothing is sent', async (_, params: unknown[]) => {
    const error = await caught(db.scalar('select $1', params))

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toContain('$1')
    expect(error.outcome).toBe('not_started')
    expect(await db.scalar('select 1')).toBe(1)
  })
})

function circular(): object {
  const object: Record<string, unknown> = {}
  object['self'] = object
  return object
}
