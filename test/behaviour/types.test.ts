/** The option `types`: what values of types become. */

import { createDb, createEngine, InvalidOptionError, UsageError } from 'genever'
import { FakeDriver } from 'genever/testing'
import { interval, structured } from 'genever/types'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  describe('a conversion', () => {
    test.each([
      ['numeric', 'numeric'],
      ['decimal', 'numeric'],
      ['NUMERIC', 'numeric'],
      ['pg_catalog.numeric', 'numeric'],
      ['1700', 'numeric'],
      ['integer', 'int4'],
      ['timestamp with time zone', 'timestamptz'],
      ['double precision', 'float8'],
    ])('is found by %s', async (key, type) => {
      const db = await driver.db({ types: { [key]: (value) => `<${value.length}>` } })
      const literal = type === 'timestamptz' ? "'2024-01-01 00:00:00+00'" : '1'

      for (let run = 0; run < 3; run++)
        expect(
          await db.one(`select ${literal}::${type} as v, array[${literal}::${type}, null] as l, null::${type} as n`),
        ).toEqual({ v: expect.stringMatching(/^<\d+>$/), l: [expect.stringMatching(/^<\d+>$/), null], n: null })
    })

    test('holds for arrays of any dimension and with any bounds', async () => {
      const db = await driver.db({ types: { numeric: Number } })

      expect(await db.scalar("select '[0:1][2:3]={{1.5,NULL},{3,4}}'::numeric[]")).toEqual([
        [1.5, null],
        [3, 4],
      ])
      expect(await db.scalar("select '[-3:-2]={7,8}'::int4[]")).toEqual([7, 8])
    })

    test('of an array alone gets its text', async () => {
      const db = await driver.db({ types: { 'int4[]': (value) => value, int4: (value) => `n${value}` } })

      expect(await db.one("select 1 as n, '{1,2}'::int4[] as l, '{3}'::int8[] as o")).toEqual({
        n: 'n1',
        l: '{1,2}',
        o: [3],
      })
    })

    test('of a statement goes before the one of the engine, which holds for all other types', async () => {
      const db = await driver.db({ types: { numeric: Number, bool: (value) => value.toUpperCase() } })
      const read = 'select 1.50 as n, true as b'

      expect(await db.one(read, [], { types: { numeric: (value) => BigInt(value.replace('.', '')) } })).toEqual({
        n: 150n,
        b: 'T',
      })
      expect(await db.one(read)).toEqual({ n: 1.5, b: 'T' })
      expect(await (await driver.db()).one(read, [], { types: { numeric: Number } })).toEqual({ n: 1.5, b: true })
      expect(await (await driver.db()).one(read)).toEqual({ n: '1.50', b: true })
    })

    test('holds at every door', async () => {
      const db = await driver.db({ types: { numeric: Number } })
      const read = 'select 1.50 as n'

      expect(await db.all(read)).toEqual([{ n: 1.5 }])
      expect(await db.first(read)).toEqual({ n: 1.5 })
      expect(await db.scalar(read)).toBe(1.5)
      expect((await db.status(read)).rows).toEqual([{ n: 1.5 }])
      expect((await db.status(read, [], { rows: 'array' })).rows).toEqual([[1.5]])
      expect((await db.status(`select 1; ${read}`)).rows).toEqual([{ n: 1.5 }])
      expect(await db.sql`select 1.50 as n`.one()).toEqual({ n: 1.5 })
      expect(await db.bake(read).all()).toEqual([{ n: 1.5 }])
      expect(await db.transaction((tx) => tx.scalar(read))).toBe(1.5)
      expect(await db.scope(() => db.one(read))).toEqual({ n: 1.5 })
      const cursor = db.iterate(`${read} from generate_series(1, 3)`, [], { batchSize: 2 })
      expect(await cursor.read(9)).toEqual([{ n: 1.5 }, { n: 1.5 }, { n: 1.5 }])
      await cursor.close()
    })

    test('that throws fails its statement alone', async () => {
      const db = await driver.db({
        types: {
          numeric: () => {
            throw new RangeError('not here')
          },
        },
      })

      const error = await caught(db.all('select 1.5'))
      expect(String(error.cause)).toContain('not here')
      expect(await db.scalar('select 1')).toBe(1)
    })
  })

  const parts = (of: object): object => ({
    years: 0,
    months: 0,
    days: 0,
    hours: 0,
    minutes: 0,
    seconds: 0,
    milliseconds: 0,
    microseconds: 0,
    ...of,
  })

  test.each([
    [
      'interval',
      "'1 year 2 mons -3 days 04:05:06.789012'",
      parts({ years: 1, months: 2, days: -3, hours: 4, minutes: 5, seconds: 6, milliseconds: 789, microseconds: 12 }),
    ],
    ['interval', "'-00:00:00.5'", parts({ milliseconds: -500 })],
    ['interval', "'0'", parts({})],
    ['inet', "'192.168.0.1/24'", { address: '192.168.0.1', prefix: 24 }],
    ['inet', "'::1'", { address: '::1', prefix: 128 }],
    ['cidr', "'10.0.0.0/8'", { address: '10.0.0.0', prefix: 8 }],
    ['point', "'(1e-7,-Infinity)'", { x: 1e-7, y: -Infinity }],
    ['line', "'{1,-2,0.5}'", { a: 1, b: -2, c: 0.5 }],
    ['lseg', "'[(1,2),(3,4)]'", { from: { x: 1, y: 2 }, to: { x: 3, y: 4 } }],
    ['box', "'(3,4),(1,2)'", { high: { x: 3, y: 4 }, low: { x: 1, y: 2 } }],
    [
      'path',
      "'[(1,2),(3,4)]'",
      {
        points: [
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ],
        closed: false,
      },
    ],
    ['path', "'((1,2))'", { points: [{ x: 1, y: 2 }], closed: true }],
    [
      'polygon',
      "'((1,2),(3,4))'",
      [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
      ],
    ],
    ['circle', "'<(1,2),3>'", { x: 1, y: 2, radius: 3 }],
    [
      'tsvector',
      "$$'a''b':1A,3 'c\\\\d'$$",
      [
        {
          lexeme: "a'b",
          positions: [
            { position: 1, weight: 'A' },
            { position: 3, weight: 'D' },
          ],
        },
        { lexeme: 'c\\d', positions: [] },
      ],
    ],
    ['int4range', "'(1,5]'", { lower: 2, upper: 6, bounds: '[)', empty: false }],
    ['numrange', "'(,1.50]'", { lower: null, upper: '1.50', bounds: '(]', empty: false }],
    ['daterange', "'empty'", { lower: null, upper: null, bounds: '()', empty: true }],
    [
      'int8multirange',
      "'{[1,3),[5,)}'",
      [
        { lower: 1, upper: 3, bounds: '[)', empty: false },
        { lower: 5, upper: null, bounds: '[)', empty: false },
      ],
    ],
  ] as const)('%s %s is an object, and is written as such', async (type, literal, value) => {
    const db = await driver.single({ types: structured })

    expect(await db.scalar(`select ${literal}::${type}`)).toEqual(value)
    expect(await db.scalar(`select $1::${type}`, [value])).toEqual(value)
    expect(await db.scalar(`select $1::${type}[]`, [[value, null]])).toEqual([value, null])
  })

  test('intervals are read in the form of ISO 8601 too', async () => {
    const db = await driver.single({ types: { interval }, settings: { intervalstyle: 'iso_8601' } })

    expect(await db.scalar("select '1 mon -2 days -00:00:03.000004'::interval")).toEqual(
      parts({ months: 1, days: -2, seconds: -3, microseconds: -4 }),
    )
  })

  test('with timestamp: local a timestamp has the time of the zone of this process, both ways', async () => {
    const before = process.env['TZ']
    process.env['TZ'] = 'America/New_York'
    try {
      const db = await driver.single({ timestamp: 'local' })
      const summer = new Date(2024, 6, 1, 12, 30, 15, 123)
      const early = new Date(2000, 0, 1)
      early.setFullYear(44)
      for (const at of [summer, early, new Date(-43, 2, 15)]) {
        const row = { t: at, l: [at, null], z: at, d: expect.any(String) as unknown }
        for (let run = 0; run < 3; run++)
          expect(
            await db.one('select $1::timestamp as t, $2::timestamp[] as l, $3::timestamptz as z, $4::date::text as d', [
              at,
              [at, null],
              at,
              at,
            ]),
          ).toEqual(row)
      }
      expect(
        await db.one("select '2024-07-01 12:30'::timestamp as t, $1::date::text as d", [new Date(2024, 6, 1, 23, 59)]),
      ).toEqual({
        t: new Date(2024, 6, 1, 12, 30),
        d: '2024-07-01',
      })
      expect(await db.one("select 'infinity'::timestamp as t, $1::text as s", [summer])).toEqual({
        t: Infinity,
        s: summer.toISOString(),
      })
      const long = Array.from({ length: 9 }, () => summer)
      expect(await db.scalar('select $1::timestamp[]', [long])).toEqual(long)
      expect(await (await driver.single()).scalar("select '2024-07-01 12:30'::timestamp")).toEqual(
        new Date('2024-07-01T12:30Z'),
      )
    } finally {
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  })

  test.each([
    [{ numeric: 7 }, /"types".*"numeric"/],
    [{ numeric: {} }, /"types".*"numeric"/],
    [{ numeric: { reed: Number } }, /"types".*"numeric"/],
    [{ ' ': Number }, /"types".*empty/],
    [[], /"types".*an array/],
    ['numeric', /"types".*a string/],
  ])('%o is refused as conversions', async (types, message) => {
    const url = await driver.url()
    const error = await caught(createEngine(url, { types: types as never }))
    expect(error).toBeInstanceOf(InvalidOptionError)
    expect(error.message).toMatch(message)
    const db = await driver.db()
    const other = await caught(db.all('select 1', [], { types: types as never }))
    expect(other).toBeInstanceOf(InvalidOptionError)
    expect(other.message).toMatch(message)
  })
})

test('a driver that has no use for conversions refuses them by name', async () => {
  const types = { numeric: Number }
  for (const options of [{ types }, { timestamp: 'local' as const }]) {
    const [name] = Object.keys(options)
    expect(await caught(createEngine({ driver: new FakeDriver(), ...options }))).toMatchObject({
      code: 'GENEVER_INVALID_OPTION',
      message: expect.stringContaining(String(name)),
    })
    expect(await caught(createEngine('mysql://nobody@127.0.0.1:1/none', options))).toMatchObject({
      code: 'GENEVER_INVALID_OPTION',
      message: expect.stringContaining(String(name)),
    })
  }
  const db = createDb({ driver: new FakeDriver() })
  expect(await caught(db.all('select 1', [], { types }))).toBeInstanceOf(UsageError)
  await db.close()
})
