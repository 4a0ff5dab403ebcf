/** How much one import brings with it. The limit is that of today: it only falls. */

import { expect, test } from 'vitest'
import { sourceFiles } from '../support/source.ts'

/** Modules that `import 'genever'` loads. */
const mostLoaded = 79

test(`the main entry loads at most ${mostLoaded} modules`, () => {
  const imports = new Map(sourceFiles().map(({ path, imports: all }) => [path, all]))
  const loaded = new Set<string>()
  const open = ['index.ts']
  for (let next = open.pop(); next !== undefined; next = open.pop())
    for (const { target, when } of imports.get(next) ?? []) {
      if (target === undefined || when !== 'now' || loaded.has(target)) continue
      loaded.add(target)
      open.push(target)
    }

  expect(loaded.size).toBeLessThanOrEqual(mostLoaded)
})
