/** How much one import brings with it, and what imports itself in the end. The limits are those of today: they only fall. */

import { expect, test } from 'vitest'
import { folderOf, type Import, sourceFiles } from '../support/source.ts'

/** Modules that `import 'genever'` loads. */
const mostLoaded = 79
/** Files of the largest circle of imports in a layer, types counted. None where a layer is not named. */
const circles: Readonly<Record<string, number>> = {
  cli: 2,
  driver: 3,
  engine: 6,
  models: 5,
  sql: 5,
}

const imports = new Map(sourceFiles().map(({ path, imports: all }) => [path, all]))

test(`the main entry loads at most ${mostLoaded} modules`, () => {
  const loaded = reached('index.ts', ({ when }) => when === 'now')

  expect(loaded.size).toBeLessThanOrEqual(mostLoaded)
})

test('no circle of imports is larger than the largest of its layer was, types counted', () => {
  const largest: Record<string, number> = {}
  for (const path of imports.keys()) {
    const around = [...reached(path)].filter((each) => reached(each).has(path))
    if (around.length > 1) largest[folderOf(path)] = Math.max(largest[folderOf(path)] ?? 0, around.length)
  }
  const grown = Object.entries(largest).filter(([layer, files]) => files > (circles[layer] ?? 0))

  expect(grown).toEqual([])
})

const known = new Map<string, Set<string>>()

/** The files that a file leads to by such imports, without itself unless they lead back. */
function reached(path: string, wanted?: (each: Import) => boolean): Set<string> {
  const before = wanted === undefined ? known.get(path) : undefined
  if (before !== undefined) return before
  const found = new Set<string>()
  const open = [path]
  for (let next = open.pop(); next !== undefined; next = open.pop())
    for (const each of imports.get(next) ?? []) {
      if (each.target === undefined || found.has(each.target) || wanted?.(each) === false) continue
      found.add(each.target)
      open.push(each.target)
    }
  if (wanted === undefined) known.set(path, found)
  return found
}
