/** Which Drizzle this run of the suites is on: a wrong install would test one version twice. */

import { npmVersion } from 'drizzle-orm/version'
import { expect, test } from 'vitest'

const versions: Readonly<Record<string, RegExp>> = { main: /^0\.45\./, 'drizzle-1': /^1\./ }

test('each project of the run has the Drizzle it is named after', ({ task }) => {
  expect(npmVersion).toMatch(versions[task.file.projectName ?? ''] ?? /no such project/)
})
