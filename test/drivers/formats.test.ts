/**
 * The same values by the drivers `socket` and `pg`, and their text by node-postgres: random ones of every built-in type that has a
 * reader, alone, in arrays and NULL. The driver `socket` reads a statement's first answer as text and the next in binary.
 *
 * `RUNS=10000` tries more of them.
 */

import { fc } from '../support/fast-check.ts'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Driver } from '../../src/driver/driver.ts'
import { pgDriver } from '../../src/driver/pg/driver.ts'
import { socketDriver } from '../../src/driver/socket/driver.ts'
import type { ColumnSpec, RowSpec } from '../../src/sql/compiled.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { sample, sampleSeed } from '../support/extent.ts'
import { TestConnection, later } from './test-connection.ts'

const pad = (value: number, length: number): string => String(value).padStart(length, '0')

/** From 4713 BC to 294276 AD, beyond what a date of JavaScript can be, with microseconds. */
const moment = fc
  .tuple(
    fc.oneof(fc.integer({ min: -4711, max: 294_275 }), fc.integer({ min: 1890, max: 2100 })),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
    fc.integer({ min: 0, max: 86_399 }),
    fc.integer({ min: 0, max: 999_999 }),
  )
  .map(([year, month, day, second, micros]) => {
    const date = `${pad(year > 0 ? year : 1 - year, 4)}-${pad(month, 2)}-${pad(day, 2)}`
    const time = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60].map((part) => pad(part, 2))
    return `${date} ${time.join(':')}.${pad(micros, 6)}${year > 0 ? '' : ' BC'}`
  })
const infinite = (usual: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ arbitrary: usual, weight: 9 }, { arbitrary: fc.constantFrom('infinity', '-infinity'), weight: 1 })
const zone = fc.constantFrom('', '+00', '-11:30', '+14')
const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((one) => !one.includes('\0'))
const float = (of: fc.Arbitrary<number>): fc.Arbitrary<string> =>
  of.map((value) => (Object.is(value, -0) ? '-0' : String(value)))

const small = fc.integer({ min: -999, max: 999 })
const point = fc.tuple(small, fc.double({ noNaN: true })).map(([x, y]) => `(${x},${y})`)
const points = fc.array(point, { minLength: 1, maxLength: 4 }).map((all) => all.join(','))
const time = moment.map((at) => at.split(' ')[1] ?? '')
const day = moment.map((at) => at.replace(/ \S+/, ''))
const bits = fc.stringMatching(/^[01]{1,70}$/)
const hex = (pairs: number): fc.Arbitrary<string> =>
  fc.array(fc.stringMatching(/^[0-9a-f]{2}$/), { minLength: pairs, maxLength: pairs }).map((all) => all.join(':'))
const word = fc.stringMatching(/^[a-z][a-z' \\\u00e9]{0,8}$/).map((one) => one.replaceAll(/['\\]/g, '$&$&'))

/** Any two values, which are no range if the first is not the lower one: then an empty one, or one without an end. */
function rangeOf(ends: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const end = fc.option(ends, { nil: '', freq: 5 })
  const open = fc.tuple(fc.constantFrom('[', '('), end, fc.constantFrom(']', ')'))
  return fc.oneof(
    fc.constant('empty'),
    fc
      .tuple(open, fc.boolean())
      .map(([[from, at, to], lower]) => `${from}${lower ? `"${at}",` : `,"${at}"`}${to}`.replace('""', '')),
  )
}

const multirangeOf = (ends: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(rangeOf(ends), { maxLength: 3 }).map((all) => `{${all.join(',')}}`)
const ends = {
  int4: small.map(String),
  int8: fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }).map(String),
  num: fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((n) => `${n}.50`),
  ts: moment,
  tstz: moment,
  date: day,
}

