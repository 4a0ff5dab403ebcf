/** The names of every public subpath, as a list that changes only on purpose: `npx vitest run test/meta/exports -u`. */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { type Node, parse, root, walk } from '../support/source.ts'

interface Name {
  readonly name: string
  readonly type: boolean
}

const subpaths = Object.entries(manifest.exports).flatMap(([subpath, target]) =>
  typeof target === 'string'
    ? []
    : [{ subpath, entry: join(root, target.default.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts')) }],
)

const page = readFileSync(join(root, 'docs', 'names.md'), 'utf8')

describe.each(subpaths)('the subpath $subpath', ({ subpath, entry }) => {
  // A folder that is still to be written has no entry file; the test of the package is red until it has one.
  test.skipIf(!existsSync(entry))('exports the names of its list, and no others', async () => {
    const list = exportsOf(entry).map(({ name, type }) => (type ? `type ${name}` : name))
    const file = subpath === '.' ? 'index' : subpath.slice('./'.length).replaceAll('/', '-')

    await expect(`${list.toSorted().join('\n')}\n`).toMatchFileSnapshot(`exports/${file}.txt`)
  })

  test.skipIf(!existsSync(entry))('has at run time just what its entry file says', async () => {
    const names = exportsOf(entry).filter(({ type }) => !type)
    const loaded: object = await import(pathToFileURL(entry).href)

    expect(Object.keys(loaded).toSorted()).toEqual(names.map(({ name }) => name).toSorted())
  })

  test.skipIf(!existsSync(entry))('has all of its names on the page of names, and no others', () => {
    const title = subpath === '.' ? 'genever' : `genever/${subpath.slice('./'.length)}`
    const [, section = ''] = page.split(`\n## \`${title}\`\n`)
    const [table = ''] = section.split('\n## ')
    const listed = [...table.matchAll(/^\| \[.*?\]\(.*?\) \| (.*) \|$/gm)].flatMap(([, names = '']) =>
      names.split(', '),
    )

    expect(listed.toSorted()).toEqual(
      exportsOf(entry)
        .map(({ name }) => `\`${name}\``)
        .toSorted(),
    )
  })

  test.skipIf(!existsSync(entry))('says in a comment what each of its names is', () => {
    const silent = exportsOf(entry).filter(({ name }) => !isDescribed(entry, name))

    expect(silent.map(({ name }) => name)).toEqual([])
  })
})

/** Whether a comment stands in front of a declaration of what a file exports under that name, there or where it has it from. */
function isDescribed(file: string, name: string): boolean {
  const text = readFileSync(file, 'utf8')
  const body = parse(file, text).program.body as unknown as readonly Node[]
  const isIn = (nodes: readonly Node[], wanted: string): boolean =>
    nodes.some((node) => {
      const declared = (node['declaration'] as Node | null | undefined) ?? node
      return namesIn(declared).includes(wanted) && isCommented(text.slice(0, node.start))
    })
  for (const node of body) {
    const specifiers = (node['specifiers'] ?? []) as { exported?: { name: string }; local: { name: string } }[]
    for (const { exported, local } of specifiers) {
      if (exported?.name !== name) continue
      const source = node['source'] as { value: string } | null
      return source === null ? isIn(body, local.name) : isDescribed(join(dirname(file), source.value), local.name)
    }
  }
  return isIn(body, name)
}

function namesIn({ id, declarations = [] }: Node): string[] {
  const named = [{ id }, ...(declarations as { id: unknown }[])]
  return named.flatMap((each) => (each.id as { name?: string } | null | undefined)?.name ?? [])
}

/** A directive of the linter may stand between. */
function isCommented(before: string): boolean {
  return /\/\*\*(?:(?!\*\/).)*\*\/\s*(?:\/\/ oxlint[^\n]*\s*)?$/s.test(before)
}

/** An entry file re-exports by name; `export *` would publish by accident. */
function exportsOf(entry: string): Name[] {
  const { program } = parse(entry, readFileSync(entry, 'utf8'))
  const names: Name[] = []
  walk(program, (node) => {
    if (node.type === 'ExportAllDeclaration') throw new Error(`${entry} has an "export *"`)
    if (node.type !== 'ExportNamedDeclaration') return true
    const all = node['exportKind'] === 'type'
    if (node['declaration'] !== null) throw new Error(`${entry} declares something: an entry file only re-exports`)
    for (const specifier of node['specifiers'] as { exported: { name: string }; exportKind: string }[])
      names.push({ name: specifier.exported.name, type: all || specifier.exportKind === 'type' })
    return false
  })
  return names
}
