/** What every PostgreSQL driver makes of parameters: each value on the server, and those that cannot be written. */

import { describe, expect, test } from 'vitest'
import { ParameterError } from '../../../src/errors/index.ts'
import { closeAll } from '../test-connection.ts'
import type { ContractTest } from './contract.ts'

const decimal = { toJSON: (): string => '12.50' }

/** Cast of the parameter, what is given, its text on the server. */
const written: readonly (readonly [cast: string, value: unknown, text: string | null])[] = [
  ['text', 'é ☃ 😀', 'é ☃ 😀'],
  ['text', '', ''],
  [
    'text',
    'a longer text with \\ and "quotes" and \'apostrophes\'',
    'a longer text with \\ and "quotes" and \'apostrophes\'',
  ],
  ['text', null, null],
  ['int4', -5, '-5'],
  ['float8', 1e21, '1e+21'],
  ['float8', NaN, 'NaN'],
  ['float8', -Infinity, '-Infinity'],
  ['numeric', 0.1, '0.1'],
  ['int8', 9223372036854775807n, '9223372036854775807'],
  ['bool', true, 'true'],
  ['bool', false, 'false'],
  ['jsonb', true, 'true'],
  ['jsonb', 5, '5'],
  ['jsonb', '"text"', '"text"'],
  ['jsonb', { a: 1 }, '{"a": 1}'],
  ['jsonb', [1, [2]], '[1, [2]]'],
  ['jsonb', [], '[]'],
  ['jsonb', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ['json', ['x'], '["x"]'],
  ['numeric', decimal, '12.50'],
  ['jsonb', decimal, '"12.50"'],
  ['bytea', Buffer.from([0, 1, 255]), '\\x0001ff'],
  ['bytea', new Uint8Array([7]), '\\x07'],
  ['bytea', new Uint16Array([1]).buffer, '\\x0100'],
  ['timestamptz', new Date('2024-02-29T10:34:56.789Z'), '2024-02-29 10:34:56.789+00'],
  ['timestamp', new Date('2024-02-29T10:34:56.789Z'), '2024-02-29 10:34:56.789'],
  ['date', new Date('2024-02-29T23:59:59.999Z'), '2024-02-29'],
  ['timestamptz', new Date('-000043-03-15T12:00:00.000Z'), '0044-03-15 12:00:00+00 BC'],
  ['timestamptz', new Date('+012024-05-06T07:08:09.500Z'), '12024-05-06 07:08:09.5+00'],
  ['timestamp', new Date('0000-01-01T00:00:00Z'), '0001-01-01 00:00:00 BC'],
  ['timestamptz', Infinity, 'infinity'],
  ['int4[]', [1, null, 3], '{1,NULL,3}'],
  [
    'int4[]',
    [
      [1, 2],
      [3, 4],
    ],
    '{{1,2},{3,4}}',
  ],
  ['int4[]', [], '{}'],
  ['int8[]', [1n], '{1}'],
  ['bool[]', [true, null], '{t,NULL}'],
  ['float8[]', [NaN, 1.5], '{NaN,1.5}'],
  ['text[]', ['a', 'b c', 'd"e', 'f\\g', 'NULL', '', '{x}', 'a,b'], '{a,"b c","d\\"e","f\\\\g","NULL","","{x}","a,b"}'],
  ['jsonb[]', [{ a: 1 }, [2], null], '{"{\\"a\\": 1}",[2],NULL}'],
  ['timestamptz[]', [new Date(0)], '{"1970-01-01 00:00:00+00"}'],
  ['bytea[]', [Buffer.from([1])], '{"\\\\x01"}'],
]

const circular: unknown[] = []
circular.push({ again: circular })

/** Parameters that cannot be written, and what the message says of them. */
const unwritable: readonly (readonly [value: unknown, says: RegExp])[] = [
  [() => 'secret', /\$2 .*function/],
  [Symbol('secret'), /\$2 .*symbol/],
  [undefined, /\$2 .*undefined/],
  [new Date(NaN), /\$2 .*invalid date/],
  ['secret\0', /\$2 .*NUL/],
  ['secret\ud800', /\$2 .*surrogate/],
  [{ member: 1n }, /\$2 .*\.member.*JSON/],
  [[new Date(NaN)], /\$2 .*invalid date/],
  [circular, /\$2 .*JSON/],
  [new Map([['secret', 1]]), /\$2 .*Map/],
  [
    {
      get secret(): never {
        throw new Error('secret')
      },
    },
    /\$2 /,
  ],
]

export function parameters({ name, open, table }: ContractTest): void {
  describe(`${name}: parameters`, () => {
    test.each(written)('$1::%s of %o', async (cast, value, text) => {
      const c = await open()
      await c.run("set timezone to 'UTC'")
      const sql = `select $1::${cast}::text as v`

      expect(await c.value(sql, [value])).toBe(text)
      expect(await c.value(c.named(sql), [value])).toBe(text)
      expect(await c.value(c.named(sql), [value])).toBe(text)
    })

    test.each(unwritable)(
      'a parameter that cannot be written fails before anything is sent: %#',
      async (value, says) => {
        const c = await open()
        const op = c.op('select $1::text, $2::text', ['secret', value])
        c.raw.submit(op)

        expect(op.end).toBe('pending')
        expect((await op.settled).end).toBe('encode not_started')
        const message = String((op.failure?.cause as Error | undefined)?.message)
        expect(op.failure?.cause).toBeInstanceOf(ParameterError)
        expect(message).toMatch(says)
        expect(message).not.toContain('secret')
        expect([c.told, c.raw.status]).toEqual([['room', 'idle'], 'idle'])
        expect(await c.unit('begin', c.op('select $1::text, $2::text', ['secret', value]), 'select 1')).toEqual([
          'skipped not_started',
          'encode not_started',
          'skipped not_started',
        ])
        expect(await c.value('select 1')).toBe(1)
      },
    )

    test('an array is JSON for a JSON column and an array for all else, from the first run on', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (j jsonb, a text[])`)
      const sql = `insert into ${t} values ($1, $2) returning *`
      const array = ['x', 'y']
      for (const statement of [c.plain(sql), c.named(sql), c.named(sql)])
        expect(await c.rows(statement, [array, array])).toEqual([{ j: array, a: array }])
      const op = c.op(c.plain(`${sql} `), [[], []])

      expect(await c.unit('begin', op, 'commit')).toEqual(['BEGIN', 'INSERT 1', 'COMMIT'])
      expect(op.rows).toEqual([{ j: [], a: [] }])
    })

    test('what the first run learnt serves other connections', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (j jsonb, a text[])`)
      const statement = c.named(`insert into ${t} values ($1, $2) returning *`)
      await c.run(statement, [[1], ['x']])
      await closeAll()
      const d = await open()

      expect(statement.shape?.params).toEqual([3802, 1009])
      expect(await d.rows(statement, [[2], ['y']])).toEqual([{ j: [2], a: ['y'] }])
    })

    test('a column that becomes JSON gets JSON', async () => {
      const c = await open()
      const t = table()
      await c.run(`create table ${t} (a text[])`)
      for (const statement of [c.named(`insert into ${t} values ($1)`), c.plain(`insert into ${t} values ($1) `)]) {
        await c.run(`alter table ${t} alter a type text[] using null`)
        expect((await c.run(statement, [['x']])).end).toBe('INSERT 1')
        await c.run(`alter table ${t} alter a type jsonb using to_jsonb(a)`)
        expect((await c.run(statement, [['y']])).end).toBe('INSERT 1')
      }
      expect(await c.value(`select a from ${t} offset 3`)).toEqual(['y'])
    })

    test('a unit that fails while a statement is described ends in order', async () => {
      const c = await open()

      expect(await c.unit('select 1', c.op('select $1::int[] from nowhere', [[1]]), 'select 2')).toEqual([
        'skipped rolled_back',
        'server 42P01 rolled_back',
        'skipped not_started',
      ])
      expect(await c.unit('select 1/0', c.op('select $1::int[]', [[1]]))).toEqual([
        'server 22012 rolled_back',
        'skipped not_started',
      ])
      expect(await c.value('select 1')).toBe(1)
    })

    test('what turns out to be unwritable late leaves the connection in order', async () => {
      const c = await open()

      const late = [c.op('select $1::jsonb', [[1n]]), c.op('select $1::text[]', [['\0']])]
      for (const op of late) {
        expect(await c.unit('begin', op, 'select 2')).toEqual(['BEGIN', 'encode not_started', 'skipped not_started'])
        expect(c.raw.status).toBe('tx')
        await c.run('rollback')
      }
      expect(await c.value('select $1::int8[]', [[1n]])).toEqual([1])
    })

    test('a statement takes 65535 parameters and no more', async () => {
      const c = await open()
      const numbers = Array.from({ length: 65_536 }, (_, i) => i)
      const sql = (count: number): string =>
        `select count(*) from (values ${numbers
          .slice(0, count)
          .map((i) => `($${i + 1}::int4)`)
          .join()}) v`

      expect(await c.value(sql(65_535), numbers.slice(0, 65_535))).toBe(65_535)
      expect((await c.run('select 1', numbers)).end).toBe('encode not_started')
      expect((await c.run('select $1::int, $2::int', [1])).end).toBe('server 08P01 rolled_back')
      expect(await c.value('select 1')).toBe(1)
    })
  })
}
