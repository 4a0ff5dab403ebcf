/** Files and folders that can be read in one sitting. */

import { expect, test } from 'vitest'
import { directoryOf, sourceFiles } from '../support/source.ts'

const longest = 400
const middle = 120
const most = 20
const deepest = 3

/** Each with its reason: a file may be longer, or a folder fuller, when it is one table or one list that gains nothing by a cut. */
const exceptions: Readonly<Record<string, string>> = {}
const small = 40

/** Each with its reason: a small file that has one user and stands alone nevertheless. */
const apart: Readonly<Record<string, string>> = {
  'driver/shipped.ts': 'a driver is a folder and one line, and this has the lines',
  'driver/postgres/open/ask-pooler.ts':
    'its folder has what comes with the opening of a session, and the one above is full',
  'mysql/control.ts': 'the counterpart of postgres/control.ts',
  'models/instance/using.ts': 'a place in the order of models',
  'plugins/nest/health/route.ts': 'both forms of health stand together',
}

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

test('no folder has one file', () => {
  const lonely = [...folders()].filter(([folder, count]) => folder !== '.' && count === 1 && !holdsFolders(folder))

  expect(lonely).toEqual([])
})

test(`a file of under ${small} lines that one other imports is a part of it`, () => {
  const parts = smallParts().filter((path) => apart[path] === undefined)

  expect(parts).toEqual([])
})

test('no folder is deeper than three', () => {
  expect([...folders().keys()].filter((folder) => folder.split('/').length > deepest)).toEqual([])
})

test.each([
  ['driver/fake', 1300],
  ['testing/sandbox', 1805],
])('the files of %s have at most %d lines in all', (folder, limit) => {
  const inside = sourceFiles().filter(({ path }) => path.startsWith(`${folder}/`))

  expect(inside.reduce((sum, { text }) => sum + lines(text), 0)).toBeLessThanOrEqual(limit)
  expect(inside.length).toBeGreaterThan(0)
})

test('the sandbox has at most 1200 lines of code beside what it knows of MySQL', () => {
  const code = sourceFiles()
    .filter(({ path }) => /^testing\/sandbox(?:\.ts$|\/(?!mysql\/))/.test(path))
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => !/^\s*(?:$|\/\/|\/?\*)/.test(line))

  expect(code.length).toBeLessThanOrEqual(1200)
  expect(code.length).toBeGreaterThan(500)
})

test('every exception still is one', () => {
  const idle = Object.keys(exceptions).filter((path) => {
    const file = sourceFiles().find((candidate) => candidate.path === path)
    return file === undefined ? (folders().get(path) ?? 0) <= most : lines(file.text) <= longest
  })

  expect(idle).toEqual([])
  expect(Object.keys(apart).filter((path) => !smallParts().includes(path))).toEqual([])
})

/**
 * Small files with one user that has room for them. `load.ts` and `descriptor.ts` are places that drivers have, an `index.ts` has
 * re-exports and nothing else, and what is loaded later is a file for that.
 */
function smallParts(): string[] {
  const files = new Map(sourceFiles().map((file) => [file.path, lines(file.text)]))
  return sourceFiles()
    .filter(({ path, text }) => lines(text) < small && !/(?:^|\/)(?:load|index|descriptor)\.ts$/.test(path))
    .filter(({ path, text }) => {
      const users = sourceFiles().filter(({ imports }) => imports.some(({ target }) => target === path))
      const [user] = users
      if (user === undefined || users.length > 1 || user.path.endsWith('index.ts')) return false
      const later = user.imports.some(({ target, when }) => target === path && when === 'later')
      return !later && (files.get(user.path) ?? 0) + lines(text) <= longest
    })
    .map(({ path }) => path)
}

function holdsFolders(folder: string): boolean {
  return [...folders().keys()].some((other) => other.startsWith(`${folder}/`))
}

/** The number of files directly in each folder. */
function folders(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { path } of sourceFiles()) counts.set(directoryOf(path), (counts.get(directoryOf(path)) ?? 0) + 1)
  return counts
}
