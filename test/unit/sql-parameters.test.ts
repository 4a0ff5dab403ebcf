/** Values fit their placeholders, are data, and appear in no message. */

import { runInNewContext } from 'node:vm'
import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { ParameterError } from '../../src/errors/index.ts'
import { postgres, sql } from '../../src/postgres/dialect.ts'
import { bindNamed, checkPositional, namedForm, refusal } from '../../src/sql/parameters.ts'
import { toStatement } from '../../src/sql/statement.ts'

const secret = 'canary-7f3a'

/** The error of a call that must throw one. */
function failure(work: () => unknown): ParameterError {
  try {
    work()
  } catch (error) {
    if (error instanceof ParameterError) return error
    throw error
  }
  throw new ParameterError('nothing was thrown')
}

test('named parameters become numbers, a repeated name the same one', () => {
  expect(namedForm(postgres, `select * from t where a = :a and b in (:b, :a) and c = ':c'::text`)).toEqual({
    text: `select * from t where a = $1 and b in ($2, $1) and c = ':c'::text`,
    names: ['a', 'b'],
  })
})

test('a text without named parameters has no named form', () => {
  expect(namedForm(postgres, `select a[1:n], b::int, ':x', "y:z" -- :c`)).toBeNull()
})

test.each([
  [`select:a`, `select $1`],
  [`a$:b`, `a$ $1`],
  [`1:b`, `1 $1`],
  [`:a:b`, `$1 $2`],
  [`:a::int`, `$1::int`],
  [`array[:a,:b]`, `array[$1,$2]`],
  [`limit:a offset:b`, `limit $1 offset $2`],
])('the placeholders of %s stay apart from their neighbours', (text, expected) => {
  expect(namedForm(postgres, text)?.text).toBe(expected)
})

test('only the placeholders of a text change, whatever quotes and comments surround them', () => {
  const piece = fc.constantFrom(
    `':x'`,
    `E'\\':x'`,
    `"a:x"`,
    `$$:x$$`,
    `-- :x\n`,
    `/* :x */`,
    `::text`,
    `a[1:x]`,
    ` `,
    `=`,
    `(`,
    `)`,
  )
  const name = fc.constantFrom('a', 'b', 'c_1', 'é')

  fc.assert(
    fc.property(fc.array(fc.tuple(piece, name), { minLength: 1, maxLength: 10 }), (parts) => {
      const text = parts.map(([around, inner]) => `${around} :${inner} `).join('')
      const named = namedForm(postgres, text)
      const restored = named?.text.replaceAll(
        / \$(\d+) /g,
        (_, number: string) => ` :${named.names[Number(number) - 1]} `,
      )

      expect(restored).toBe(text)
      expect(named?.names).toEqual([...new Set(parts.map(([, inner]) => inner))])
    }),
  )
})

test('numbers and names in one text are refused', () => {
  const error = failure(() => namedForm(postgres, 'select $1, :a'))

  expect(error.message).toBe('The text mixes $1 and :name: use one kind of placeholder.')
  expect(error.statement?.sql).toBe('select $1, :a')
})

test('named values come in the order of the names', () => {
  expect(bindNamed(postgres, ['b', 'a'], { a: 1, b: null }, '')).toEqual([null, 1])
})

test('missing and extra names are told, values are not', () => {
  const missing = failure(() => bindNamed(postgres, ['a', 'b'], { a: secret }, 'select :a, :b'))
  const extra = failure(() => bindNamed(postgres, ['a'], { a: 1, [secret.slice(0, 3)]: secret, 'x y': 2 }, ''))

  expect(missing.message).toBe('There is no value for :b.')
  expect(missing.statement?.sql).toBe('select :a, :b')
  expect(extra.message).toBe('The text has no placeholder for :can, "x y".')
})

test('options given in the place of parameters are recognised', () => {
  expect(failure(() => bindNamed(postgres, [], { timeoutMs: 5 }, '')).message).toBe(
    'The text has no placeholder for :timeoutMs. Options come after the parameters, which may be [].',
  )
})

