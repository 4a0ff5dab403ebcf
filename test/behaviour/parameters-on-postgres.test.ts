/** Placeholders in the texts of PostgreSQL: bodies of functions, casts, dollar quotes, arrays, and how many there can be. */

import { ParameterError, QueryError, sql, UsageError } from 'genever'
import { expect, test } from 'vitest'
import { caught, thrownBy } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
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

  test('a number arrives with the digits that it is written with', async () => {
    const db = await driver.db()
    const numbers = [0, -0, 1, 9, 10, 99, 100, 999_999_999, 1_000_000_000, 2_147_483_647, 2_147_483_648, 4_294_967_297]
    const others = [-1, -10, -2_147_483_648, 0.5, 10.25, 9_007_199_254_740_991, 1e21, 5e-324, NaN, Infinity]

    for (const number of [...numbers, ...others])
      expect(await db.all('select $1::text as a, $2::text as b', [number, 7])).toEqual([
        { a: Object.is(number, -0) ? '-0' : String(number), b: '7' },
      ])
  })

  test('more than a message of the protocol holds is refused before anything is sent, and the transaction goes on', async () => {
    const db = await driver.db()
    await db.transaction(async (tx) => {
      const half = Buffer.alloc(2 ** 29)
      for (const params of [[Buffer.alloc(2 ** 30 - 1)], [half, half]]) {
        const error = await caught(
          tx.all(`select ${params.map((_, at) => `length($${at + 1}::bytea)`).join()}`, params),
        )
        expect(error).toBeInstanceOf(ParameterError)
        expect(error).toMatchObject({ outcome: 'not_started', message: expect.stringContaining('1 GB') })
      }
      expect(await tx.scalar('select 1')).toBe(1)
    })
  })

  test('a value that the server cannot read is named by its parameter', async () => {
    const db = await driver.single()
    for (const [text, values, message] of [
      ['select $1::int + $2::int', ['1', 'hunter2'], 'invalid input syntax for type integer: "…" (parameter $2)'],
      ['select :at::timestamptz', { at: 'hunter2' }, /^invalid input syntax for .*: "…" \(parameter \$1\)$/],
    ] as const)
      for (let run = 0; run < 2; run++) {
        const error = await caught(db.scalar(text, values))
        expect(error).toBeInstanceOf(QueryError)
        expect(error.message).toEqual(typeof message === 'string' ? message : expect.stringMatching(message))
      }
  })

  test('a placeholder where the grammar takes no value is refused with what to write instead', async () => {
    const db = await driver.single()
    for (const [text, values] of [
      ['select 1 where 1 in $1', [[1, 2]]],
      ['select * from $1', ['pg_class']],
    ] as const) {
      const { message } = await caught(db.all(text, values))
      expect(message).toContain(
        'syntax error at or near "$1". A placeholder stands for one value: write = any(…) for a list',
      )
    }
    expect((await caught(db.all('select 1 form x'))).message).not.toContain('placeholder')
  })

  test.each([
    [
      'an array',
      'date',
      [[1], [2, 3]],
      'is an array, for a type that is no array: a list of values is compared by = any($1)',
    ],
    [
      'an array',
      'timestamptz',
      [new Date(0)],
      'is an array, for a type that is no array: a list of values is compared by = any($1)',
    ],
    ['an array', 'int4', [1], 'is an array, for a type that is no array: a list of values is compared by = any($1)'],
    ['an array', 'bytea', [1, 2], 'is no bytes, for a type that is made of them'],
    ['a date', 'bytea', new Date(0), 'is no bytes, for a type that is made of them'],
    ['an object', 'bytea', { type: 'Buffer', data: [1, 2] }, 'is no bytes, for a type that is made of them'],
    ['an object', 'int4', { a: 1 }, 'is an object, for a type that is no object'],
    ['an empty object', 'text[]', {}, 'is an object, for a type that is an array'],
    ['an object', 'jsonb[]', { a: undefined }, 'is an object, for a type that is an array'],
    ['numbers', 'bytea[]', [1, 2], 'holds a number, for elements that are bytes'],
    ['dates', 'bytea[]', [new Date(0)], 'is no bytes, for a type that is made of them'],
    ['bytes', 'float8', Buffer.alloc(8), 'is bytes, for a type that is not made of bytes'],
  ])('%s for %s is refused in every run, and nothing else is', async (_, type, value, message) => {
    const db = await driver.single()
    const text = `select ($1::${type})::text`
    for (let run = 0; run < 3; run++) {
      const error = await caught(db.scalar(text, [value]))
      expect(error).toBeInstanceOf(ParameterError)
      expect(error).toMatchObject({ outcome: 'not_started', message: `Parameter $1 ${message}.` })
    }
    expect(await db.scalar(text, [null])).toBe(null)
    await db.transaction(async (tx) => {
      expect(await caught(tx.scalar(text, [value]))).toBeInstanceOf(ParameterError)
      expect(await tx.scalar(text, [null])).toBe(null)
    })
    expect(await db.scalar(text, [null])).toBe(null)
  })

  test('a statement takes thousands of them', async () => {
    const db = await driver.db()
    const values = Array.from({ length: 30_000 }, (_, n) => n)

    const text = `select count(*) from (values ${values.map((_, n) => `($${n + 1}::int)`).join(',')}) v`

    expect(await db.scalar(text, values)).toBe(30_000)
  })
})

test('a placeholder in a template is refused', () => {
  const error = thrownBy(() => sql`select $1, ${1}`)

  expect(error).toBeInstanceOf(UsageError)
  expect(error.message).toContain('contains a placeholder')
})

test('more than the protocol can count, with the advice to send arrays', async () => {
  await using server = await fake()
  const values = Array.from({ length: 65_536 }, (_, n) => n)

  const error = await caught(server.db.all(`select ${values.map((_, n) => `$${n + 1}`).join(',')}`, values))

  expect(error).toBeInstanceOf(ParameterError)
  expect(error.message).toContain('unnest')
  expect(server.sent()).toEqual([])
})
