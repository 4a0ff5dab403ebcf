/** The SQL the engine writes itself is exact, and no name or level can smuggle anything into it. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/errors/index.ts'
import { postgres } from '../../src/postgres/dialect.ts'
import { parseIsolation } from '../../src/sql/dialect.ts'
import { Scanner, Token } from '../../src/postgres/lexer.ts'

test.each([
  [undefined, 'BEGIN'],
  [{}, 'BEGIN'],
  [
    { isolation: 'serializable', readOnly: true, deferrable: true },
    'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE',
  ],
  [{ isolation: 'READ_COMMITTED' }, 'BEGIN ISOLATION LEVEL READ COMMITTED'],
  [{ readOnly: false, deferrable: false }, 'BEGIN READ WRITE NOT DEFERRABLE'],
  [{ isolation: undefined, readOnly: undefined, deferrable: undefined }, 'BEGIN'],
])('begin with %j is %s', (options, text) => {
  expect(postgres.begin(options).begin).toBe(text)
})

test.each([
  ['read uncommitted', 'read uncommitted'],
  ['READ_COMMITTED', 'read committed'],
  ['Repeatable-Read', 'repeatable read'],
  ['SERIALIZABLE', 'serializable'],
])('the isolation level %s is %s', (spelled, level) => {
  expect(parseIsolation(spelled)).toBe(level)
})

test.each([
  ['snapshot', '"snapshot"'],
  ['serializable; drop table t', 'a string'],
  ['', 'a string'],
  ['x'.repeat(1000), 'a string'],
  [null, 'null'],
  [7, 'a number'],
  [['serializable'], 'an array'],
  [{ toString: () => 'serializable' }, 'an object'],
])('the isolation level %j is refused with the list of those there are', (value, given) => {
  expect(() => parseIsolation(value)).toThrow(
    new UsageError(
      `The isolation level ${given} does not exist: use one of "read uncommitted", "read committed", "repeatable read", "serializable".`,
    ),
  )
})

test('savepoints are set, released and returned to by their quoted name', () => {
  expect([postgres.savepoint.set('s1'), postgres.savepoint.release('s1'), postgres.savepoint.back('S"1')]).toEqual([
    'SAVEPOINT "s1"',
    'RELEASE SAVEPOINT "s1"',
    'ROLLBACK TO SAVEPOINT "S""1"',
  ])
})

const hostile: readonly string[] = [
  'a"; DROP TABLE t;--',
  'a""b',
  '"',
  '""',
  'a`b',
  '[a]',
  'a.b',
  '"a"."b"',
  '$user',
  'pg_temp',
  '__proto__',
  'Tenant',
  'a\nb',
  '--',
  '/*',
  '\\',
  'U&"\\0022',
  '\uFF02',
  '\u202Ex',
  '😀',
  "'",
  '$$',
  'é'.repeat(31),
  'x'.repeat(63),
]

/** The names a text of one quoted identifier stands for, as the server would read it. */
function read(text: string): string[] {
  const scanner = new Scanner(text)
  const names: string[] = []
  while (scanner.next() !== Token.end) names.push(scanner.kind === Token.quoted ? scanner.name() : 'something else')
  return names
}

test.each(hostile)('the identifier %j means itself', (name) => {
  expect(read(postgres.quote(name))).toEqual([name])
})

test('every identifier that is accepted round-trips, and no two become one', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ unit: fc.constantFrom('"', '\\', '\0', 'a', '\uD800', 'é') }),
  )

  fc.assert(
    fc.property(name, name, (a, b) => {
      const quoted = [a, b].map((each) => {
        try {
          return postgres.quote(each)
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError)
          expect(
            each === '' || each.includes('\0') || /\p{Surrogate}/u.test(each) || Buffer.byteLength(each) > 63,
          ).toBe(true)
          return undefined
        }
      })
      for (const [index, text] of quoted.entries()) if (text !== undefined) expect(read(text)).toEqual([[a, b][index]])
      if (a !== b && quoted[0] !== undefined) expect(quoted[0]).not.toBe(quoted[1])
    }),
  )
})

test.each<[unknown, RegExp]>([
  ['', /is empty/],
  ['a\0b', /NUL/],
  ['\uD800', /surrogate/],
  ['x'.repeat(64), /64 bytes/],
  ['é'.repeat(32), /64 bytes/],
  [7, /a number/],
  [['a'], /an array/],
  [{ toString: () => 'a', replaceAll: () => '"', includes: () => false }, /an object/],
  [undefined, /undefined/],
])('the identifier %j is refused', (name, message) => {
  expect(() => postgres.quote(name as string)).toThrow(UsageError)
  expect(() => postgres.quote(name as string)).toThrow(message)
})

test('settings are set by one statement whose names and values are parameters', () => {
  expect(postgres.settings.set({ search_path: 'a, b', 'app.tenant': 7, jit: false }, 'session')).toEqual({
    sql: 'select set_config($1, $2, false), set_config($3, $4, false), set_config($5, $6, false)',
    params: ['search_path', 'a, b', 'app.tenant', '7', 'jit', 'false'],
  })
  expect(postgres.settings.set({}, 'session')).toEqual({ sql: 'select', params: [] })
})

test('a path of schemas in quotes that ends with pg_temp is set by a text for it alone, until the end of the session', () => {
  const set = (path: string): unknown => postgres.settings.set({ search_path: path }, 'session')

  expect(set('"a", "Ä ;--", pg_temp')).toEqual({ sql: 'set search_path = "a", "Ä ;--", pg_temp', params: [] })
  for (const path of [
    '"a"',
    'a, pg_temp',
    '"a""b", pg_temp',
    '"a,b", pg_temp',
    '"a\\", pg_temp',
    '"a", pg_temp;',
    '',
    'pg_temp',
  ])
    expect(set(path)).toEqual({ sql: 'select set_config($1, $2, false)', params: ['search_path', path] })
  expect(postgres.settings.set({ search_path: '"a", pg_temp' }, 'transaction').params).toHaveLength(2)
  expect(postgres.settings.set({ search_path: '"a", pg_temp', jit: false }, 'session').params).toHaveLength(4)
})

test.each(['', 'a b', 'a;b', 'a..b', '.a', 'a.', '1a', 'a-b', 'a"b', 'é', 'a\0', 'x'.repeat(64), '__proto__ '])(
  'the setting name %j is refused',
  (name) => {
    expect(() => postgres.settings.set({ [name]: 'x' }, 'session')).toThrow(/^PostgreSQL allows no setting named/)
  },
)

test.each([null, undefined, ['x'], { toString: () => 'x' }, Symbol('x')])('a setting cannot be %o', (value) => {
  expect(() => postgres.settings.set({ a: value as string }, 'session')).toThrow(/^The setting "a" is /)
})
