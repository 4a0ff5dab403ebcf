/** Every class of src/errors has a code of its own and a heading in docs/errors.md, and nothing is documented that is gone. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { root, sourceFiles, walk, type Node } from '../support/source.ts'

interface Declared {
  readonly name: string
  readonly code: string | undefined
}

const index = join(root, 'src', 'errors', 'index.ts')
const page = join(root, 'docs', 'errors.md')

// Both are written by their own hands; each half of this test begins when its file is there.
describe.skipIf(!existsSync(index))('the errors', () => {
  test('are all exported by the index of their folder', async () => {
    const exported = await load()

    expect(declared().filter(({ name }) => !(name in exported))).toEqual([])
  })

  test('are a tree with one root', async () => {
    const classes = Object.values(await load()).filter(
      (value) => typeof value === 'function' && isError(value.prototype),
    )
    const roots = classes.filter((value) => Object.getPrototypeOf(value) === Error)

    expect(roots.map((value) => (value as { name: string }).name)).toEqual(['GeneverError'])
  })

  test('have a stable code each, and no two the same', async () => {
    const errors = await coded()
    const codes = errors.map(({ code }) => code)

    expect(errors.filter(({ code }) => code === undefined || !/^GENEVER_[A-Z0-9_]+$/.test(code))).toEqual([])
    expect(errors.filter(({ code }) => codes.indexOf(code) !== codes.lastIndexOf(code))).toEqual([])
  })

  test.skipIf(!existsSync(page))('have a heading in docs/errors.md for each code, and no other', async () => {
    const headings = [...readFileSync(page, 'utf8').matchAll(/^#{2,} .*?\b(GENEVER_[A-Z0-9_]+)\b/gm)].map((match) =>
      String(match[1]),
    )
    const codes = (await coded()).map(({ code }) => String(code))

    expect(headings.toSorted(alphabetically)).toEqual(codes.toSorted(alphabetically))
  })
})

const alphabetically = (a: string, b: string): number => a.localeCompare(b)

const isError = (prototype: unknown): boolean => prototype instanceof Error

async function load(): Promise<Record<string, unknown>> {
  return { ...((await import(pathToFileURL(index).href)) as object) }
}

/** With the code a class has at run time, else the one written in its body. */
async function coded(): Promise<Declared[]> {
  const exported = await load()
  return declared().map(({ name, code }) => {
    const own = Object.getOwnPropertyDescriptor(exported[name] ?? {}, 'code')?.value as unknown
    return { name, code: typeof own === 'string' ? own : code }
  })
}

/** The classes of src/errors. */
function declared(): Declared[] {
  const found: Declared[] = []
  for (const { program } of sourceFiles().filter(({ path }) => path.startsWith('errors/')))
    walk(program, (node) => {
      if (node.type !== 'ClassDeclaration') return
      found.push({ name: (node['id'] as { name: string }).name, code: literalCode(node) })
    })
  return found
}

function literalCode(declaration: Node): string | undefined {
  const codes: string[] = []
  walk(declaration['body'], ({ type, value }) => {
    if (type === 'Literal' && typeof value === 'string' && value.startsWith('GENEVER_')) codes.push(value)
  })
  return codes[0]
}