/** Texts that the server reads as values of a type. */
const types: Readonly<Record<string, fc.Arbitrary<string>>> = {
  int2: fc.integer({ min: -32_768, max: 32_767 }).map(String),
  int4: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }).map(String),
  int8: fc.bigInt({ min: -9_223_372_036_854_775_808n, max: 9_223_372_036_854_775_807n }).map(String),
  oid: fc.integer({ min: 0, max: 4_294_967_295 }).map(String),
  float4: float(fc.float()),
  float8: float(fc.double()),
  numeric: fc.oneof(fc.bigInt().map(String), fc.constantFrom('NaN', '0.000', '1e-10', '-12.50')),
  bool: fc.constantFrom('t', 'f'),
  text,
  varchar: text,
  bytea: fc.uint8Array({ maxLength: 40 }).map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
  timestamp: infinite(moment),
  timestamptz: infinite(fc.tuple(moment, zone).map(([at, offset]) => at.replace(/( BC)?$/, (era) => offset + era))),
  date: infinite(moment.map((at) => at.replace(/ \S+/, ''))),
  time,
  timetz: fc.tuple(time, fc.constantFrom('+00', '-11:30', '+14')).map(([at, offset]) => at + offset),
  interval: fc.tuple(fc.integer({ min: -999, max: 999 }), fc.integer()).map(([days, ms]) => `${days} days ${ms} ms`),
  json: fc.json({ maxDepth: 2 }).filter((one) => !one.includes('\\u0000')),
  jsonb: fc.json({ maxDepth: 2 }).filter((one) => !/\\u/.test(one)),
  uuid: fc.uuid(),
  inet: fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.ipV4(), fc.nat({ max: 32 })).map(([at, prefix]) => `${at}/${prefix}`),
  ),
  cidr: fc.oneof(fc.ipV4(), fc.ipV6()),
  macaddr: hex(6),
  macaddr8: hex(8),
  money: small.map((value) => `${value}.25`),
  bit: bits,
  varbit: bits,
  bpchar: text,
  name: fc.stringMatching(/^[a-z]{0,20}$/),
  '"char"': fc.constantFrom('', 'a', 'z'),
  xml: fc.stringMatching(/^[a-z ]{0,20}$/).map((one) => `<a>${one}</a>`),
  point,
  line: fc.tuple(small, small, small).map(([a, b, c]) => `{${a},${b || 1},${c}}`),
  lseg: fc.tuple(point, point).map(([a, b]) => `[${a},${b}]`),
  box: fc.tuple(point, point).map(([a, b]) => `${a},${b}`),
  path: fc.oneof(
    points.map((all) => `[${all}]`),
    points.map((all) => `(${all})`),
  ),
  polygon: points.map((all) => `(${all})`),
  circle: fc.tuple(point, fc.nat({ max: 999 })).map(([at, radius]) => `<${at},${radius}>`),
  tsvector: fc
    .array(fc.tuple(word, fc.constantFrom('', ':1', ':3A,7')), { maxLength: 3 })
    .map((all) => all.map(([one, at]) => `'${one}'${at}`).join(' ')),
  tsquery: fc.array(word, { minLength: 1, maxLength: 3 }).map((all) => all.map((one) => `'${one}'`).join(' & ')),
  jsonpath: fc.constantFrom('$', '$."a"', '$[*]?(@ > 1)', 'strict $."b".size()'),
  pg_lsn: fc.constantFrom('0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF'),
  xid: fc.nat().map(String),
  cid: fc.nat().map(String),
  xid8: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  tid: fc.tuple(fc.nat(), fc.nat({ max: 65_535 })).map(([block, item]) => `(${block},${item})`),
  oidvector: fc.array(fc.nat(), { maxLength: 3 }).map((all) => all.join(' ')),
  int2vector: fc.array(small, { maxLength: 3 }).map((all) => all.join(' ')),
  refcursor: text,
  regtype: fc.constantFrom('integer', 'text[]', '-'),
  regclass: fc.constantFrom('pg_class', 'pg_type'),
  regproc: fc.constantFrom('pg_backend_pid', '-'),
  regprocedure: fc.constantFrom('abs(integer)', '-'),
  regoper: fc.constant('0'),
  regoperator: fc.constantFrom('+(integer,integer)', '0'),
  regrole: fc.constantFrom('pg_monitor', '-'),
  regnamespace: fc.constantFrom('pg_catalog', '-'),
  regconfig: fc.constantFrom('english', '-'),
  regdictionary: fc.constantFrom('simple', '-'),
  regcollation: fc.constantFrom('"C"', '-'),
  aclitem: fc.constant('=r/pg_monitor'),
  txid_snapshot: fc.constantFrom('10:20:10,14', '1:1:'),
  pg_snapshot: fc.constantFrom('10:20:10,14', '1:1:'),
  int4range: rangeOf(ends.int4),
  int8range: rangeOf(ends.int8),
  numrange: rangeOf(ends.num),
  tsrange: rangeOf(ends.ts),
  tstzrange: rangeOf(ends.tstz),
  daterange: rangeOf(ends.date),
  int4multirange: multirangeOf(ends.int4),
  int8multirange: multirangeOf(ends.int8),
  nummultirange: multirangeOf(ends.num),
  tsmultirange: multirangeOf(ends.ts),
  tstzmultirange: multirangeOf(ends.tstz),
  datemultirange: multirangeOf(ends.date),
}

