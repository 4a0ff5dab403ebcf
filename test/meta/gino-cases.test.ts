/** The page of GINO's cases names tests: they exist, and every case of the layers that are here has its row. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/source.ts'

const page = readFileSync(join(root, 'docs', 'gino-cases.md'), 'utf8')

interface Row {
  readonly number: number
  readonly here: string
  readonly tests: string
}

const rows: readonly Row[] = [...page.matchAll(/^\| (\d+) \|[^|]*\|([^|]*)\|(.*)\|$/gm)].map(
  ([, number, here = '', tests = '']) => ({ number: Number(number), here, tests }),
)

/** Sentences as `file: sentence`; of a sentence within groups the last part. */
function sentences({ tests }: Row): [file: string, sentence: string][] {
  return [...tests.matchAll(/`([\w./-]+\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file = '', quoted = '']) =>
    [...quoted.matchAll(/“([^”]+)”/g)].map(([, sentence = '']): [string, string] => [
      file.includes('/') ? file : `behaviour/${file}`,
      sentence.split(' > ').at(-1) ?? '',
    ]),
  )
}

/** A title without what a template or a format puts into it. */
function plain(text: string): string {
  return text.replaceAll(/\\(['`"])/g, '$1').replaceAll(/%[sijdo]|\$\{[^}]*\}|\$\w+/g, '%')
}

test('every case of acquiring, binding, executing, iterating, transactions, models and loaders is on the page, once', () => {
  const due = [
    ...Array.from({ length: 117 }, (_, i) => i + 1),
    ...Array.from({ length: 36 }, (_, i) => i + 127),
    163,
    164,
  ]
  const numbers = rows.map(({ number }) => number)

  expect(due.filter((number) => !numbers.includes(number))).toEqual([])
  expect(numbers.filter((number, i) => numbers.indexOf(number) !== i)).toEqual([])
})

test('every row says what became of its case', () => {
  const silent = rows.filter(({ here }) => !/\*(kept|translated|reversed|dropped)\*/.test(here))

  expect(silent.map(({ number }) => number)).toEqual([])
})

test('every test the page names exists', () => {
  const missing = rows.flatMap((row) =>
    sentences(row)
      .filter(([file, sentence]) => {
        const path = join(root, 'test', file)
        return !existsSync(path) || !plain(readFileSync(path, 'utf8')).includes(plain(sentence))
      })
      .map(([file, sentence]) => `${row.number}: ${file}: ${sentence}`),
  )

  expect(missing).toEqual([])
})
