/** What the sources never do. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lineOf, places, root, sourceFiles, walk, type Node } from '../support/source.ts'

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

test('timers and clocks are those of src/util/clock.ts, which fake timers of a test do not reach', () => {
  const timers = /^(setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|clearImmediate|queueMicrotask)$/
  const clocks = /^(performance|Date|AbortSignal|process|globalThis)\.(now|timeout|nextTick)$/
  // Latencies of the fake server follow the clock of whoever tests with it.
  const allowed = new Set(['util/clock.ts', 'driver/fake/scenario.ts'])
  const isTimer = ({ type, callee, object, property, source, arguments: given }: Node): boolean =>
    (type === 'CallExpression' && timers.test(named(callee))) ||
    (type === 'NewExpression' && named(callee) === 'Date' && (given as unknown[]).length === 0) ||
    (type === 'MemberExpression' && clocks.test(`${named(object)}.${named(property)}`)) ||
    (type === 'MemberExpression' && named(object) === 'globalThis' && timers.test(named(property))) ||
    (type === 'ImportDeclaration' && /^(node:)?timers/.test(String((source as { value?: unknown }).value)))

  expect(places((node, { path }) => !allowed.has(path) && isTimer(node))).toEqual([])
})

test('a wait until a deadline is `before` of src/util/clock.ts: nobody races with a timer by hand', () => {
  const races = (text: string): boolean => /clock\.setTimeout\([^]{0,400}Promise\.race\(/.test(text)

  expect(
    sourceFiles()
      .filter(({ text }) => races(text))
      .map(({ path }) => path),
  ).toEqual(['util/clock.ts'])
})

test('a literal of SQL is made in one place for each database', () => {
  const doubles = /replaceAll\((?:"'"|\/'\/g), (?:"''"|`''`)\)/

  expect(
    sourceFiles()
      .filter(({ text }) => doubles.test(text))
      .filter(({ path }) => !/^(?:postgres|mysql)\//.test(path))
      .map(({ path }) => path),
  ).toEqual([])
})

test('a function, class or constant is exported for another file, of the sources or the tests', () => {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
    .map((path) => readFileSync(join(root, 'test', path), 'utf8'))
  const words = new Map<string, number>()
  const count = (text: string): void => {
    for (const word of new Set(text.match(/[\w$]+/g))) words.set(word, (words.get(word) ?? 0) + 1)
  }
  for (const { text } of sourceFiles()) count(text)
  for (const text of files) count(text)
  const unused = sourceFiles().flatMap(({ path, text }) =>
    [...text.matchAll(/^export (?:abstract )?(?:async )?(?:function\*?|class|const|let) (\w+)/gm)]
      .filter(([, name = '']) => words.get(name) === 1)
      .map(([, name]) => `src/${path}: ${name}`),
  )

  expect(unused).toEqual([])
})