/** What node-postgres reads as we do. */
const alike = 'int2 int4 oid float4 float8 numeric bool text varchar bytea json jsonb uuid inet time money'.split(' ')

type Item = string | null | readonly Item[]

function literal(items: readonly Item[], between: string = ','): string {
  const written = items.map((item) => {
    if (item === null) return 'NULL'
    return typeof item === 'object' ? literal(item, between) : `"${item.replaceAll(/["\\]/g, '\\$&')}"`
  })
  return `{${written.join(between)}}`
}

/** A value, NULL, a list or a table of them. */
const cell = fc.constantFrom(...Object.keys(types)).chain((type) => {
  const one = types[type] as fc.Arbitrary<string>
  const item = fc.option(one, { freq: 4 })
  const between = type === 'box' ? ';' : ','
  const row = fc.array(item, { minLength: 2, maxLength: 2 })
  return fc.oneof(
    item.map((value) => [type, value] as const),
    fc.array(item, { maxLength: 5 }).map((list) => [`${type}[]`, literal(list, between)] as const),
    fc.array(row, { minLength: 1, maxLength: 3 }).map((table) => [`${type}[]`, literal(table, between)] as const),
  )
})

let database: FreshDatabase
let byPg: TestConnection
let bySocket: TestConnection
let client: pg.Client

beforeAll(async () => {
  database = await freshDatabase()
  const { hostname, port, username, pathname } = new URL(database.url)
  const options = { host: hostname, port: Number(port), user: username, database: pathname.slice(1) }
  const open = async (driver: Driver, more: object = {}): Promise<TestConnection> => {
    const connection = new TestConnection()
    connection.raw = await driver.open(driver.parse({ ...options, ...more }), connection, later())
    return connection
  }
  byPg = await open(pgDriver)
  bySocket = await open(socketDriver)
  client = new pg.Client({ connectionString: database.url })
  await client.connect()
  // The zone is that of the sessions of the drivers too.
  expect((await client.query('show timezone')).rows).toEqual(await byPg.rows('show timezone'))
})

afterAll(async () => {
  await Promise.all([byPg.raw.close(later()), bySocket.raw.close(later()), client.end()])
  await database.drop()
})

/** Rows, or how it failed: a number that is too large, a date that JavaScript does not have. */
async function answer(c: TestConnection, sql: string, params: readonly unknown[], spec?: RowSpec): Promise<unknown> {
  const { rows, failure } = await c.run(c.named(sql), params, spec === undefined ? {} : { spec })
  return failure === null ? rows : `${failure.kind} ${failure.outcome} ${String(failure.cause)}`
}

const columns = (mode: ColumnSpec['mode'], count: number): ColumnSpec[] =>
  Array.from({ length: count }, (_, n) => ({ path: [`c${n}`], mode }))