test('a flood of unknown names is cut short', () => {
  const body = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${'x'.repeat(500)}${index}`, 1]))

  expect(failure(() => bindNamed(postgres, [], body, '')).message.length).toBeLessThan(350)
})

test('only own properties are values', () => {
  expect(failure(() => bindNamed(postgres, ['toString'], {}, '')).message).toBe('There is no value for :toString.')
  expect(failure(() => bindNamed(postgres, ['a'], Object.create({ a: 1 }), '')).message).toBe(
    'There is no value for :a.',
  )
  expect(bindNamed(postgres, ['__proto__'], JSON.parse('{"__proto__": 1}'), '')).toEqual([1])
  expect(bindNamed(postgres, ['a'], Object.assign(Object.create(null), { a: 1 }), '')).toEqual([1])
})

test('undefined is refused by name and by position', () => {
  expect(failure(() => bindNamed(postgres, ['a'], { a: undefined }, '')).message).toBe(
    'Parameter :a is undefined: pass null for SQL NULL.',
  )
  expect(failure(() => checkPositional(postgres, 2, [null, undefined], '')).message).toBe(
    'Parameter $2 is undefined: pass null for SQL NULL.',
  )
})

test.each([
  [0, [1], 'The text has no placeholder, but 1 value was given. A placeholder is $1 or :name.'],
  [1, [], 'The text has one placeholder, $1, but 0 values were given.'],
  [2, [1, 2, 3], 'The text has placeholders up to $2, but 3 values were given.'],
])('%i placeholders with %j are refused', (expected, params, message) => {
  expect(failure(() => checkPositional(postgres, expected, params, 'x')).message).toBe(message)
})

test('65,535 values pass, one more is refused with advice', () => {
  expect(() =>
    checkPositional(
      postgres,
      65_535,
      Array.from({ length: 65_535 }, () => 1),
      '',
    ),
  ).not.toThrow()
  expect(
    failure(() =>
      checkPositional(
        postgres,
        65_536,
        Array.from({ length: 65_536 }, () => 1),
        '',
      ),
    ).message,
  ).toContain('unnest($1)')
})

class Money {
  amount = 1
  toJSON(): number {
    return this.amount
  }
}

test.each<[string, unknown]>([
  ['a string', secret],
  ['a number', Number.NaN],
  ['a bigint', 1n],
  ['a boolean', false],
  ['null', null],
  ['a date', new Date(0)],
  ['a buffer', Buffer.from('x')],
  ['bytes', new Uint8Array(2)],
  ['floats', new Float32Array(2)],
  ['an array', [1, 'a', null, [2, [3]], { a: 1 }]],
  ['an object', { a: undefined, b: () => 1 }],
  ['an object without a prototype', Object.create(null)],
  ['an object of a class', new Money()],
  ['an object of another realm', runInNewContext('({ a: [1] })')],
  ['forged: keys of a Drizzle condition', JSON.parse('{"queryChunks": ["1"], "getSQL": 1}')],
  ['forged: keys of a statement', JSON.parse('{"sql": "select 1", "params": [], "genever.toStatement": 1}')],
  ['forged: keys of a promise', { then: 1 }],
])('%s can be a parameter', (_, value) => {
  expect(refusal(value)).toBeUndefined()
})

class Column {}
Object.defineProperty(Column, Symbol.for('drizzle:entityKind'), { value: 'PgColumn' })
class Condition {
  getSQL(): unknown {
    return this
  }
}
class Builder {
  toSQL(): object {
    return { sql: secret, params: [secret] }
  }
}
class Chunks {
  queryChunks = [secret]
}
class Node {
  toOperationNode(): void {}
}
class Compilable {
  compile(): void {}
}

test.each<[string, unknown, RegExp]>([
  ['undefined', undefined, /^is undefined/],
  ['a function', () => secret, /^is a function/],
  ['a symbol', Symbol(secret), /^is a symbol/],
  ['an invalid date', new Date(Number.NaN), /^is an invalid Date/],
  ['a Drizzle column', new Column(), /^is an object of class Column, .*import 'genever\/drizzle'/],
  ['a Drizzle column behind a proxy', new Proxy(new Column(), { get: () => secret }), /class Column/],
  ['a Drizzle condition', new Condition(), /import 'genever\/drizzle'/],
  ['a Drizzle query', new Builder(), /import 'genever\/drizzle'/],
  ['Drizzle chunks', new Chunks(), /import 'genever\/drizzle'/],
  ['a Kysely expression', new Node(), /import 'genever\/kysely'/],
  ['a builder of some other library', new Compilable(), /no adapter is registered/],
  ['a fragment', sql`select 1`, /^is a query/],
  ['a query of ours as a literal', { [toStatement]: () => ({ sql: '', params: [] }) }, /^is a query/],
  ['a promise', Promise.resolve(secret), /a promise: await it first$/],
  ['an array that holds undefined', [1, undefined], /^holds an element, \[1\], that is undefined/],
  ['a sparse array', Array(1), /\[0\]/],
  [
    'an array that holds a column',
    [[new Column()]],
    /\[0\], that holds an element, \[0\], that is an object of class Column/,
  ],
])('%s cannot be a parameter', (_, value, reason) => {
  expect(refusal(value)).toMatch(reason)
  expect(refusal(value)).not.toContain(secret)
})

test('an array that contains itself is refused', () => {
  const circle: unknown[] = []
  circle.push(circle)

  expect(refusal(circle)).toMatch(/nested too deeply$/)
})

test('no message holds a value, however the parameters are wrong', () => {
  const value = fc.constantFrom<unknown>(
    secret,
    [secret, undefined],
    { a: secret },
    undefined,
    new Builder(),
    () => secret,
  )

  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.array(value, { maxLength: 4 }), (expected, params) => {
      for (const work of [
        () => checkPositional(postgres, expected, params, ''),
        () =>
          bindNamed(postgres, ['p0', 'p1'], Object.fromEntries(params.map((each, index) => [`p${index}`, each])), ''),
      ])
        try {
          work()
        } catch (error) {
          expect(error).toBeInstanceOf(ParameterError)
          expect(String(error)).not.toContain(secret)
        }
    }),
  )
})
