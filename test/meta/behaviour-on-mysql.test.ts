/** docs/mysql.md says of each file of behaviour tests whether it runs on MySQL. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mysqlSuites } from '../support/extent.ts'
import { root } from '../support/source.ts'

const page = readFileSync(join(root, 'docs', 'mysql.md'), 'utf8')
const [, table = ''] = /<!-- list: behaviour-on-mysql -->([^]*?)<!-- end -->/.exec(page) ?? []
const rows = Array.from(table.matchAll(/^\| `([\w-]+)` \| (.+) \|$/gm), ([, file = '', state = '']) => ({
  file,
  state,
}))
const folder = join(root, 'test', 'behaviour')
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts') && readFileSync(join(folder, name), 'utf8').includes('forEachDriver('))
  .map((name) => name.replace('.test.ts', ''))
const states = new Set(['runs', 'rewritten', 'not there', 'not yet'])

test('every file that runs for every driver has one row, in the order of their names', () => {
  expect(rows.map(({ file }) => file)).toEqual(files.toSorted())
  expect(rows.filter(({ state }) => !states.has(state))).toEqual([])
})

test('those that are said to run are run, and no others', () => {
  const said = rows.filter(({ state }) => state === 'runs').map(({ file }) => `test/behaviour/${file}.test.ts`)

  expect(said.toSorted()).toEqual([...mysqlSuites].toSorted())
})
