/** What only one database has is written where that database is the subject: all else asks the dialect of its engine. */

import { expect, test } from 'vitest'
import { explain as meaningOfNumber } from '../../src/mysql/errno.ts'
import { sourceFiles } from '../support/source.ts'

interface Telling {
  readonly what: string
  readonly pattern: RegExp
  /** Prefixes of paths that are about it, each with its reason. */
  readonly about: Readonly<Record<string, string>>
}

const subjects = {
  'postgres/': 'what PostgreSQL is',
  'driver/': 'who speaks to it',
  'schema/': 'DDL of tables that were defined for it',
}

const tables = {
  'postgres/sqlstate.ts': 'the table of the states',
  'mysql/errno.ts': 'the table of the numbers, whose errors have states beside',
  'driver/fake/': 'a server, which gives such errors',
}

const alsoTypes = {
  'postgres/types/built-in.ts': 'numbers of types',
  'builder/drizzle/values.ts': 'numbers of types',
}

const numbers = Array.from({ length: 4_000 }, (_, index) => String(1_000 + index)).filter(
  (code) => meaningOfNumber({ code }) !== meaningOfNumber({}),
)

const telling: readonly Telling[] = [
  { what: 'a name of its catalogue', pattern: /\bpg_/, about: subjects },
  { what: 'the function that sets settings', pattern: /set_config/, about: subjects },
  { what: 'a numbered placeholder', pattern: /\$\d|\$\$\{/, about: subjects },
  { what: 'an SQLSTATE', pattern: /(['"`])(?=[A-Z\d]*\d)[A-Z\d]{5}\1/, about: tables },
  {
    what: 'SQLSTATEs in a pattern',
    pattern: /\/\^?\(?(?:\?:)?(?=[A-Z\d]*\d)[A-Z\d]{2}(?:[A-Z\d]{3})?\$?[|)][^/]*\/\w*\.test/,
    about: tables,
  },
  {
    what: 'the number of an error',
    pattern: new RegExp(`(?<![\\w.])(?:${numbers.join('|')})(?!\\w)`),
    about: { ...tables, ...alsoTypes },
  },
]

/** Comments become blanks, so that lines stay where they are. */
function code(text: string): string {
  const blocks = text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
  return blocks.replace(/(^|\s)\/\/.*$/gm, '$1')
}

const foundBy = ({ what, pattern }: Telling): { readonly path: string; readonly place: string }[] =>
  sourceFiles().flatMap(({ path, text }) =>
    code(text)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [{ path, place: `src/${path}:${index + 1} has ${what}` }] : [])),
  )

test.each(telling)('$what stands only where that is the subject', (each) => {
  const prefixes = Object.keys(each.about)

  expect(
    foundBy(each)
      .filter(({ path }) => !prefixes.some((prefix) => path.startsWith(prefix)))
      .map(({ place }) => place),
  ).toEqual([])
})

test('every exception still is one', () => {
  const prefixes = new Set(telling.flatMap(({ about }) => Object.keys(about)))
  const idle = [...prefixes].filter(
    (prefix) =>
      !telling.some(
        (each) => Object.hasOwn(each.about, prefix) && foundBy(each).some(({ path }) => path.startsWith(prefix)),
      ),
  )

  expect(idle).toEqual([])
})

test('what is looked for is found in code and not in comments', () => {
  const hits = (text: string): number => telling.filter(({ pattern }) => pattern.test(code(text))).length

  expect(
    [
      "'select pg_sleep(1)'",
      "'set_config'",
      "'where a = $1'",
      '`$${index}`',
      "'57P01'",
      '/^(?:22|42804$)/.test(code)',
      "code === '1213'",
      'errno === 1213',
    ].map(hits),
  ).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
  expect(['// pg_sleep', '/* $1 */ a', "'NEVER'", "'12345678'", '`${index}`', '1_213'].map(hits)).toEqual([
    0, 0, 0, 0, 0, 0,
  ])
})
