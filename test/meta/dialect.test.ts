/** What only PostgreSQL has is written where PostgreSQL is the subject: all else asks the dialect of its engine. */

import { expect, test } from 'vitest'
import { sourceFiles } from '../support/source.ts'

/** Prefixes of paths that are about PostgreSQL, or about its errors, each with its reason. */
const about: Readonly<Record<string, string>> = {
  'postgres/': 'what PostgreSQL is',
  'driver/': 'who speaks to it',
  'schema/': 'DDL of tables that were defined for it',
  'migrations/': 'folders of drizzle-kit for it, under its locks and its catalogue',
  'models/crud/':
    'models are on tables of drizzle-orm/pg-core: rows as JSON, the catalogue of types, places in texts of CRUD',
  'models/load/': 'lists in one column, whose form depends on the indexes that the catalogue shows',
  'cli/': 'what genever doctor asks a server of PostgreSQL',
  'testing/sandbox/postgres.ts':
    'the errors, the session and the deferred constraints of a connection to PostgreSQL that a sandbox shares',
  'testing/sandbox/mysql/': 'the errors that a transaction of MySQL would give inside a sandbox',
}

const telling: Readonly<Record<string, RegExp>> = {
  'a name of its catalogue': /\bpg_/,
  'the function that sets settings': /set_config/,
  'a numbered placeholder': /\$\d|\$\$\{/,
  'an SQLSTATE': /(['"`])(?=[A-Z\d]*\d)[A-Z\d]{5}\1/,
}

/** Comments become blanks, so that lines stay where they are. */
function code(text: string): string {
  const blocks = text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
  return blocks.replace(/(^|\s)\/\/.*$/gm, '$1')
}

const found = (): { readonly path: string; readonly place: string }[] =>
  sourceFiles().flatMap(({ path, text }) =>
    code(text)
      .split('\n')
      .flatMap((line, index) =>
        Object.entries(telling)
          .filter(([, pattern]) => pattern.test(line))
          .map(([what]) => ({ path, place: `src/${path}:${index + 1} has ${what}` })),
      ),
  )

const isAbout = (path: string): boolean => Object.keys(about).some((prefix) => path.startsWith(prefix))

test('only where PostgreSQL is the subject do its names, placeholders and error codes stand', () => {
  expect(
    found()
      .filter(({ path }) => !isAbout(path))
      .map(({ place }) => place),
  ).toEqual([])
})

test('every exception still is one', () => {
  const idle = Object.keys(about).filter((prefix) => !found().some(({ path }) => path.startsWith(prefix)))

  expect(idle).toEqual([])
})

test('what is looked for is found in code and not in comments', () => {
  const hits = (text: string): number => Object.values(telling).filter((pattern) => pattern.test(code(text))).length

  expect(["'select pg_sleep(1)'", "'set_config'", "'where a = $1'", '`$${index}`', "'57P01'"].map(hits)).toEqual([
    1, 1, 1, 1, 1,
  ])
  expect(['// pg_sleep', '/* $1 */ a', "'NEVER'", "'12345678'", '`${index}`'].map(hits)).toEqual([0, 0, 0, 0, 0])
})
