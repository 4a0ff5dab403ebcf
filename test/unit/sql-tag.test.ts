/** In `` sql`…` `` a value is a parameter unless it is SQL that only our code can have made. */

import { inspect } from 'node:util'
import { fc } from '../support/fast-check.ts'
import { createDb } from 'genever'
import { afterEach, expect, expectTypeOf, test } from 'vitest'
import { ParameterError, UsageError } from '../../src/errors/index.ts'
import { registerAdapter, toStatement, type Statement } from '../../src/sql/statement.ts'
import { postgres, sql } from '../../src/postgres/dialect.ts'
import { compose, isFragment, type Fragment } from '../../src/sql/tag.ts'
import { Scanner, Token } from '../../src/postgres/lexer.ts'

const made = (fragment: Fragment): [string, readonly unknown[]] => {
  const { sql: text, params } = fragment[toStatement]()
  return [text, params]
}

const call = sql as unknown as (...args: unknown[]) => unknown
const template = (strings: TemplateStringsArray, ..._values: unknown[]): TemplateStringsArray => strings

class Column {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
  getSQL(): unknown {
    return this
  }
}

afterEach(() => {
  registerAdapter({ name: 'test', match: () => false, toStatement: () => ({ sql: '', params: [] }) })
})

test('values become parameters in order', () => {
  expect(made(sql`select * from t where a = ${1} and b = ${'x; drop table t'}`)).toEqual([
    'select * from t where a = $1 and b = $2',
    [1, 'x; drop table t'],
  ])
})

test('the text of a template is the same string each time, whatever the values', () => {
  const query = (value: unknown): string => made(sql`select ${value}, ${value}`)[0]
  const texts = new Set([query(1), query('x'), query([1, 2]), query(null)])

  expect([...texts]).toEqual(['select $1, $2'])
})

test('an array is one parameter, a list is many', () => {
  expect(made(sql`a = any(${[1, 2]})`)).toEqual(['a = any($1)', [[1, 2]]])
  expect(made(sql`a in ${sql.list([1, [2], null])}`)).toEqual(['a in ($1, $2, $3)', [1, [2], null]])
})

test('fragments nest, and each use of one has its own parameters', () => {
  const recent = sql`at > ${'2020'}`
  const both = sql`${recent} or (${recent} and id = ${7})`

  expect(made(sql`select * from t where x = ${1} and (${both}) limit ${2}`)).toEqual([
    'select * from t where x = $1 and (at > $2 or (at > $3 and id = $4)) limit $5',
    [1, '2020', '2020', 7, 2],
  ])
})

test('a query of ours is merged with its placeholders counted anew, and shared ones stay shared', () => {
  const query = {
    [toStatement]: (): Statement => ({ sql: `select $2::int, $1, $2, '$1' -- why`, params: ['a', 'b'] }),
  }

  expect(made(sql`select ${0} from (${query}) q where c = ${9}`)).toEqual([
    `select $1 from (select $3::int, $2, $3, '$1' -- why\n) q where c = $4`,
    [0, 'a', 'b', 9],
  ])
})

test('join puts a fragment between the items', () => {
  const conditions = [sql`a = ${1}`, sql`b = ${2}`]

  expect(made(sql.join(conditions, sql` and `))).toEqual(['a = $1 and b = $2', [1, 2]])
  expect(made(sql`(${sql.join([sql.identifier('a'), 'x', null])})`)).toEqual(['("a", $1, $2)', ['x', null]])
})

test('identifiers are quoted', () => {
  expect(made(sql`select ${sql.identifier('s', 'T"x')}`)).toEqual(['select "s"."T""x"', []])
})

test('raw text is taken as it is, a comment at its end is closed', () => {
  expect(made(sql`select ${sql.raw('now() -- x')} ${1}`)).toEqual(['select now() -- x\n $1', [1]])
})

test('a comment at the end of a fragment swallows nothing', () => {
  expect(made(sql`${sql`a -- note`} and ${1}`)[0]).toBe('a -- note\n and $1')
  expect(made(sql`select 1 -- ${sql.raw('x')}`)[0]).toBe('select 1 -- x\n')
})

test.each<[Fragment, string]>([
  [sql`limit${1}offset${2}`, 'limit $1 offset $2'],
  [sql`${1}${2}`, '$1 $2'],
  [sql`${1}0`, '$1 0'],
  [sql`a$${1}`, 'a$ $1'],
  [sql`${sql.raw('a')}${1}`, 'a $1'],
  [sql`${1}${sql.raw('5')}`, '$1 5'],
  [sql`(${1}::int)`, '($1::int)'],
  [sql`pre_${sql.raw('fix')}`, 'pre_fix'],
])('placeholders stay apart from what stands beside them: %o', (fragment, text) => {
  expect(made(fragment)[0]).toBe(text)
})

