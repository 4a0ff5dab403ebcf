/** Values and the placeholders they stand for. What they become is in conversions.test.ts. */

import { type Params, ParameterError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  test('$1 … take an array', async () => {
    const db = await driver.db()

    expect(await db.one('select $1::int as a, $2::text as b, $1::int + 1 as c', [1, 'x'])).toEqual({
      a: 1,
      b: 'x',
      c: 2,
    })
  })

  test(':name … take an object, each name as often as it is used', async () => {
    const db = await driver.db()

    expect(await db.one('select :a::int as a, :b::text as b, :a::int + 1 as c', { a: 1, b: 'x' })).toEqual({
      a: 1,
      b: 'x',
      c: 2,
    })
  })

  test('a text without values is sent as it is, also with $1 for the sake of the server', async () => {
    const db = await driver.single()
    const name = await driver.table('n int')
    for (const text of [
      `create function ${name}a(int) returns int language sql return $1 + 1`,
      `create function ${name}b(int, int) returns int begin atomic select $1 + $2; end`,
      `create or replace function ${name}c(int) returns int language sql as $$ select $1 $$; select 1`,
      `do $$ begin perform ${name}a(1); end $$`,
    ]) {
      await db.status(text)
    }
    await db.status(`create or replace function ${name}a(int) returns int language sql return $1 + 2`, undefined, {})
    await db.bake(`create or replace function ${name}b(int, int) returns int begin atomic select $2 - $1; end`).all()
    expect(await db.all(`select ${name}a(1) as a, ${name}b(1, 2) as b, ${name}c(3) as c`)).toEqual([
      { a: 3, b: 1, c: 3 },
    ])
    await db.scope(async () => {
      await db.status(`prepare ${name}p(int) as select $1 + 1 as n`)
      expect(await db.all(`execute ${name}p(1)`)).toEqual([{ n: 2 }])
    })
  })

  test.each([
    'create function _(int) returns int language sql return $1',
    'select $1::int',
    'insert into _ values ($1)',
  ])('an empty list, or names, are values, and have to fit: %s', async (text) => {
    const db = await driver.db()
    for (const given of [[], {}, { a: 1 }])
      expect(await caught(db.status(text, given as Params))).toBeInstanceOf(ParameterError)
  })

  test.each([
    'select $1::int',
    'with x as (select $1) select * from x',
    'insert into _ values ($1)',
    'values ($2)',
    'select $1; select 2',
  ])('a value that is surely missing is refused before it is sent: %s', async (text) => {
    const db = await driver.db()
    expect(await caught(db.status(text))).toBeInstanceOf(ParameterError)
    expect(await caught(Promise.resolve().then(() => db.bake(text).all()))).toBeInstanceOf(ParameterError)
  })

  test('colons in casts, slices, quotes and comments are no names', async () => {
    const db = await driver.db()
    const text = `select '12:30'::time as t, (array[1,2,3])[1:2] as s, ':a' as q, $$ :b $$ as d, "c:d" as i, :n::int as n /* :e */ -- :f
      from (select 1 as "c:d") x`

    expect(await db.one(text, { n: 7 })).toEqual({ t: '12:30:00', s: [1, 2], q: ':a', d: ' :b ', i: 1, n: 7 })
  })

  test('dollars in quotes and dollar quotes are no placeholders', async () => {
    const db = await driver.db()

    expect(await db.one(`select '$1' as q, $tag$ $2 $tag$ as d, $1::int as n`, [7])).toEqual({
      q: '$1',
      d: ' $2 ',
      n: 7,
    })
  })

  test('a text without placeholders takes none, an empty array or an empty object', async () => {
    const db = await driver.db()

    expect(await db.scalar('select 1')).toBe(1)
    expect(await db.scalar('select 1', undefined)).toBe(1)
    expect(await db.scalar('select 1', [])).toBe(1)
    expect(await db.scalar('select 1', {})).toBe(1)
  })

  test('options come after the parameters', async () => {
    const db = await driver.db()

    expect(await db.scalar('select $1::int', [7], { timeoutMs: 10_000 })).toBe(7)
    expect(await db.scalar('select 1', undefined, { timeoutMs: 10_000 })).toBe(1)
  })

  test('parameters may be readonly, frozen and shared, and are not changed', async () => {
    const db = await driver.db()
    const params = Object.freeze([1, Object.freeze([2, 3]), Object.freeze({ a: 4 })])

    const run = (): Promise<unknown> => db.one('select $1::int as a, $2::int[] as b, $3::jsonb as c', params)

    const expected = { a: 1, b: [2, 3], c: { a: 4 } }
    expect(await Promise.all([run(), run()])).toEqual([expected, expected])
    expect(params).toEqual([1, [2, 3], { a: 4 }])
  })

  test('text of any content stays a value', async () => {
    const db = await driver.db()
    const t = await driver.table('s text')
    const hostile = [`'; drop table ${t}; --`, `$1`, `:a`, `\\'`, `"`, `/*`, '%s', '\u2028', '😀']

    for (const text of hostile) await db.status(`insert into ${t} values ($1)`, [text])

    expect((await db.all(`select s from ${t}`)).map(({ s }) => s)).toEqual(hostile)
  })

  test('an array in one parameter serves any number of values', async () => {
    const db = await driver.db()

    expect(await db.scalar('select count(*) from generate_series(1, 10) n where n = any($1)', [[2, 4, 99]])).toBe(2)
    expect(await db.scalar('select count(*) from generate_series(1, 10) n where n = any($1)', [[]])).toBe(0)
    expect(
      await db.all('select * from unnest($1::int[], $2::text[]) as x(n, s)', [
        [1, 2],
        ['a', null],
      ]),
    ).toEqual([
      { n: 1, s: 'a' },
      { n: 2, s: null },
    ])
  })

  test('a statement takes thousands of them', async () => {
    const db = await driver.db()
    const values = Array.from({ length: 30_000 }, (_, n) => n)

    const text = `select count(*) from (values ${values.map((_, n) => `($${n + 1}::int)`).join(',')}) v`

    expect(await db.scalar(text, values)).toBe(30_000)
  })
})

