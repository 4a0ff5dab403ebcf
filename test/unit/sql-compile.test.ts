/** One entry per text and engine, bounded, with a name that is never given twice. */

import { expect, test } from 'vitest'
import { ParameterError, UsageError } from '../../src/errors/index.ts'
import { postgres, sql } from '../../src/postgres/dialect.ts'
import { StatementCache } from '../../src/sql/compile.ts'
import { toStatement } from '../../src/sql/statement.ts'

const prepared = (size?: number): StatementCache => new StatementCache({ dialect: postgres, prepare: true, size })

test('the same text is the same entry', () => {
  const cache = prepared()
  const entry = cache.compile('select 1')

  expect(cache.compile('select 1')).toBe(entry)
  expect(cache.compile('select 2')).not.toBe(entry)
  expect(cache.size).toBe(2)
})

test('an entry has what the engine and the drivers need', () => {
  expect(prepared().compile('select $2::int, $1').compiled).toEqual({
    text: 'select $2::int, $1',
    name: 'g1',
    cls: 'read',
    verb: 'SELECT',
    dirties: 0,
    pins: 0,
    names: 0,
    hasControl: false,
    control: null,
    leaves: false,
    plain: true,
    statements: 1,
    pathless: false,
    reach: null,
    reachAt: -1,
    shape: null,
  })
})

test.each([
  ['select 1', 'g1'],
  ['insert into t values (1)', 'g1'],
  ['with a as (select 1) select 2', 'g1'],
  ['merge into t using u on a = b when matched then delete', 'g1'],
  ['begin', ''],
  ['vacuum t', ''],
  ['set a = 1', ''],
  ['create table t (a int)', ''],
  ['explain select 1', ''],
  ['select 1; select 2', ''],
  ['', ''],
])('%j is prepared under the name %j', (text, name) => {
  expect(prepared().compile(text).compiled.name).toBe(name)
})

test('without preparing nothing has a name', () => {
  const cache = new StatementCache({ dialect: postgres, prepare: false })

  expect(cache.compile('select 1').compiled.name).toBe('')
  expect(cache.compile('select :a').bind({ a: 1 }).compiled.name).toBe('')
})

test('positional values are bound as they are', () => {
  const entry = prepared().compile('select $1, $2')
  const params = [1, null]

  expect(entry.bind(params)).toEqual({ compiled: entry.compiled, params: [1, null] })
  expect(entry.bind(params).params).toBe(params)
  expect(prepared().compile('select 1').bind(undefined).params).toEqual([])
})

test('named values are bound to a form of their own, made once', () => {
  const entry = prepared().compile('select :a, :b, :a from t for update')
  const first = entry.bind({ b: 2, a: 1 })

  expect(first.params).toEqual([1, 2])
  expect(first.compiled).toEqual({ ...entry.compiled, text: 'select $1, $2, $1 from t for update', name: 'g2' })
  expect(entry.bind({ a: 3, b: 4 }).compiled).toBe(first.compiled)
  expect(entry.compiled.text).toBe('select :a, :b, :a from t for update')
})

test('a text without placeholders takes an empty object', () => {
  const entry = prepared().compile('select 1')

  expect(entry.bind({})).toEqual({ compiled: entry.compiled, params: [] })
})

test.each<[string, unknown, RegExp]>([
  ['select $1', undefined, /one placeholder, \$1, but 0 values/],
  ['select $1', [1, 2], /2 values were given/],
  ['select $1', { a: 1 }, /pass an array/],
  ['select 1', { a: 1 }, /no placeholder for :a/],
  ['select :a', {}, /There is no value for :a/],
  ['select :a, $1', { a: 1 }, /mixes/],
  ['select $1', 'x', /not a string/],
  ['select $1', null, /not null/],
  ['select $99999999999999999999', [], /0 values were given/],
])('%s with %j is refused, with the text in the error', (text, params, message) => {
  const entry = prepared().compile(text)

  expect(() => entry.bind(params as [])).toThrow(ParameterError)
  expect(() => entry.bind(params as [])).toThrow(message)
})

test.each(['select 1\0; drop table t', "select '\ud83d'", 'select 1 as "\ude00"'])(
  'a text with a NUL character or half of another is refused: %j',
  (text) => {
    expect(() => prepared().compile(text)).toThrow(UsageError)
  },
)

test('the cache is bounded, and spares what is used', () => {
  const cache = prepared(3)
  const kept = cache.compile('select 1')
  for (let index = 2; index < 100; index++) {
    cache.compile(`select ${index}`)
    expect(cache.compile('select 1')).toBe(kept)
    expect(cache.size).toBeLessThanOrEqual(3)
  }
})

test('a text that comes back after it was dropped has a new name', () => {
  const cache = prepared(1)
  const names = ['a', 'b', 'a', 'b'].map((column) => cache.compile(`select ${column}`).compiled.name)

  expect(names).toEqual(['g1', 'g2', 'g3', 'g4'])
})

test('when everything is in use the oldest goes', () => {
  const cache = prepared(2)
  const [first, second] = ['select 1', 'select 2'].map((text) => cache.compile(text))
  cache.compile('select 1')
  cache.compile('select 2')
  cache.compile('select 3')

  expect(cache.compile('select 2')).toBe(second)
  expect(cache.compile('select 1')).not.toBe(first)
})

test('a very long text works, but is neither kept nor named', () => {
  const cache = prepared()
  const text = `insert into t values ${Array.from({ length: 40_000 }, (_, index) => `($${index + 1})`).join(', ')}`
  const entry = cache.compile(text)

  expect([entry.parameters, entry.compiled.name, entry.compiled.cls, cache.size]).toEqual([40_000, '', 'write', 0])
})

test("the engine's own statements are unnamed and kept apart", () => {
  const cache = prepared(2)
  const commit = cache.compileInternal('COMMIT')

  expect(commit).toMatchObject({ text: 'COMMIT', name: '', cls: 'control', hasControl: true, dirties: 0 })
  expect(cache.compileInternal('COMMIT')).toBe(commit)
  expect(cache.size).toBe(0)
})

test('BEGIN of the engine is prepared, once for all paths, where statements are', () => {
  expect(prepared(2).compileInternal('BEGIN READ ONLY')).toMatchObject({ name: 'g1', pathless: true, cls: 'control' })
  expect(new StatementCache({ dialect: postgres, prepare: false }).compileInternal('BEGIN')).toMatchObject({
    name: '',
    pathless: false,
  })
})

test('a template finds its entry by the same text each time', () => {
  const cache = prepared()
  const run = (value: number) => {
    const { sql: text, params } = sql`select ${value}`[toStatement]()
    return cache.compile(text).bind(params)
  }

  expect(run(1).compiled).toBe(run(2).compiled)
  expect(run(3).params).toEqual([3])
})