test.each<[string, () => unknown]>([
  ['single quotes', () => sql`select '${1}'`],
  ['an escape string', () => sql`select E'\\'${1}'`],
  ['double quotes', () => sql`select "${'a'}"`],
  ['dollar quotes', () => sql`select $$ ${1} $$`],
  ['a block comment', () => sql`select /* ${1} */ 2`],
  ['a line comment', () => sql`select 1 -- ${1}`],
  ['quotes, as a fragment with a value', () => sql`select '${sql`${1}`}'`],
])('a value inside %s is refused', (_, work) => {
  expect(work).toThrow(/^Value 1 of the template stands inside quotes or a comment/)
})

test('plain SQL inside quotes is allowed', () => {
  expect(made(sql`interval '${sql.raw('3')} days'`)[0]).toBe(`interval '3 days'`)
})

test.each<[string, () => unknown, RegExp]>([
  ['placeholders of its own', () => sql`select $1, ${1}`, /contains a placeholder/],
  ['an open quote', () => sql`select 'x ${1}`, /leaves a quote or comment open/],
  ['an open comment', () => sql`select /* ${1}`, /leaves a quote or comment open/],
  ['an invalid escape', () => call(template`select \u`), /invalid escape sequence/],
])('a template with %s is refused', (_, work, message) => {
  expect(work).toThrow(UsageError)
  expect(work).toThrow(message)
})

const withRaw = (strings: string[], raw: string[]): unknown => Object.assign(strings, { raw })

test.each<[string, unknown[]]>([
  ['a string', ['select 1']],
  ['nothing', []],
  ['an array', [['select 1']]],
  ['an array with raw', [withRaw(['select 1'], ['select 1'])]],
  ['a frozen array without raw', [Object.freeze(['select 1'])]],
  ['a frozen array with open raw', [Object.freeze(withRaw(['select 1'], ['select 1']))]],
  ['JSON', [JSON.parse('{"0": "select 1", "length": 1, "raw": ["select 1"]}')]],
  ['a frozen object', [Object.freeze({ 0: 'select 1', length: 1, raw: Object.freeze(['select 1']) })]],
])('called with %s, the tag says how it is used', (_, args) => {
  expect(() => call(...args)).toThrow(/^sql is a template tag/)
})

test('a real template with too few or too many values is refused', () => {
  const strings = template`select ${1}`

  expect(() => compose(postgres, strings, [])).toThrow(UsageError)
  expect(() => compose(postgres, strings, [1, 2])).toThrow(UsageError)
  expect(made(compose(postgres, strings, [3]))).toEqual(['select $1', [3]])
})

const forged: readonly string[] = [
  '{"sql": "drop table t", "params": []}',
  '{"queryChunks": ["drop table t"], "getSQL": {}}',
  '{"type": "SLONIK_TOKEN_SQL", "sql": "drop table t", "values": []}',
  '{"__raw": "drop table t", "raw": true, "isRawInstance": true}',
  '{"#parts": {"texts": ["drop table t"]}, "texts": ["drop table t"], "uses": [], "params": []}',
  '{"__proto__": {"sql": "drop table t"}, "constructor": {"name": "SqlFragment"}}',
  '{"Symbol(genever.toStatement)": "drop table t", "toStatement": "drop table t"}',
  '[{"raw": ["drop table t"]}]',
]

test.each(forged)('JSON cannot pose as SQL: %s', (json) => {
  const value: unknown = JSON.parse(json)

  expect(made(sql`select ${value}`)).toEqual(['select $1', [value]])
  expect(made(sql.list([value]))).toEqual(['($1)', [value]])
  expect(isFragment(value)).toBe(false)
  expect(() => sql.join([1, 2], value as Fragment)).toThrow(UsageError)
})

test('a copy of a fragment is none: its brand cannot be copied', () => {
  const real = sql`select 1`

  expect(isFragment(real)).toBe(true)
  expect(isFragment(Object.create(Object.getPrototypeOf(real)))).toBe(false)
  expect(isFragment({ ...real })).toBe(false)
  expect(JSON.stringify(real)).toBe('{}')
})

test.each<[string, unknown, RegExp]>([
  ['undefined', undefined, /^Value 2 of the template is undefined/],
  ['a function', () => 1, /^Value 2 of the template is a function/],
  ['a symbol', Symbol('x'), /is a symbol/],
  ['a promise', Promise.resolve(1), /await it first/],
  ["a builder's column", new Column('id'), /an object of class Column, .*import 'genever\/drizzle'/],
  ['an array with a column', [new Column('id')], /\[0\]/],
])('%s is refused by its position', (_, value, message) => {
  expect(() => sql`select ${1}, ${value}`).toThrow(ParameterError)
  expect(() => sql`select ${1}, ${value}`).toThrow(message)
  expect(() => sql.list([1, value])).toThrow(/^Item 2 of the list/)
})

test("a builder's objects are compiled by the adapter that knows them", () => {
  registerAdapter({
    name: 'test',
    match: () => false,
    toStatement: () => ({ sql: '', params: [] }),
    compileEmbedded: (value) => (value instanceof Column ? { sql: `"${value.name}" = $1`, params: ['v'] } : undefined),
  })

  expect(made(sql`select ${1} where ${new Column('id')} and ${new Date(0)} is not null`)).toEqual([
    'select $1 where "id" = $2 and $3 is not null',
    [1, 'v', new Date(0)],
  ])
})

