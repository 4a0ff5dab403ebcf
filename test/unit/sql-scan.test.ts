/** The scanner sees words, quotes and placeholders where the server's lexer sees them, in time linear in the text. */

import { fc } from '../support/fast-check.ts'
import { expect, test } from 'vitest'
import { postgres } from '../../src/postgres/dialect.ts'
import { Scanner, Token } from '../../src/postgres/lexer.ts'
import { assemble } from '../../src/sql/parameters.ts'

const kinds = Object.fromEntries(Object.entries(Token).map(([name, kind]) => [kind, name]))

/** Every token as `kind text`. */
function tokens(text: string): string[] {
  const scanner = new Scanner(text)
  const found: string[] = []
  while (scanner.next() !== Token.end) found.push(`${kinds[scanner.kind]} ${text.slice(scanner.start, scanner.end)}`)
  return found
}

const placeholders = (text: string): string[] =>
  tokens(text)
    .filter((token) => /^(?:parameter|named) /.test(token))
    .map((token) => token.replace(/^\w+ /, ''))

/** Text that is one token or comment for the server, whatever stands inside. */
const closedPieces: readonly string[] = [
  `'plain :a $1'`,
  `'it''s :a'`,
  `'ends in a backslash \\'`,
  `E'escaped \\' :a $1 \\\\'`,
  `e'doubled '' :a'`,
  `E'first' -- comment ' :a\n  'second \\' $1'`,
  `U&'d\\0061 :a'`,
  `u&"col $1 :a"`,
  `N'nchar :a'`,
  `B'01:a'`,
  `x'1F:a'`,
  `"quoted "" :a $1"`,
  `$$ :a $1 ' " $$`,
  `$tag$ $$ :a $1 $other$ $tag$`,
  `$é$ :a $é$`,
  `/* :a $1 ' /* nested */ " */`,
  `/**/`,
  `-- :a $1 ' /*\n`,
  `--\n`,
]

test.each(closedPieces)('nothing inside %j is a placeholder, and what follows is', (piece) => {
  expect(placeholders(`${piece} :after ${piece} $7`)).toEqual([':after', '$7'])
})

test('any mixture of quotes and comments around placeholders leaves exactly the placeholders', () => {
  const noise = fc.array(fc.constantFrom(...closedPieces, ' ', '\n', '+', '(', ')', ',', '=', '?', '1', 'word '), {
    maxLength: 6,
  })
  const placeholder = fc.constantFrom(':name', ':é', ':_x1', '$1', '$42')
  const text = fc.array(fc.tuple(noise, placeholder), { maxLength: 8 })

  fc.assert(
    fc.property(text, (parts) => {
      const whole = parts.map(([around, inner]) => `${around.join(' , ')} ${inner} `).join('')

      expect(placeholders(whole)).toEqual(parts.map(([, inner]) => inner))
    }),
  )
})

test.each([
  [`a::text`, []],
  [`'{}'::int[]`, []],
  [`a [1:2]`, []],
  [`a[1:n]`, []],
  [`a[:n]`, []],
  [`a[lo:hi][:hi]`, []],
  [`a[(:n)]`, [':n']],
  [`a[f(:n):3]`, [':n']],
  [`array[:a, :b]`, [':a', ':b']],
  [`ARRAY [[:a], [:b]] || c[:d]`, [':a', ':b']],
  [`array[c[1:n], :b]`, [':b']],
  [`f(a := 1, b => :b)`, [':b']],
  [`:a::text`, [':a']],
  [`a::numeric:b`, [':b']],
  [`json_object('k':E'\\':a')`, []],
  [`json_object('k':a$$x$$)`, []],
  [`json_object('k' : v)`, []],
  [`x ? 'a' and y ?| :keys`, [':keys']],
  [`a$1`, []],
  [`a$$:b$$`, []],
  [`$1:b`, ['$1', ':b']],
  [`1$$:b$$2`, []],
])('of the colons and dollars in %s these are placeholders: %j', (text, expected) => {
  expect(placeholders(text)).toEqual(expected)
})

