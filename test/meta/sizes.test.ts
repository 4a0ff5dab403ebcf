/** Files and folders that can be read in one sitting. */

import { expect, test } from 'vitest'
import { directoryOf, sourceFiles } from '../support/source.ts'

const longest = 400
const middle = 120
const most = 20

/** Each with its reason: a file may be longer, or a folder fuller, when it is one table or one list that gains nothing by a cut. */
const exceptions: Readonly<Record<string, string>> = {}

const lines = (text: string): number => text.trimEnd().split('\n').length

test(`no file is longer than ${longest} lines`, () => {
  const long = sourceFiles()
    .filter(({ path, text }) => lines(text) > longest && exceptions[path] === undefined)
    .map(({ path, text }) => `src/${path}: ${lines(text)} lines`)

  expect(long).toEqual([])
})

test(`half of the files have at most ${middle} lines`, () => {
  const counts = sourceFiles()
    .map(({ text }) => lines(text))
    .toSorted((a, b) => a - b)

  expect(counts[Math.floor((counts.length - 1) / 2)] ?? 0).toBeLessThanOrEqual(middle)
})

test(`no folder has more than ${most} files`, () => {
  const full = [...folders()]
    .filter(([folder, count]) => count > most && exceptions[folder] === undefined)
    .map(([folder, count]) => `src/${folder}: ${count} files`)

  expect(full).toEqual([])
})

test.each([
  ['driver/fake', 1300],
  ['testing/sandbox', 1800],
])('the files of %s have at most %d lines in all', (folder, limit) => {
  const inside = sourceFiles().filter(({ path }) => path.startsWith(`${folder}/`))

  expect(inside.reduce((sum, { text }) => sum + lines(text), 0)).toBeLessThanOrEqual(limit)
  expect(inside.length).toBeGreaterThan(0)
})

test('every exception still is one', () => {
  const idle = Object.keys(exceptions).filter((path) => {
    const file = sourceFiles().find((candidate) => candidate.path === path)
    return file === undefined ? (folders().get(path) ?? 0) <= most : lines(file.text) <= longest
  })

  expect(idle).toEqual([])
})

/** The number of files directly in each folder. */
function folders(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { path } of sourceFiles()) counts.set(directoryOf(path), (counts.get(directoryOf(path)) ?? 0) + 1)
  return counts
}
