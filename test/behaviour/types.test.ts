/** The option `types`: what values of types become, and how objects are written as parameters of them. */

import { createDb, createEngine, type Db, InvalidOptionError, ParameterError, UsageError } from 'genever'
import { FakeDriver } from 'genever/testing'
import { composite, interval, multirange, point, range, structured, text } from 'genever/types'
import { beforeEach, describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { freshDatabase, query } from '../support/database.ts'
import { hear } from '../support/events.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  let name: string
  beforeEach(async () => (name = await driver.table('id int, s text')))

  const withTypes = async (sql = ''): Promise<Db> => {
    const db = await driver.single()
    await db.status(`
      create type ${name}_mood as enum ('ok', 'so so');
      create domain ${name}_email as text;
      create type ${name}_pair as (id int, moods ${name}_mood[], at timestamptz);
      create type ${name}_floats as range (subtype = float8);
      ${sql}`)
    return db
  }

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

  describe('types of the database', () => {
    test('are text, and arrays of them too, while nobody says anything else', async () => {
      const db = await withTypes()

      expect(
        await db.one(
          `select 'ok'::${name}_mood as mood, '{ok}'::${name}_mood[] as moods, '{a}'::${name}_email[] as emails`,
        ),
      ).toEqual({ mood: 'ok', moods: '{ok}', emails: '{a}' })
    })

    test.each([
      ['by name', (of: string) => ({ [`${of}_mood`]: text })],
      ['by name and schema', (of: string) => ({ [`public.${of}_mood`]: text })],
      ['by kind', () => ({ anyenum: text })],
    ])('are found %s', async (_, types) => {
      await withTypes()
      const db = await driver.db({ types: types(name) })

      for (let run = 0; run < 3; run++)
        expect(
          await db.all(`select 'ok'::${name}_mood as mood, '{so so,NULL}'::${name}_mood[] as moods
            from generate_series(1, 2)`),
        ).toEqual(Array.from({ length: 2 }, () => ({ mood: 'ok', moods: ['so so', null] })))
    })

    test('are met in every kind of statement', async () => {
      await withTypes()
      const types = { anyenum: text }
      const read = `select '{ok}'::${name}_mood[] as moods from generate_series(1, 3)`
      const three = Array.from({ length: 3 }, () => ({ moods: ['ok'] }))
      const fresh = (): Promise<Db> => driver.single({ types })

      expect(await (await fresh()).all(read)).toEqual(three)
      expect(await (await fresh()).scalar(read)).toEqual(['ok'])
      expect((await (await fresh()).status(`select 1; ${read}`)).rows).toEqual(three)
      expect((await (await fresh()).status(read, [], { rows: 'array' })).rows).toEqual(
        three.map(({ moods }) => [moods]),
      )
      expect(await (await fresh()).transaction((tx) => tx.all(read))).toEqual(three)
      const db = await fresh()
      const cursor = db.iterate(read, [], { batchSize: 2 })
      expect(await cursor.read(9)).toEqual(three)
      await cursor.close()
      const other = await fresh()
      expect(await Promise.all([other.all(read), other.scalar('select 7'), other.all(read)])).toEqual([three, 7, three])
      const apart = await driver.single()
      await apart.all(read)
      expect(await apart.all(read, [], { types })).toEqual(three)
      expect(await apart.all(read)).toEqual(three.map(() => ({ moods: '{ok}' })))
    })

    test('composite types are objects, and are written as such', async () => {
      await withTypes()
      const db = await driver.db({ types: { record: composite, anyenum: text } })
      const value = { id: 1, moods: ['ok', 'so so'], at: new Date('2024-01-02T03:04:05.678Z') }

      expect(await db.scalar(`select $1::${name}_pair`, [value])).toEqual(value)
      expect(await db.scalar(`select $1::${name}_pair[]`, [[value, null]])).toEqual([value, null])
      expect(await db.scalar(`select $1::${name}_pair`, [{ id: 2 }])).toEqual({ id: 2, moods: null, at: null })
      await db.status(`insert into ${name} values (1, 'a "b", (c)\\'), (2, ''), (3, null)`)
      expect(await db.all(`select t from ${name} t order by id`)).toEqual([
        { t: { id: 1, s: 'a "b", (c)\\' } },
        { t: { id: 2, s: '' } },
        { t: { id: 3, s: null } },
      ])
      expect(await db.scalar("select row(1, 'a', null, '')")).toEqual(['1', 'a', null, ''])
    })

    test('a composite type that is changed is read as it is then', async () => {
      await withTypes()
      const db = await driver.single({ types: { record: composite } })
      const read = `select t from ${name} t`
      await db.status(`insert into ${name} values (1, 'a')`)
      expect(await db.scalar(read)).toEqual({ id: 1, s: 'a' })

      await db.status(`alter table ${name} add n int default 7, drop s`)
      expect(await db.scalar(read)).toEqual({ id: 1, n: 7 })
      await db.transaction(async (tx) => {
        await tx.status(`alter table ${name} add m int`)
        expect(await tx.scalar(read)).toEqual({ id: 1, n: 7, m: null })
        tx.raiseRollback()
      })
      expect(await db.scalar(read)).toEqual({ id: 1, n: 7 })
    })

    test('ranges of the user, and those of the server, are objects with ends of their type', async () => {
      await withTypes()
      const db = await driver.db({ types: { anyrange: range, anymultirange: multirange } })
      const floats = { lower: 0.5, upper: null, bounds: '[)', empty: false }

      expect(await db.scalar(`select $1::${name}_floats`, [{ lower: 0.5 }])).toEqual(floats)
      expect(await db.scalar(`select $1::${name}_floats[]`, [[{ lower: 0.5 }, { empty: true }]])).toEqual([
        floats,
        { lower: null, upper: null, bounds: '()', empty: true },
      ])
      const at = { lower: new Date('2024-01-01T00:00:00Z'), upper: null, bounds: '(]', empty: false }
      expect(await db.scalar('select $1::tstzrange', [at])).toEqual({ ...at, bounds: '()' })
      expect(
        await db.scalar('select $1::int4multirange', [
          [
            { lower: 1, upper: 3 },
            { lower: 7, upper: 9 },
          ],
        ]),
      ).toEqual([
        { lower: 1, upper: 3, bounds: '[)', empty: false },
        { lower: 7, upper: 9, bounds: '[)', empty: false },
      ])
      expect(await db.scalar("select '{}'::int4multirange")).toEqual([])
    })

    test('that cannot be looked up fail the statement that has them, and only that', async () => {
      await withTypes()
      const db = await driver.single({ types: { anyenum: text } })
      const both: PromiseSettledResult<unknown>[] = []
      await caught(
        db.transaction(async (tx) => {
          const read = tx.scalar(`select '{ok}'::${name}_mood[]`)
          both.push(...(await Promise.allSettled([read, tx.scalar('select 1 / 0')])))
          throw new Error('over')
        }),
      )

      const [read, failed] = both
      if (read?.status === 'rejected') expect(String(read.reason)).toContain('look-up failed')
      else expect(read?.value).toEqual(['ok'])
      expect(failed?.status).toBe('rejected')
      expect(await db.scalar(`select '{ok}'::${name}_mood[]`)).toEqual(['ok'])
    })
  })

  describe('parameters', () => {
    test('that are objects are written by the conversion, all others as they are', async () => {
      const db = await driver.db({
        types: {
          point: { write: ({ x, y }: { x?: number; y?: number }) => `(${x},${y})` },
          jsonb: { write: () => '"mine"' },
        },
      })

      expect(await db.scalar('select $1::point', [{ x: 1, y: 2 }])).toBe('(1,2)')
      expect(await db.scalar('select $1::point', ['(3,4)'])).toBe('(3,4)')
      expect(await db.scalar('select $1::jsonb', [{ a: 1 }])).toBe('mine')
      expect(await db.scalar('select $1::jsonb', ['{"a":1}'])).toEqual({ a: 1 })
      expect(await db.scalar('select $1::json', [{ a: 1 }])).toEqual({ a: 1 })
      const status = await db.executeMany('select $1::point', [[{ x: 1, y: 2 }], [{ x: 3, y: 4 }]])
      expect(status.rowCount).toBe(2)
    })

    test('of a statement alone are written by its own conversion', async () => {
      const db = await driver.db()

      expect(await db.scalar('select $1::point', [{ x: 1, y: 2 }], { types: { point } })).toEqual({ x: 1, y: 2 })
      expect(await db.scalar('select $1::point[]', [[{ x: 1, y: 2 }, null]], { types: { point } })).toEqual([
        { x: 1, y: 2 },
        null,
      ])
    })

    test('that a conversion refuses, or makes no text of, are refused by their position', async () => {
      const db = await driver.db({ types: { interval, uuid: { write: () => 7 as never } } })

      for (const [type, value] of [
        ['interval', { fortnights: 1 }],
        ['uuid', { a: 1 }],
      ] as const) {
        const error = await caught(db.scalar(`select $1::${type}`, [value]))
        expect(error).toBeInstanceOf(ParameterError)
        expect(error.outcome).toBe('not_started')
      }
    })

    test('inside of others are written as they are alone', async () => {
      const db = await withTypes(`create domain ${name}_nine as int[]; create domain ${name}_json as jsonb`)
      const nine = [1, 2, 3, 4, 5, 6, 7, 8, 9]
      const alone: readonly (readonly [type: string, value: unknown])[] = [
        ['jsonb', [1, [2]]],
        ['jsonb', new Date(0)],
        ['jsonb[]', [[1], { a: [2] }, null]],
        [`${name}_json[]`, [[1], { b: 2 }]],
        ['bytea', new Uint8Array([1, 255]).buffer],
        ['bytea[]', [Buffer.from('a'), null]],
        ['box[]', ['(3,4),(1,2)', '(1,1),(0,0)']],
        [`${name}_nine[]`, [nine, [3]]],
        ['int[]', [nine, nine]],
        ['text[]', ['a,b', 'NULL', '', 'q"\\', null]],
        ['timestamptz', new Date(1e12)],
        ['numeric', { toJSON: () => '1.50' }],
        ['numeric[]', [{ toJSON: () => '1.50' }]],
        ['float8', -0],
        ['float8[]', [-0, NaN, Infinity]],
        ['text', Object('abc')],
        [`${name}_mood[]`, ['so so', null]],
        ['int4range', { lower: 1, upper: 5 }],
        ['int4multirange[]', [[{ lower: 1, upper: 5 }], []]],
        [`${name}_pair`, { id: 1, moods: ['ok'], at: new Date(0) }],
        [`${name}_pair[]`, [{ id: 1, moods: ['ok'], at: null }, null]],
      ]
      const types = structured

      for (const [at, [type, value]] of alone.entries()) {
        await db.status(`create type ${name}_of_${at} as (m ${type})`)
        const text = (sql: string, param: unknown): Promise<unknown> =>
          db.scalar(`select (${sql})::text`, [param], { types })
        const expected = [type, await text(`$1::${type}`, value)]
        expect([type, await text(`($1::${name}_of_${at}).m`, { m: value })]).toEqual(expected)
        expect([type, await text(`($1::${name}_of_${at}[])[1].m`, [{ m: value }])]).toEqual(expected)
      }
      for (const bad of [Symbol('x'), () => 1, new Date(NaN), 'a\0b', '\ud800', Buffer.from('1')])
        expect(await caught(db.scalar(`select $1::${name}_pair`, [{ id: bad }], { types }))).toBeInstanceOf(
          ParameterError,
        )
    })

    test('have as many dimensions as they are read with', async () => {
      const db = await withTypes(
        `create domain ${name}_gap as int4range; create type ${name}_boxed as (pair ${name}_pair)`,
      )
      const types = { ...structured, anyrange: range, anymultirange: multirange, record: composite }
      const literals: readonly (readonly [type: string, literal: string])[] = [
        [`${name}_pair`, '(1,"{ok}",)'],
        [`${name}_boxed`, '("(1,,)")'],
        [`${name}_gap`, '[1,5)'],
        ['int4range', '[1,5)'],
        ['int4multirange', '{[1,5)}'],
        ['int4multirange', '{}'],
        ['interval', '1 day'],
        ['inet', '10.0.0.0/8'],
        ['point', '(1,2)'],
        ['line', '{1,2,3}'],
        ['circle', '<(1,2),3>'],
        ['lseg', '[(1,2),(3,4)]'],
        ['box', '(3,4),(1,2)'],
        ['path', '((1,2),(3,4))'],
        ['polygon', '((1,2),(3,4))'],
        ['tsvector', `'a':1`],
        ['numeric', '1.50'],
      ]

      for (const [type, literal] of literals) {
        const one = `$$${literal}$$::${type}`
        for (const list of [
          `array[${one}, null]`,
          `array[[${one}, null],[${one}, ${one}]]`,
          `array[[[${one}]],[[${one}]]]`,
        ]) {
          const { value, text } = await db.one<{ value: unknown; text: string }>(
            `select ${list} as value, (${list})::text as text`,
            [],
            { types },
          )
          expect([type, await db.scalar(`select ($1::${type}[])::text`, [value], { types })]).toEqual([type, text])
        }
      }
    })

    test('among them lists that a conversion of one’s own writes are values, unless it says that they are dimensions', async () => {
      const written = { write: (value: object) => `(${(value as number[]).join()})` }
      const param = [[[1, 2]], [[3, 4]]]
      const as = (list?: boolean): object => ({ types: { point: list === undefined ? written : { ...written, list } } })
      const db = await driver.db()

      expect(await db.scalar('select $1::point[]::text', [[[1, 2], null]], as())).toBe('{"(1,2)",NULL}')
      expect(await db.scalar('select $1::point[]::text', [param], as(true))).toBe('{{"(1,2)"},{"(3,4)"}}')
      expect(await caught(db.scalar('select $1::point[]::text', [param], as(false)))).toMatchObject({
        sqlState: '22P02',
      })
      expect(await caught(db.scalar('select 1', [], { types: { point: { list: true } } }))).toBeInstanceOf(
        InvalidOptionError,
      )
    })

    test('that have members which are none of their type are refused: nothing of them is lost', async () => {
      const db = await withTypes()
      const types = { ...structured, anyrange: range }

      for (const [type, values] of [
        ['int4range', [{}, { from: 1 }, [1], { lower: 1, uper: 2 }, new Date(0), Buffer.from('x'), { bounds: '[]' }]],
        [`${name}_pair`, [{ id: 1, ids: 2 }, [1], [1, null, null, null], new Date(0), new Map([['id', 1]])]],
      ] as const)
        for (const value of values) {
          const error = await caught(db.scalar(`select $1::${type}`, [value], { types }))
          expect([type, value, error]).toEqual([type, value, expect.any(ParameterError)])
        }
      const pair = (value: unknown): Promise<unknown> =>
        db.scalar(`select ($1::${name}_pair)::text`, [value], { types })
      expect(await pair({ id: 1, at: undefined })).toBe('(1,,)')
      expect(await pair({})).toBe('(,,)')
      expect(await pair([1, ['ok'], null])).toBe('(1,{ok},)')
      expect(await db.scalar('select ($1::int4range)::text', [{ lower: null }], { types })).toBe('(,)')
    })

    test('arrays of boxes have semicolons', async () => {
      const db = await driver.db()
      const boxes = ['(2,2),(1,1)', '(4,4),(3,3)']

      expect(await db.scalar('select $1::box[]', [boxes])).toEqual(boxes)
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

test('a composite type that another program has changed is looked up again', async () => {
  await using database = await freshDatabase('create table t (id int); insert into t values (1)')
  const { url } = database
  const db = createDb(url, { types: { record: composite } })
  expect(await db.scalar('select t from t')).toEqual({ id: 1 })

  await query(url, 'alter table t add n int')
  expect((await caught(db.scalar('select t from t'))).message).toContain('another program has changed it')
  expect(await db.scalar('select t from t')).toEqual({ id: 1, n: null })
  await db.close()
})

test('what PostgreSQL makes along with a range type leaves nothing in a session', async () => {
  await using database = await freshDatabase('create type spans as range (subtype = float8)')
  using heard = hear('spans')
  const db = createDb(database.url, { name: 'spans' })
  await db.status('create table t (s spans)')
  await db.status("insert into t values (spans(1, 2)), ('[1,2)')")
  expect(await db.all('select s from t where s @> 1.5::float8')).toHaveLength(2)
  await db.close()
  expect(heard.notices).toEqual([])
})
