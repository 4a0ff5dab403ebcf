/** JSON text of what is sent: exactly what `JSON.stringify` makes, or a refusal by path. */

import { fc } from '../support/fast-check.ts'
import { sql } from 'genever'
import { expect, test } from 'vitest'
import { jsonText } from '../../src/sql/parameters.ts'

class Refused extends Error {}

const textOf = (value: unknown): string =>
  jsonText(value, (what) => {
    throw new Refused(what)
  })

function refusal(value: unknown): string {
  try {
    return `written: ${textOf(value)}`
  } catch (error) {
    if (error instanceof Refused) return error.message
    throw error
  }
}

class Money {
  readonly #cents: number
  constructor(cents: number) {
    this.#cents = cents
  }
  toJSON(): string {
    return String(this.#cents)
  }
}
class Point {
  x = 1
  y = undefined
}
class Hidden {
  readonly #secret = 1
  get secret(): number {
    return this.#secret
  }
}

const never = new Set<unknown>()
const circle: unknown[] = []
circle.push({ again: circle })
/** At any depth. */
const unsayable: readonly (readonly [what: string, value: unknown])[] = [
  ['the number NaN', NaN],
  ['the number -Infinity', -Infinity],
  ['a bigint', 1n],
  ['a symbol', Symbol('x')],
  ['a function', () => 1],
  ['Map', new Map([[1, 2]])],
  ['Set', never],
  ['WeakMap', new WeakMap()],
  ['RegExp', /x/],
  ['Error', new Error('secret')],
  ['Promise', Promise.resolve(1)],
  ['bytes', new Uint8Array(2)],
  ['bytes', Buffer.from('x')],
  ['bytes', new ArrayBuffer(2)],
  ['bytes', new Float64Array(1)],
  ['invalid date', new Date(NaN)],
  ['no enumerable members', new Hidden()],
  ['no enumerable members', new URLSearchParams('a=1')],
  ['SQL', sql`select 1`],
  ['holds itself', circle],
  ['the number NaN', new Number(NaN)],
  ['the number NaN', { toJSON: () => NaN }],
  ['undefined', { toJSON: () => undefined }],
  ['Map', { toJSON: () => new Map() }],
  ['a bigint', { toJSON: () => [1n] }],
]

test.each(unsayable)('%s is refused by its place', (what, value) => {
  const inner = (text: string): string => text.replace(/^(?:is|holds, at )/, '')
  expect(refusal(value)).toContain(what)
  expect(refusal({ a: [0, { b: value }] })).toMatch(/^holds, at \.a\[1\]\.b/)
  expect(inner(refusal([value]))).toContain(what)
  expect(refusal({ toJSON: () => ({ deep: value }) })).toMatch(/^holds, at \.deep/)
  expect(refusal([value])).not.toContain('secret')
})

test('undefined is refused in lists, also where there is a hole, and left out of objects', () => {
  expect(refusal([1, undefined])).toBe('holds, at [1], undefined: pass null')
  // oxlint-disable-next-line no-sparse-arrays -- what is looked at
  expect(refusal({ a: [1, , 2] })).toBe('holds, at .a[1], undefined: pass null')
  expect(textOf({ a: undefined, b: 1 })).toBe('{"b":1}')
})

test('keys that may be data are in no message, and long paths are cut', () => {
  expect(refusal({ 'a secret': { b: NaN } })).toMatch(/^holds, at \[…\]\.b, /)
  let value: unknown = NaN
  for (let i = 0; i < 40; i++) value = { a: value }
  expect(refusal(value)).toMatch(/^holds, at (?:\.a){8}…, /)
})

test('instances are written as JSON.stringify writes them', () => {
  for (const value of [
    new Point(),
    { a: new Point(), at: new Date(0), list: [new Money(5), new Date(1)] },
    new Money(1),
    [new Number(1), new String('x'), new Boolean(false)],
    new URL('https://example.org'),
    { toJSON: (key: string) => ({ key }) },
    [{ toJSON: (key: string) => key }],
    Object.assign(Object.create(null) as object, { a: 1 }),
    JSON.parse('{"__proto__":{"a":1},"b":[]}') as unknown,
    { a: { toJSON: () => JSON.parse('{"__proto__":1}') as unknown } },
    Object.assign(new Error('x'), { toJSON: () => ({ message: 'x' }) }),
  ])
    expect(textOf(value)).toBe(JSON.stringify(value))
})

test('a form of its own is asked for once', () => {
  let asked = 0
  const value = {
    toJSON() {
      asked++
      return { toJSON: undefined, a: [asked] }
    },
  }
  expect(textOf([value])).toBe('[{"a":[1]}]')
  expect(asked).toBe(1)
})

test('the same object in two places is no circle, however deep', () => {
  const shared = { a: 1 }
  let value: unknown = [shared, shared]
  for (let i = 0; i < 200; i++) value = { a: value, b: shared }
  expect(textOf(value)).toBe(JSON.stringify(value))
})

const json = fc.jsonValue({ maxDepth: 5 })
const withClasses = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    json,
    fc.date({ noInvalidDate: true }),
    fc.integer().map((n) => new Money(n)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
    json.map((value) => ({ toJSON: () => value })),
  ),
})).value

test('whatever JSON can say is written as JSON.stringify writes it', () => {
  fc.assert(
    fc.property(withClasses, (value) => {
      expect(textOf(value)).toBe(JSON.stringify(value))
    }),
  )
})

test('one thing that JSON cannot say, anywhere, is refused', () => {
  const wrong = fc.constantFrom(...unsayable.map(([, value]) => value))
  const around = fc.array(fc.oneof(fc.constant(null), fc.string(), fc.nat(3)), { maxLength: 80 })
  fc.assert(
    fc.property(wrong, around, (value, layers) => {
      let whole: unknown = value
      for (const layer of layers)
        whole =
          layer === null
            ? [whole]
            : typeof layer === 'string'
              ? { a: 1, [layer]: whole }
              : [...Array<number>(layer).fill(0), whole]
      expect(refusal(whole)).not.toContain('written')
    }),
  )
})

test('it takes time linear in the value', () => {
  const flat = Array.from({ length: 200_000 }, (_, i) => ({ a: i, at: new Date(i) }))
  expect(textOf(flat)).toBe(JSON.stringify(flat))
})
