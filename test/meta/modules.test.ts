/** How much one import brings with it. The limit is that of today: it only falls. And what would make it slow. */

import { expect, test } from 'vitest'
import { sourceFiles, walk } from '../support/source.ts'

/** Modules that `import 'genever'` loads. */
const mostLoaded = 79

test(`the main entry loads at most ${mostLoaded} modules`, () => {
  expect(loadedBy('index.ts').size - 1).toBeLessThanOrEqual(mostLoaded)
})

test('no regular expression on the way to the first row has V8 look up properties of Unicode, which it does when it loads the file', () => {
  const loaded = loadedBy('index.ts', 'engine/open/make-engine.ts', 'driver/socket/driver.ts')
  const found = sourceFiles()
    .filter(({ path, text }) => loaded.has(path) && text.includes('\\p{'))
    .flatMap(({ path, program }) => {
      const literals: string[] = []
      walk(program, ({ regex }) => {
        const { pattern = '' } = (regex ?? {}) as { readonly pattern?: string }
        if (pattern.includes('\\p{')) literals.push(`${path}: ${pattern}`)
      })
      return literals
    })

  expect(found).toEqual([])
})

test('the first row of a program loads nothing that only other databases, tenants or passwords outside of ASCII need', () => {
  const loaded = loadedBy('index.ts', 'engine/open/make-engine.ts', 'driver/socket/driver.ts')

  expect(
    [
      'mysql/classify.ts',
      'mysql/verdict.ts',
      'mysql/errno.ts',
      'pool/allowance.ts',
      'driver/socket/sasl-prep.ts',
    ].filter((path) => loaded.has(path)),
  ).toEqual([])
})

/** These modules and all that they load. */
function loadedBy(...entries: readonly string[]): ReadonlySet<string> {
  const imports = new Map(sourceFiles().map(({ path, imports: all }) => [path, all]))
  const loaded = new Set<string>(entries)
  const open = [...entries]
  for (let next = open.pop(); next !== undefined; next = open.pop())
    for (const { target, when } of imports.get(next) ?? []) {
      if (target === undefined || when !== 'now' || loaded.has(target)) continue
      loaded.add(target)
      open.push(target)
    }
  return loaded
}
