/** Values and the placeholders they stand for. What they become is in conversions.test.ts. */

import { type Params, ParameterError } from 'genever'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { postgresWords } from '../support/dialect-words.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'

forEachDriver((driver) => {
  const { words } = driver
  const [one, two] = [words.placeholder(1), words.placeholder(2)]

  test('numbered ones take an array', async () => {
    const db = await driver.db()

    expect(await db.one(`select 1 * ${one} as a, upper(${two}) as b`, [1, 'x'])).toEqual({ a: 1, b: 'X' })
  })

  test(':name … take an object, each name as often as it is used', async () => {
    const db = await driver.db()

    expect(await db.one('select 1 * :a as a, upper(:b) as b, :a + 1 as c', { a: 1, b: 'x' })).toEqual({
      a: 1,
      b: 'X',
      c: 2,
    })
  })

  test.each([`create view _ as select ${one}`, words.integer, `insert into _ values (${one})`])(
    'an empty list, or names, are values, and have to fit: %s',
    async (text) => {
      const db = await driver.db()
      for (const given of [[], {}, { a: 1 }])
        expect(await caught(db.status(text, given as Params))).toBeInstanceOf(ParameterError)
    },
  )

  test.each([
    words.integer,
    `with x as (select ${one}) select * from x`,
    `insert into _ values (${one})`,
    `values (${two})`,
    `select ${one}; select 2`,
  ])('a value that is surely missing is refused before it is sent: %s', async (text) => {
    const db = await driver.db()
    expect(await caught(db.status(text))).toBeInstanceOf(ParameterError)
    expect(await caught(Promise.resolve().then(() => db.bake(text).all()))).toBeInstanceOf(ParameterError)
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

    expect(await db.scalar(words.integer, [7], { timeoutMs: 10_000 })).toBe(7)
    expect(await db.scalar('select 1', undefined, { timeoutMs: 10_000 })).toBe(1)
  })

  test('parameters may be readonly, frozen and shared, and are not changed', async () => {
    const db = await driver.db()
    const params = Object.freeze([Object.freeze({ a: Object.freeze([2, 3]) })])

    const run = (): Promise<unknown> => db.scalar(words.json, params)

    const expected = { a: [2, 3] }
    expect(await Promise.all([run(), run()])).toEqual([expected, expected])
    expect(params).toEqual([expected])
  })

  test('text of any content stays a value', async () => {
    const db = await driver.db()
    const t = await driver.table('s text')
    const hostile = [`'; drop table ${t}; --`, one, `:a`, `\\'`, `"`, `/*`, '%s', '\u2028', '😀']

    for (const text of hostile) await db.status(`insert into ${t} values (${one})`, [text])

    expect((await db.all(`select s from ${t}`)).map(({ s }) => s)).toEqual(hostile)
  })
})

describe('refused with ParameterError before anything is sent', () => {
  const [one, two] = [1, 2].map((n) => postgresWords.placeholder(n))

  test.each<[string, string, Params | undefined, string]>([
    ['too few', `select ${one}, ${two}`, [1], `placeholders up to ${two}, but 1 value was given`],
    ['none for a text that has some', `select ${one}`, undefined, `one placeholder, ${one}, but 0 values`],
    ['too many', `select ${one}`, [1, 2], `one placeholder, ${one}, but 2 values`],
    ['some for a text without', 'select 1', [1], 'no placeholder, but 1 value'],
    ['undefined', `select ${one}`, [undefined], `${one} is undefined: pass null`],
    ['a name without a value', 'select :a, :b', { a: 1 }, 'There is no value for :b'],
    ['a value without a name', 'select :a', { a: 1, b: 2 }, 'no placeholder for :b'],
    ['an inherited value', 'select :toString', {}, 'There is no value for :toString'],
    ['undefined by name', 'select :a', { a: undefined }, ':a is undefined: pass null'],
    ['both kinds of placeholder', `select ${one}, :a`, { a: 1 }, `mixes ${one} and :name`],
    ['names for numbers', `select ${one}`, { a: 1 }, 'positional'],
    ['options in the place of parameters', 'select 1', { timeoutMs: 5 }, 'Options come after the parameters'],
    ['options of a cursor there', 'select 1', { batchSize: 5 }, 'Options come after the parameters'],
    ['options of rows there', 'select 1', { into: Object }, 'Options come after the parameters'],
    ['a string in the place of parameters', `select ${one}`, 'x' as never, `an array for ${one}`],
    [
      'a query',
      `select ${one}`,
      [{ [Symbol.for('genever.toStatement')]: () => ({ sql: '', params: [] }) }],
      'is a query',
    ],
  ])('%s', async (_, text, params, message) => {
    await using server = await fake()

    const error = await caught(server.db.all(text, params))

    expect(error).toBeInstanceOf(ParameterError)
    expect(error.message).toContain(message)
    expect(error.outcome).toBe('not_started')
    expect(server.sent()).toEqual([])
  })

  test('values of any kind, whose content is never in the message', async () => {
    await using server = await fake()
    const canary = 'canary-value'

    for (const params of [[canary, canary], [{ [canary]: () => 1 }, 1], [Symbol(canary)]]) {
      const error = await caught(server.db.all(`select ${one}`, params))
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
