/** What the sources never do. */

import { expect, test } from 'vitest'
import { lineOf, places, sourceFiles, walk, type Node } from '../support/source.ts'

const builtIn = /^(Error|TypeError|RangeError|SyntaxError|AggregateError)$/
const named = (value: unknown): string => String((value as { name?: unknown } | undefined)?.name)

test('only src/errors makes errors: every other file throws one of its classes', () => {
  const bare = places(
    (node, { path }) =>
      !path.startsWith('errors/') &&
      (node.type === 'NewExpression' || node.type === 'CallExpression') &&
      builtIn.test(named(node['callee'])),
  )

  expect(bare).toEqual([])
})

test('nothing calls enterWith: only a callback changes what is current', () => {
  const entered = places(
    ({ type, name, value }) =>
      (type === 'Identifier' && name === 'enterWith') || (type === 'Literal' && value === 'enterWith'),
  )

  expect(entered).toEqual([])
})

test('no module awaits while it loads, so that require() works', () => {
  const functions = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/
  const waits = ({ type, await: awaited, kind }: Node): boolean =>
    type === 'AwaitExpression' ||
    (type === 'ForOfStatement' && awaited === true) ||
    (type === 'VariableDeclaration' && kind === 'await using')
  const found = sourceFiles().flatMap(({ path, text, program }) => {
    const awaited: string[] = []
    walk(program, (node) => {
      if (waits(node)) awaited.push(`src/${path}:${lineOf(text, node.start)}`)
      return !functions.test(node.type)
    })
    return awaited
  })

  expect(found).toEqual([])
})

test('a default export is nowhere needed', () => {
  expect(places(({ type }) => type === 'ExportDefaultDeclaration' || type === 'TSExportAssignment')).toEqual([])
})