describe('random values', () => {
  test('are the same in text, in binary, and by node-postgres', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(cell, { minLength: 1, maxLength: 6 }), async (cells) => {
        const sql = `select ${cells.map(([type], n) => `$${n + 1}::text::${type} as c${n}`).join(', ')}`
        const params = cells.map(([, value]) => value)
        const spec: RowSpec = { into: 'object', make: null, columns: columns('raw-text', cells.length) }

        const exact = await answer(byPg, sql, params)
        const again = [
          await answer(bySocket, sql, params),
          await answer(bySocket, sql, params),
          await answer(bySocket, sql, params),
        ]
        expect(again).toEqual([exact, exact, exact])
        const asText = await client.query({ text: sql, values: [...params], types: { getTypeParser: () => String } })
        expect(await answer(bySocket, sql, params, spec)).toEqual(asText.rows)
      }),
      { numRuns: sample({ once: 100, matrix: 500, soak: 5000 }), seed: sampleSeed(1) },
    )
  })

  test('are of every type that comes with the server and that a table may have', async () => {
    // Made by the server alone: plans, statistics, signatures.
    const never =
      'gtsvector pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list pg_brin_bloom_summary pg_brin_minmax_multi_summary'
    const { rows } = await client.query<{ name: string }>(
      `select typname as name from pg_type where oid < 10000 and typtype in ('b', 'r', 'm') and typcategory <> 'A'`,
    )
    const known = new Set([...Object.keys(types).map((name) => name.replaceAll('"', '')), ...never.split(' ')])
    const arrays = new Set(['int2vector', 'oidvector'])

    expect(rows.map(({ name }) => name).filter((name) => !known.has(name) && !arrays.has(name))).toEqual([])
  })

  test.each(Object.keys(types))(
    'of %s are the same by code made for many rows, and are written as they are read',
    async (type) => {
      const texts = fc.sample(types[type] as fc.Arbitrary<string>, { numRuns: 8, seed: 11 })
      const lists = [literal([texts[0] ?? null, null, texts[1] ?? null], type === 'box' ? ';' : ','), '{}']
      const sql = `select v::${type} as v, l::${type}[] as l from unnest($1::text[], $2::text[]) as t(v, l), generate_series(1, 70)`
      const given = [texts, texts.map((_, n) => lists[n % 2])]
      const exact = await answer(byPg, sql, given)
      for (let run = 0; run < 3; run++) expect(await answer(bySocket, sql, given)).toEqual(exact)
      if (alike.includes(type)) {
        const one = `select $1::text::${type} as v`
        for (const each of texts)
          if (Array.isArray(await answer(bySocket, one, [each])))
            expect(await answer(bySocket, one, [each])).toEqual((await client.query(one, [each])).rows)
      }
      if (!Array.isArray(exact)) return
      for (const { v, l } of (exact as { v: unknown; l: unknown }[]).slice(0, 8))
        for (const c of [bySocket, byPg]) {
          const value = /^jsonb?$/.test(type) ? JSON.stringify(v) : v
          const list = /^jsonb?$/.test(type)
            ? (l as unknown[]).map((each) => (each === null ? null : JSON.stringify(each)))
            : l
          expect(await answer(c, `select $1::${type} as v, $2::${type}[] as l`, [value, list])).toEqual([{ v, l }])
        }
    },
  )

  test.each(['string', 'number', 'bigint', 'date', 'json', 'buffer'] as const)(
    'are the same in both formats where a column is asked for as %s',
    async (mode) => {
      const fits: Readonly<Record<string, readonly string[]>> = {
        string: Object.keys(types),
        number: ['int2', 'int4', 'int8', 'float8', 'oid', 'numeric'],
        bigint: ['int2', 'int4', 'int8', 'oid'],
        date: ['timestamp', 'timestamptz', 'date'],
        json: ['json', 'jsonb'],
        buffer: ['bytea', 'text'],
      }
      for (const type of fits[mode] ?? []) {
        const sql = `select $1::text::${type} as c0, $2::text::${type}[] as c1`
        const spec: RowSpec = {
          into: 'object',
          make: null,
          columns: columns(mode, mode === 'json' || mode === 'buffer' ? 1 : 2),
        }
        const texts = fc.sample(types[type] as fc.Arbitrary<string>, { numRuns: 6, seed: 7 })
        const said = mode === 'json' || mode === 'buffer' ? sql.replace(/, \$2.*/, '') : sql
        for (const one of texts) {
          const params = said === sql ? [one, literal([one, null], type === 'box' ? ';' : ',')] : [one]
          const exact = await answer(byPg, said, params, spec)
          for (let n = 0; n < 2; n++) expect(await answer(bySocket, said, params, spec)).toEqual(exact)
        }
      }
    },
  )

  test('of long arrays arrive as they were sent, by whichever format', async () => {
    const double = fc.double().map((value) => (value === 0 ? 0 : value))
    const elements: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
      int2: fc.integer({ min: -32_768, max: 32_767 }),
      int4: fc.integer({ min: -2_147_483_648, max: 2_147_483_647 }),
      int8: fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: -9_007_199_254_740_991n, max: 9_007_199_254_740_991n })),
      float8: double,
      bool: fc.boolean(),
      text,
      varchar: text,
      bpchar: text.filter((one) => !one.endsWith(' ')),
      oid: fc.integer({ min: 0, max: 4_294_967_295 }),
      bytea: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      uuid: fc.uuid(),
      timestamptz: fc.date({ min: new Date('0001-01-02'), max: new Date('9999-12-30'), noInvalidDate: true }),
      timestamp: fc.date({ min: new Date('-004000-01-01'), max: new Date('+020000-01-01'), noInvalidDate: true }),
    }
    const list = fc
      .constantFrom(...Object.keys(elements))
      .chain((type) =>
        fc.tuple(
          fc.constant(type),
          fc.array(fc.option(elements[type] as fc.Arbitrary<unknown>, { freq: 6 }), { minLength: 1, maxLength: 24 }),
        ),
      )
    await fc.assert(
      fc.asyncProperty(list, async ([type, sent]) => {
        const given = sent.map((one) => (typeof one === 'bigint' ? Number(one) : one))
        for (const c of [bySocket, byPg])
          expect(await answer(c, `select $1::${type}[] as list, $1::${type}[]::text[] as texts`, [sent])).toEqual([
            { list: given, texts: expect.any(Array) as unknown },
          ])
      }),
      { numRuns: sample({ once: 80, matrix: 500, soak: 5000 }), seed: sampleSeed(3) },
    )
  })

  test.each(['json', 'jsonb', 'float4', 'date', 'uuid', 'bytea', 'oid'])(
    'of long arrays for %s are stored as those of short ones',
    async (type) => {
      const few: Readonly<Record<string, readonly unknown[]>> = {
        json: ['{"a":  1}', 'null', '"\u00fc"', { b: [1] }],
        jsonb: ['{"a":  1}', 'null', '"\u00fc"', { b: [1] }],
        float4: [
          ...fc.sample(fc.oneof(fc.float(), fc.double()), { numRuns: 40, seed: 5 }),
          ...[0.1, 1 / 3, 16_777_217, 1e39, 1e-50, Number.NaN, -Infinity, '2.5'],
        ],
        date: [
          ...['2024-02-29T23:59:59.999Z', '1999-12-31', '2000-01-01', '0001-06-15', '9999-12-30'].map(
            (at) => new Date(at),
          ),
          new Date('-000043-03-15T00:00:00Z'),
          'infinity',
        ],
        uuid: ['6F9619FF-8B86-D011-B42D-00C04FC964FF', '{6f9619ff8b86d011b42d00c04fc964ff}', 'no uuid'],
        bytea: [Buffer.from([0, 255]), new Uint16Array([1]), '\\x0a', ''],
        oid: [0, 4_294_967_295, -1, 1.5, '7'],
      }
      const stored = async (c: TestConnection, list: readonly unknown[]): Promise<unknown> => {
        const op = await c.run(c.named(`select v::text from unnest($1::${type}[]) as v`), [list])
        return op.failure === null ? (op.rows as { v: unknown }[]).map(({ v }) => v) : op.end
      }
      for (const value of few[type] ?? [])
        for (const c of [bySocket, byPg]) {
          const short = await stored(c, [value])
          const long = await stored(
            c,
            Array.from({ length: 9 }, () => value),
          )
          expect([value, long]).toEqual([
            value,
            Array.isArray(short) ? Array.from({ length: 9 }, () => short[0]) : short,
          ])
        }
    },
  )

  test.each([
    ['int4[]', [1, 2, 3, 4, 5, 6, 7, 2 ** 31], /server 22003/],
    ['int4[]', [1, 2, 3, 4, 5, 6, 7, 1.5], /server 22P02/],
    ['int4[]', ['1', 2, 3, 4, 5, 6, 7, 8], /SELECT 1/],
    ['text[]', ['a', 'b', 'c', 'd', 'e', 'f', 'g', '\0'], /encode .*NUL/],
    ['text[]', [1, 'b', 'c', 'd', 'e', 'f', 'g', true], /SELECT 1/],
    [
      'int4[]',
      [
        [1, 2, 3, 4],
        [5, 6, 7, 8],
      ],
      /SELECT 1/,
    ],
    ['int4[]', Array.from({ length: 9 }), /encode .*undefined/],
  ] as const)(
    'of a long array for %s are said to be wrong, or read, as those of a short one: %j',
    async (type, list, end) => {
      for (const c of [bySocket, byPg]) {
        const op = await c.run(c.named(`select $1::${type} as list`), [list])
        expect(`${op.end} ${(op.failure?.cause as Error | undefined)?.message ?? ''}`).toMatch(end)
      }
    },
  )
})
