/** What every PostgreSQL driver makes of rows: values of each type, columns, specifications, long answers. */

import { describe, expect, test } from 'vitest'
import { ParameterError, UnsafeIntegerError } from '../../../src/errors/index.ts'
import { type ColumnSpec, Dirty, type RowSpec } from '../../../src/sql/compiled.ts'
import { closeAll, later } from '../test-connection.ts'
import type { ContractTest } from './contract.ts'

/** SQL expression, what it becomes. */
const values: readonly (readonly [sql: string, value: unknown])[] = [
  ['32767::int2', 32767],
  ["'-2147483648'::int4", -2147483648],
  ['4294967295::oid', 4294967295],
  ['9007199254740991::int8', 9007199254740991],
  ['1.5::float4', 1.5],
  ["'1e300'::float8", 1e300],
  ["'NaN'::float8", NaN],
  ["'-Infinity'::float4", -Infinity],
  ["'12345678901234567890.1234567890'::numeric", '12345678901234567890.1234567890'],
  ["'NaN'::numeric", 'NaN'],
  ['true', true],
  ['false', false],
  ["'é ☃ 😀'::text", 'é ☃ 😀'],
  ["''::text", ''],
  ["'ab'::char(4)", 'ab  '],
  ["'x'::varchar(3)", 'x'],
  ['\'a\'::"char"', 'a'],
  ["'a name'::name", 'a name'],
  [`'{"a":[1,null,"x"]}'::json`, { a: [1, null, 'x'] }],
  [`'{"a":{"b":1.5}}'::jsonb`, { a: { b: 1.5 } }],
  ['\'"text"\'::jsonb', 'text'],
  ["'null'::jsonb", null],
  ["'\\x00ff10'::bytea", Buffer.from([0, 255, 16])],
  ["''::bytea", Buffer.alloc(0)],
  ["'2024-02-29 12:34:56.789123+02'::timestamptz", new Date('2024-02-29T10:34:56.789Z')],
  ["'1999-12-31 23:59:59'::timestamp", new Date('1999-12-31T23:59:59.000Z')],
  ["'0001-01-01 00:00:00 BC'::timestamp", new Date('0000-01-01T00:00:00.000Z')],
  ["'0044-03-15 12:00:00+00 BC'::timestamptz", new Date('-000043-03-15T12:00:00.000Z')],
  ["'12024-05-06 07:08:09.5+00'::timestamptz", new Date('+012024-05-06T07:08:09.500Z')],
  ["'0099-01-02 03:04:05'::timestamp", new Date('0099-01-02T03:04:05.000Z')],
  ["'1969-12-31 23:59:59.999999+00'::timestamptz", new Date('1969-12-31T23:59:59.999Z')],
  ["'infinity'::timestamptz", Infinity],
  ["'-infinity'::timestamp", -Infinity],
  ["'2024-02-29'::date", '2024-02-29'],
  ["'infinity'::date", 'infinity'],
  ["'12:34:56.7'::time", '12:34:56.7'],
  ["'1 day 02:03:04'::interval", '1 day 02:03:04'],
  ["'12.34'::money", '$12.34'],
  ["'[1,5)'::int4range", '[1,5)'],
  ["'(1,2)'::point", '(1,2)'],
  ["'10.0.0.1/32'::inet", '10.0.0.1'],
  ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['array[1,null,3]', [1, null, 3]],
  ['array[]::int4[]', []],
  [
    'array[[1,2],[3,4]]',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["'[0:1]={5,6}'::int4[]", [5, 6]],
  ['array[1::int8]', [1]],
  ['array[true,false,null]', [true, false, null]],
  [
    "array['a','b c','d\"e','f\\g','NULL',null,'','{x}','a,b']",
    ['a', 'b c', 'd"e', 'f\\g', 'NULL', null, '', '{x}', 'a,b'],
  ],
  ["array['x']::varchar[]", ['x']],
  ["array['1.10']::numeric[]", ['1.10']],
  ["array[1.5::float8,'NaN']", [1.5, NaN]],
  [`array['{"a":"x,y"}'::jsonb, null]`, [{ a: 'x,y' }, null]],
  [`array['[1,2]'::json]`, [[1, 2]]],
  ["array['\\x01ff'::bytea]", [Buffer.from([1, 255])]],
  ["array['2024-01-01 00:00:00+00'::timestamptz,'infinity']", [new Date('2024-01-01T00:00:00Z'), Infinity]],
  ["array['2024-01-01'::date]", ['2024-01-01']],
  ["array['(1,2),(0,0)'::box,'(3,4),(0,0)']", ['(1,2),(0,0)', '(3,4),(0,0)']],
  ["array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]", ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
  ["array['a b'::name]", ['a b']],
]

const columns = (...list: (string | Partial<ColumnSpec>)[]): ColumnSpec[] =>
  list.map((column) =>
    typeof column === 'string'
      ? { path: column.split('.'), mode: 'default' }
      : { path: [], mode: 'default', ...column },
  )

export function rows({ name, open, table }: ContractTest): void {
  describe(`${name}: rows`, () => {
    test.each(values)('%s', async (sql, value) => {
      const c = await open()

      expect(await c.rows(`select ${sql} as v, null::int as n`)).toEqual([{ v: value, n: null }])
    })

    test('every type has NULL and an array with NULL in it', async () => {
      const c = await open()
      const types =
        'bool bytea int2 int4 int8 oid float4 float8 numeric text json jsonb uuid date time timestamp timestamptz'
      for (const type of types.split(' '))
        expect(await c.rows(`select null::${type} as a, array[null]::${type}[] as b`)).toEqual([{ a: null, b: [null] }])
    })

    test('an 8-byte integer becomes what int8 says', async () => {
      const sql = 'select 9223372036854775807 as a, array[1::int8] as b'

      expect(await (await open({ int8: 'bigint' })).rows(sql)).toEqual([{ a: 9223372036854775807n, b: [1n] }])
      await closeAll()
      expect(await (await open({ int8: 'string' })).rows(sql)).toEqual([{ a: '9223372036854775807', b: ['1'] }])
    })

    test('an integer that no number holds fails its operation alone', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a int8)`)
      const read = await c.run('select 9007199254740992')
      const write = await c.run(`insert into ${t} values (9007199254740993) returning a`)

      expect([read.end, write.end]).toEqual(['decode rolled_back', 'decode committed'])
      expect(write.failure?.cause).toBeInstanceOf(UnsafeIntegerError)
      expect(String(write.failure?.cause)).not.toContain('9007199254740993')
      expect(await c.unit('begin', `insert into ${t} values (9007199254740993) returning a`, 'rollback')).toEqual([
        'BEGIN',
        'decode rolled_back',
        'ROLLBACK',
      ])
      expect(await c.value(`select count(*) from ${t}`)).toBe(1)
    })

    test('the bytea of older servers is read as well', async () => {
      const c = await open()
      await c.run('set bytea_output to escape')

      expect(await c.value(`select '\\x005c27ff41'::bytea`)).toEqual(Buffer.from([0, 92, 39, 255, 65]))
    })

    test('a date style that is not ISO fails what has dates, and nothing else', async () => {
      const c = await open()
      await c.run('set datestyle to german')

      expect((await c.run('select now()')).end).toBe('decode rolled_back')
      expect(await c.value('select 1')).toBe(1)
      expect(await c.raw.reset(Dirty.settings, later())).toBe(true)
      expect(await c.value('select now()')).toBeInstanceOf(Date)
    })

    test('other time zones change nothing', async () => {
      const c = await open()
      await c.run("set timezone to 'Asia/Kolkata'")
      const instant = new Date('2024-02-29T10:34:56.789Z')

      expect(await c.value("select '2024-02-29 10:34:56.789+00'::timestamptz")).toEqual(instant)
      expect(await c.value('select $1::timestamptz', [instant])).toEqual(instant)
      expect(await c.value('select $1::timestamp', [instant])).toEqual(instant)
      expect(await c.value("select '1850-01-01 00:00:00+00'::timestamptz")).toEqual(new Date('1850-01-01T00:00:00Z'))
    })

    test('columns may have any name; of equal names the last wins', async () => {
      const c = await open()
      const [row] = await c.rows(
        `select 1 as "__proto__", 2 as "constructor", 3 as "toString", 4 as "a""b", 5 as "é ", 6 as x, 7 as x, 8 as "0"`,
      )

      expect(Object.getPrototypeOf(row)).toBe(Object.prototype)
      expect(Object.entries(row as object).toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
        ['0', 8],
        ['__proto__', 1],
        ['a"b', 4],
        ['constructor', 2],
        ['toString', 3],
        ['x', 7],
        ['é ', 5],
      ])
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    })

    test('a row may be wide and an answer long', async () => {
      const c = await open()
      const list = Array.from({ length: 300 }, (_, i) => `${i} as c${i}`).join(', ')
      const [wide] = await c.rows(`select ${list}`)
      const long = await c.rows("select i, 'row ' || i as t from generate_series(1, 100000) i")

      expect([Object.keys(wide as object).length, wide.c299]).toEqual([300, 299])
      expect([long.length, long[0], long[99_999]]).toEqual([
        100_000,
        { i: 1, t: 'row 1' },
        { i: 100_000, t: 'row 100000' },
      ])
      expect((await c.value("select repeat('é', 1000000)")).length).toBe(1_000_000)
    })

    test('a specification makes arrays and scalars', async () => {
      const c = await open()
      const sql = "select 1 as a, 'x' as a, now() as t"
      const array = await c.run(sql, [], { spec: { into: 'array', make: null, columns: null } })
      const scalar = await c.run(sql, [], { spec: { into: 'scalar', make: null, columns: null } })

      expect([array.rows, scalar.rows]).toEqual([[[1, 'x', expect.any(Date)]], [1]])
    })

    test('a specification nests, renames, converts and makes objects', async () => {
      class Author {
        id = 0
        readonly kind = 'author'
        name!: string
      }
      const c = await open()
      const twice = (value: unknown): unknown => [value, value]
      const spec: RowSpec<any> = {
        into: 'object',
        make: () => new Author(),
        columns: columns('id', { path: ['name'], map: twice }, 'team.name', 'team.city.name', {
          path: ['none'],
          map: twice,
        }),
      }
      const { rows } = await c.run("select 1, 'n', 't', 'c', null", [], { spec })

      expect(rows[0]).toBeInstanceOf(Author)
      expect(rows[0]).toEqual(
        Object.assign(new Author(), { id: 1, name: ['n', 'n'], team: { name: 't', city: { name: 'c' } }, none: null }),
      )
    })

    test('an object whose columns are all NULL is NULL', async () => {
      const c = await open()
      const list = columns('id', { path: ['team', 'id'], nullGroup: 1 }, { path: ['team', 'name'], nullGroup: 1 })
      const spec: RowSpec<any> = { into: 'object', make: null, columns: list }
      const { rows } = await c.run("values (1, null, null), (2, 3, null), (4, 5, 'x')", [], { spec })
      const tuple: RowSpec<any> = {
        into: 'array',
        make: null,
        columns: columns({ path: ['0', 'id'], nullGroup: 1 }, { path: ['1', 'id'], nullGroup: 2 }),
      }

      expect(rows).toEqual([
        { id: 1, team: null },
        { id: 2, team: { id: 3, name: null } },
        { id: 4, team: { id: 5, name: 'x' } },
      ])
      expect((await c.run('values (1, null::int), (2, 3)', [], { spec: tuple })).rows).toEqual([
        [{ id: 1 }, null],
        [{ id: 2 }, { id: 3 }],
      ])
    })

    test('it is NULL by what the server sent, and not by what is made of that', async () => {
      const c = await open()
      const map = (): null => null
      const list = columns('id', { path: ['team', 'id'], nullGroup: 1, mode: 'string', map })
      const spec: RowSpec<any> = { into: 'object', make: null, columns: list }

      expect((await c.run("values (1, null), (2, 'x')", [], { spec })).rows).toEqual([
        { id: 1, team: null },
        { id: 2, team: { id: null } },
      ])
    })

    test('a fold takes the place of the push', async () => {
      const c = await open()
      const fold = (target: unknown[], row: unknown): void => {
        target[0] = Number(target[0] ?? 0) + Number(row)
      }
      const spec: RowSpec<any> = { into: 'scalar', make: null, columns: null, fold }

      expect((await c.run('select generate_series(1,4)', [], { spec })).rows).toEqual([10])
    })

    test('modes decide for a column', async () => {
      const c = await open()
      const modes = [
        'string',
        'number',
        'bigint',
        'date',
        'json',
        'buffer',
        'raw-text',
        'number',
        'date',
        'string',
      ] as const
      const spec: RowSpec<any> = { into: 'array', make: null, columns: columns(...modes.map((mode) => ({ mode }))) }
      const sql = `select now() > now(), '1.5'::numeric, 9223372036854775807, '2024-01-02'::date, '[1]'::text, '\\x01'::bytea,
        array[1,2], array['1.5'::numeric], '2024-01-02 03:04:05'::timestamp, array[1]`
      const { rows } = await c.run(sql, [], { spec })

      expect(rows[0]).toEqual([
        ...['f', 1.5, 9223372036854775807n, new Date('2024-01-02T00:00:00Z'), [1], Buffer.from([1]), '{1,2}', [1.5]],
        ...[new Date('2024-01-02T03:04:05Z'), ['1']],
      ])
    })

    test('a conversion that throws fails its operation alone, and so does a specification of another width', async () => {
      const c = await open()
      const cause = new ParameterError('mine')
      const map = (): never => {
        throw cause
      }
      const thrown = await c.run('select 1', [], {
        spec: { into: 'object', make: null, columns: columns({ path: ['a'], map }) },
      })
      const misfit = await c.run('select 1, 2', [], { spec: { into: 'object', make: null, columns: columns('a') } })

      expect([thrown.end, misfit.end, thrown.failure?.cause]).toEqual([
        'decode rolled_back',
        'decode rolled_back',
        cause,
      ])
      expect(await c.value('select 1')).toBe(1)
    })
  })
}