test('a word keeps its dollars and what it cannot hold ends it', () => {
  expect(tokens('a$b$c "x""y".é1+2.5 $x')).toEqual([
    'word a$b$c',
    'quoted "x""y"',
    'other .',
    'word é1',
    'other +',
    'number 2',
    'number .5',
    'other $',
    'word x',
  ])
})

test('a number ends where the letters begin, as on servers that allow 1into', () => {
  expect(tokens('select 1into t')).toEqual(['word select', 'number 1', 'word into', 'word t'])
})

test('words fold as the server folds them: ASCII letters only', () => {
  const scanner = new Scanner('SeLeCt \u212Aey')
  scanner.next()
  const first = scanner.word()
  scanner.next()

  expect([first, scanner.word()]).toEqual(['select', '\u212Aey'])
})

test.each([
  ['"plain"', 'plain'],
  ['"a""b"', 'a"b'],
  ['U&"d\\0061t\\+000061"', 'data'],
  ['U&"back\\\\slash"', 'back\\slash'],
])('the name in %s is %s', (text, name) => {
  const scanner = new Scanner(text)
  scanner.next()

  expect(scanner.name()).toBe(name)
})

test.each([`'`, `"`, `E'\\'`, `$$`, `$a$ $b$`, `/* /* */`, `U&"`, `select 'a''`])(
  '%j is told to be unterminated',
  (text) => {
    const scanner = new Scanner(text)
    while (scanner.next() !== Token.end);

    expect(scanner.unterminated).toBe(true)
  },
)

test('a closed text is not unterminated, and one that ends in a line comment says so', () => {
  const end = (text: string): [boolean, boolean] => {
    const scanner = new Scanner(text)
    while (scanner.next() !== Token.end);
    return [scanner.unterminated, scanner.commented]
  }

  expect(end('select 1 -- x')).toEqual([false, true])
  expect(end('select 1 -- x\n')).toEqual([false, false])
  expect(end(closedPieces.join(' '))).toEqual([false, false])
})

const hostile: readonly string[] = [
  `'`,
  `''`,
  `E'a'\n`,
  `E'a' --`,
  `E'\\''`,
  `$`,
  `$a`,
  `$a$`,
  `$$`,
  `/*`,
  `/**/`,
  `*/`,
  `--`,
  `--\n`,
  `:`,
  `:a`,
  `:E'`,
  `:a$`,
  `[`,
  `]`,
  `array[`,
  `(`,
  `U&"`,
  `"`,
  `""`,
  `1.`,
  `\\`,
  `a`,
  `$1`,
  ` `,
  `\n`,
  `é`,
]

test('a megabyte of any hostile pattern costs a small multiple of its length', () => {
  for (const pattern of hostile) {
    const text = pattern.repeat(Math.ceil(1_000_000 / pattern.length))
    const scanner = new Scanner(text)
    let count = 0
    while (scanner.next() !== Token.end) count++

    expect(scanner.work, pattern).toBeLessThanOrEqual(3 * text.length)
    expect(count, pattern).toBeLessThanOrEqual(text.length)
  }
})

test('every text is scanned to its end in linear work, token by token, forwards', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...hostile), { maxLength: 60 }), (pieces) => {
      const text = pieces.join('')
      const scanner = new Scanner(text)
      let end = 0
      while (scanner.next() !== Token.end) {
        expect(scanner.start).toBeGreaterThanOrEqual(end)
        expect(scanner.end).toBeGreaterThan(scanner.start)
        end = scanner.end
      }
      expect(scanner.end).toBe(text.length)
      expect(scanner.work).toBeLessThanOrEqual(3 * text.length)
    }),
  )
})

test('assembled placeholders never become part of a word, a number or each other', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('', 'a', 'a ', '1', '$', 'é', '(', ' and ', '$$x$$', '0'), {
        minLength: 1,
        maxLength: 8,
      }),
      (texts) => {
        const uses = texts.slice(1).map((_, index) => index)
        const offsets: number[] = []
        const text = assemble(postgres.placeholder, texts, uses, offsets)

        expect(placeholders(text)).toEqual(uses.map((use) => `$${use + 1}`))
        expect(offsets.map((offset) => text.slice(offset, offset + 2))).toEqual(uses.map((use) => `$${use + 1}`))
      },
    ),
  )
})