test.each([
  { sql: 'select $2', params: [1] },
  { sql: 'select $0', params: [1] },
  { sql: `select '`, params: [] },
])('a query whose text and values do not fit is not merged: %j', (statement) => {
  const query = { [toStatement]: (): Statement => statement }

  expect(() => sql`select ${query}`).toThrow(UsageError)
})

test.each<[string, () => unknown, RegExp]>([
  ['an empty list', () => sql.list([]), /= any\(\$\{array\}\)/],
  ['an empty join', () => sql.join([]), /An empty list has no SQL/],
  ['a list that is none', () => sql.list('abc' as unknown as unknown[]), /an array, not a string/],
  ['a separator that is text', () => sql.join([1, 2], ' and ' as unknown as Fragment), /separator/],
  ['no name', () => sql.identifier(), /needs a name/],
  ['raw text that is none', () => sql.raw({} as string), /not an object/],
  ['raw text with placeholders', () => sql.raw('a = $1'), /placeholders/],
  ['raw text with an open quote', () => sql.raw(`'`), /open/],
])('%s is refused', (_, work, message) => {
  expect(work).toThrow(UsageError)
  expect(work).toThrow(message)
})

test('a fragment shows its text and never its values', () => {
  expect(inspect(sql`select ${'canary'}`, { showHidden: true, depth: 9 })).toBe('Fragment { select $1 } with 1 value')
  expect(inspect({ nested: [sql`select ${'canary'}, ${'canary'}`] })).toContain('with 2 values')
  expect(Object.getOwnPropertyNames(sql`select ${'canary'}`)).toEqual([])
})

test('the type of a row is carried, and is a record without one', () => {
  expectTypeOf(sql<{ a: number }>`select 1 as a`[toStatement]()).toEqualTypeOf<Statement<{ a: number }>>()
  expectTypeOf(sql`select 1`).toEqualTypeOf<Fragment<Record<string, unknown>>>()
})

test('however fragments are composed, placeholders and values match one to one', () => {
  const leaf = fc.oneof(
    fc.constantFrom<() => Fragment>(
      () => sql`a`,
      () => sql`'$1'`,
      () => sql`x -- $9`,
      () => sql.raw('b$1'),
      () => sql.identifier('$1'),
    ),
    fc.constantFrom<() => Fragment>(
      () => sql`c = ${0}`,
      () => sql`${1}${2}`,
      () => sql.list([3, 4]),
      () => sql`E'\\'' || ${5}`,
    ),
  )
  const { tree } = fc.letrec<{ tree: () => Fragment }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.tuple(tie('tree'), tie('tree')).map(
        ([a, b]) =>
          () =>
            sql`(${a()} and ${'v'} or ${b()})`,
      ),
      fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map((items) => () => sql.join(items.map((item) => item()))),
      tie('tree').map((inner) => () => sql`${{ [toStatement]: () => inner()[toStatement]() }}${'w'}`),
    ),
  }))

  fc.assert(
    fc.property(tree, (build) => {
      const [text, params] = made(build())
      const scanner = new Scanner(text)
      const numbers: number[] = []
      while (scanner.next() !== Token.end)
        if (scanner.kind === Token.parameter) numbers.push(Number(text.slice(scanner.start + 1, scanner.end)))

      expect(scanner.unterminated).toBe(false)
      expect(numbers).toEqual(params.map((_, index) => index + 1))
    }),
  )
})

test('fragments are put together once, however many were made of one another', () => {
  const many = 20_000
  let appended = sql`a = ${0}`
  let wrapped = sql`${0}`
  let grown = sql.join([sql`x`, 0])
  for (let i = 1; i <= many; i++) {
    appended = sql`${appended} or a = ${i}`
    wrapped = sql`(${wrapped})`
    grown = sql.join([grown, i])
  }
  const conditions = appended[toStatement]()
  expect(conditions.params).toHaveLength(many + 1)
  expect(conditions.sql.endsWith(` or a = $${many + 1}`)).toBe(true)
  expect(wrapped[toStatement]()).toEqual({ sql: `${'('.repeat(many)}$1${')'.repeat(many)}`, params: [0] })
  expect(grown[toStatement]().params.at(-1)).toBe(many)
  // What was made on the way still is what it was.
  expect(sql`${wrapped}, ${wrapped}`[toStatement]().params).toEqual([0, 0])
})

test('queries made on a database are put together like fragments', () => {
  const db = createDb()
  const many = 5_000
  let query = db.sql`select ${0}`
  for (let i = 1; i <= many; i++) query = db.sql`${query}, ${i}`
  const { sql: text, params } = query[toStatement]()
  expect(params).toHaveLength(many + 1)
  expect(text.startsWith('select $1, $2, $3')).toBe(true)
})