describe('refused with ParameterError before anything is sent', () => {
  test.each<[string, string, Params | undefined, RegExp]>([
    ['too few', 'select $1, $2', [1], /placeholders up to \$2, but 1 value was given/],
    ['none for a text that has some', 'select $1', undefined, /one placeholder, \$1, but 0 values/],
    ['too many', 'select $1', [1, 2], /one placeholder, \$1, but 2 values/],
    ['some for a text without', 'select 1', [1], /no placeholder, but 1 value/],
    ['undefined', 'select $1', [undefined], /\$1 is undefined.*null/],
    ['a name without a value', 'select :a, :b', { a: 1 }, /There is no value.*:b/],
    ['a value without a name', 'select :a', { a: 1, b: 2 }, /no placeholder for :b/],
    ['an inherited value', 'select :toString', {}, /There is no value.*:toString/],
    ['undefined by name', 'select :a', { a: undefined }, /:a is undefined.*null/],
    ['both kinds of placeholder', 'select $1, :a', { a: 1 }, /mixes \$1 and :name/],
    ['names for $1', 'select $1', { a: 1 }, /positional/],
    ['options in the place of parameters', 'select 1', { timeoutMs: 5 }, /Options come after the parameters/],
    ['a string in the place of parameters', 'select $1', 'x' as never, /an array for \$1/],
    ['a query', 'select $1', [{ [Symbol.for('genever.toStatement')]: () => ({ sql: '', params: [] }) }], /is a query/],
  ])('%s', async (_, text, params, message) => {
    await using server = await fake()

    const error = await caught(server.db.all(text, params))

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toMatch(message)
    expect(error.outcome).toBe('not_started')
    expect(server.sent()).toEqual([])
  })

  test('more than the protocol can count, with the advice to send arrays', async () => {
    await using server = await fake()
    const values = Array.from({ length: 65_536 }, (_, n) => n)

    const error = await caught(server.db.all(`select ${values.map((_, n) => `$${n + 1}`).join(',')}`, values))

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toContain('unnest')
    expect(server.sent()).toEqual([])
  })

  test('values of any kind, whose content is never in the message', async () => {
    await using server = await fake()
    const canary = 'canary-value'

    for (const params of [[canary, canary], [{ [canary]: () => 1 }, 1], [Symbol(canary)]]) {
      const error = await caught(server.db.all('select $1', params))
      expect(error.message).not.toContain(canary)
    }
  })
})

test('a text with NUL is refused', async () => {
  await using server = await fake()

  const error = await caught(server.db.all('select 1\0; drop table t'))

  expect(error.code).toBe('GENEVER_USAGE')
  expect(server.sent()).toEqual([])
})
