/** The pages say where things are: their lists are made of `test/support/places.ts`; `npx vitest run test/meta/places -u` writes them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Group, inside, layers, testFolders } from '../support/places.ts'
import { root } from '../support/source.ts'

const table = (title: string, rows: readonly (readonly [string, string])[]): string =>
  [`| ${title} | contents |`, '|---|---|', ...rows.map(([name, what]) => `| \`${name}\` | ${what} |`)].join('\n')

const order = (groups: readonly Group[]): string =>
  [
    '| | files and folders |',
    '|---|---|',
    ...groups.map(({ noun, paths }) => `| ${noun} | ${paths.map((path) => `\`${path}\``).join(', ')} |`),
  ].join('\n')

const lists: Readonly<Record<string, string>> = {
  layers: table(
    'folder',
    layers
      .flatMap((folders) => Object.entries(folders))
      .filter(([name]) => existsSync(join(root, 'src', name)))
      .map(([name, what]) => [name.endsWith('.ts') ? name : `${name}/`, what]),
  ),
  ...Object.fromEntries(Object.entries(inside).map(([layer, groups]) => [`inside-${layer}`, order(groups)])),
  'test-folders': table(
    'folder of `test/`',
    Object.entries(testFolders).map(([name, what]) => [`${name}/`, what]),
  ),
}

/** The page with its lists as they should be: each stands between `<!-- list: name -->` and `<!-- end -->`. */
function renewed(text: string): string {
  return text.replaceAll(
    /(<!-- list: ([\w-]+) -->)[^]*?(<!-- end -->)/g,
    (_, head: string, name: string, tail: string) => `${head}\n\n${lists[name] ?? ''}\n\n${tail}`,
  )
}

test.each(['docs/architecture.md', 'CONTRIBUTING.md'])('%s lists what is there', async (page) => {
  const path = join(root, page)

  await expect(renewed(readFileSync(path, 'utf8'))).toMatchFileSnapshot(path)
})

test('every folder of the tests is in the list, and none that is gone', () => {
  const there = readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)

  expect(Object.keys(testFolders).toSorted()).toEqual(there.toSorted())
})

describe('what docs/architecture.md says of a file', () => {
  const text = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8')
  const said = [...text.matchAll(/`(src\/[\w/.-]+\.ts)`(?:: ((?:`#?\w+`(?:, )?)+))?/g)].map(
    ([, path = '', names = '']) => ({
      path,
      names: [...names.matchAll(/`#?(\w+)`/g)].map(([, name = '']) => name),
    }),
  )

  /** Not only says it: the walks follow calls from one declaration to the next. */
  const declares = (source: string, name: string): boolean =>
    new RegExp(
      `^ *(?:(?:export|abstract|static|async|readonly|declare|override|get|set|function|class|interface|type|const|let) )*#?${name}\\b(?! \\()`,
      'm',
    ).test(source)

  test('is of a file that is there, and declares what is named', () => {
    const wrong = said.flatMap(({ path, names }) => {
      if (!existsSync(join(root, path))) return [`${path} is not there`]
      const source = readFileSync(join(root, path), 'utf8')
      return names.filter((name) => !declares(source, name)).map((name) => `${path} does not declare ${name}`)
    })

    expect(said.length).toBeGreaterThan(30)
    expect(wrong).toEqual([])
  })
})
