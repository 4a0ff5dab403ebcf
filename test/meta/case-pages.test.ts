/** The pages that name tests, row by row, in docs/: those tests exist, and every case has its row. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../support/source.ts'

interface Row {
  readonly number: number
  /** What it is about. */
  readonly subject: string
  readonly here: string
  readonly tests: string
}

/** The rows of the tables of a page: number, subject, what is here, tests. */
function rowsOf(page: string): readonly Row[] {
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  return [...text.matchAll(/^\| (\d+) \|([^|]*)\|([^|]*)\|(.*)\|$/gm)].map(
    ([, number, subject = '', here = '', tests = '']) => ({ number: Number(number), subject, here, tests }),
  )
}

/** Sentences as `file: sentence`, with the groups they stand in before ">". */
function sentences({ tests }: Row): [file: string, sentence: string][] {
  return [...tests.matchAll(/`([\w./-]+\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file = '', quoted = '']) =>
    [...quoted.matchAll(/“([^”]+)”/g)].map(([, sentence = '']): [string, string] => [
      file.includes('/') ? file : `behaviour/${file}`,
      sentence,
    ]),
  )
}

/** A title without what a template or a format puts into it. */
function plain(text: string): string {
  return text.replaceAll(/\\(['`"])/g, '$1').replaceAll(/%[sijdo]|\$\{[^}]*\}|\$\w+/g, '%')
}

/** Whether the file has a test or group of that title. */
function has(file: string, title: string): boolean {
  const path = join(root, 'test', file)
  if (!existsSync(path)) return false
  const text = plain(readFileSync(path, 'utf8'))
  return [`'`, '"', '`'].some((quote) => text.includes(quote + plain(title) + quote))
}

const faults = 'faults.md'
const gino = 'gino-cases.md'
const pools = 'global-pool-cases.md'
const edgy = 'edgy-cases.md'
const context = 'context-cases.md'

describe.each([
  [faults, 50],
  [gino, 50],
  [pools, 24],
  [edgy, 60],
  [context, 50],
] as const)('docs/%s', (page, least) => {
  const rows = rowsOf(page)

  test('has no number twice', () => {
    const numbers = rows.map(({ number }) => number)

    expect(numbers.length).toBeGreaterThan(least)
    expect(numbers.filter((number, i) => numbers.indexOf(number) !== i)).toEqual([])
  })

  test('names tests that exist', () => {
    const missing = rows.flatMap((row) =>
      sentences(row)
        .filter(([file, sentence]) => !sentence.split(' > ').every((title) => has(file, title)))
        .map(([file, sentence]) => `${row.number}: ${file}: ${sentence}`),
    )

    expect(missing).toEqual([])
  })
})

test('every promise of SECURITY.md names tests that exist', () => {
  const promises = readFileSync(join(root, 'SECURITY.md'), 'utf8')
    .split('## What is promised')[1]!
    .split('## ')[0]!
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line): Row => {
      const [, subject = '', here = '', tests = ''] = line.split('|')
      return { number: 0, subject, here, tests }
    })

  expect(promises.length).toBeGreaterThan(10)
  expect(promises.filter((row) => sentences(row).length === 0).map(({ here }) => here)).toEqual([])
  expect(
    promises.flatMap(sentences).filter(([file, sentence]) => !sentence.split(' > ').every((title) => has(file, title))),
  ).toEqual([])
})

test.each([faults, context])(
  'every row of docs/%s has its number in order, says what happens, and names a test',
  (page) => {
    const rows = rowsOf(page)

    expect(rows.map(({ number }) => number)).toEqual(rows.map((_, i) => i + 1))
    expect(
      rows
        .filter((row) => row.subject.trim() === '' || row.here.trim() === '' || sentences(row).length === 0)
        .map(({ number }) => number),
    ).toEqual([])
    // Nothing but sentences and their files: what is misspelt would not be looked for.
    expect(rows.map(({ tests }) => tests.replaceAll(/`[\w./-]+\.ts`: (?:“[^”]+”(?:, )?)+(?:; )?/g, '').trim())).toEqual(
      rows.map(() => ''),
    )
  },
)

test("every case of GINO's acquiring, binding, executing, iterating, transactions, models and loaders is on its page", () => {
  const due = [
    ...Array.from({ length: 117 }, (_, i) => i + 1),
    ...Array.from({ length: 40 }, (_, i) => i + 123),
    163,
    164,
    165,
  ]
  const numbers = rowsOf(gino).map(({ number }) => number)

  expect(due.filter((number) => !numbers.includes(number))).toEqual([])
})

test('every case of global pools, blocking calls and migrations is on its page', () => {
  const due = [...Array.from({ length: 17 }, (_, i) => i + 1), 25, 26, 27, 28, 29, 30, 48, 68]

  expect(rowsOf(pools).map(({ number }) => number)).toEqual(due)
})

test.each([gino, pools])(
  'every row of docs/%s says what became of the case, with a test unless it was dropped',
  (page) => {
    const silent = rowsOf(page).filter(({ here }) => !/\*(kept|translated|reversed|dropped|not yet)\*/.test(here))

    expect(silent.map(({ number }) => number)).toEqual([])
  },
)
