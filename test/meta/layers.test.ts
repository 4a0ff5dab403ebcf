/** Who may import whom. `test/support/places.ts` has the list of layers. */

import { expect, test } from 'vitest'
import { inside, layers } from '../support/places.ts'
import { directoryOf, folderOf, sourceFiles, type SourceFile } from '../support/source.ts'

/** The longest prefix of a file's path says which packages it may name; all others may name none. */
const packages: Readonly<Record<string, readonly string[]>> = {
  'driver/pg': ['pg'],
  'driver/postgres': [],
  'driver/pglite': ['@electric-sql/pglite'],
  'driver/mysql': ['mysql2'],
  'builder/drizzle': ['drizzle-orm', '@electric-sql/pglite'],
  'builder/kysely': ['kysely'],
  schema: ['drizzle-orm'],
  models: ['drizzle-orm'],
  'observe/otel': ['@opentelemetry/api'],
  'plugins/express': ['express'],
  'plugins/fastify': ['fastify', 'fastify-plugin'],
  'plugins/koa': ['koa'],
  'plugins/hono': ['hono'],
  'plugins/nest': ['@nestjs/common', '@nestjs/core', 'rxjs'],
  'plugins/h3': ['h3'],
  'plugins/next': ['next'],
}

/** Folders whose subfolders are alternatives to each other, and the subfolder that any of them may use. */
const alternatives: Readonly<Record<string, string | undefined>> = {
  driver: 'driver/postgres',
  builder: undefined,
  plugins: 'plugins/request',
}

/** `driver/pg` for all that is below it; `driver` for a file directly in it. */
const alternativeOf = (path: string): string => directoryOf(path).split('/').slice(0, 2).join('/')

/** Files that name each other in a circle, by types alone, since none of them says anything without the others. */
const circles: readonly (readonly string[])[] = [
  // A handle gives the other handles and queries on itself, and all of them take handles as the option `on`.
  [
    'engine/connection.ts',
    'engine/query/executor.ts',
    'engine/query/query-options.ts',
    'engine/query/sql-query.ts',
    'engine/runtime.ts',
    'engine/transaction/options.ts',
    'engine/transaction/transaction.ts',
  ],
  // The public types of a model, of its instances, its queries and its loaders.
  [
    'models/types/loader.ts',
    'models/types/model.ts',
    'models/types/query.ts',
    'models/types/statics.ts',
    'models/types/writes.ts',
  ],
]

const rankOf = (path: string): number => layers.findIndex((folders) => Object.hasOwn(folders, folderOf(path)))

const imports = (broken: (file: SourceFile, target: string) => boolean): string[] =>
  sourceFiles().flatMap((file) =>
    file.imports
      .filter(({ target }) => target !== undefined && broken(file, target))
      .map(({ line, target }) => `src/${file.path}:${line} imports ${target}`),
  )

test('every folder of src has a place among the layers', () => {
  const strangers = new Set(
    sourceFiles()
      .filter((file) => rankOf(file.path) === -1)
      .map((file) => folderOf(file.path)),
  )

  expect([...strangers]).toEqual([])
})

test('an import, also one of types, points to a lower layer or stays in its folder', () => {
  const upward = imports(
    (file, target) => folderOf(target) !== folderOf(file.path) && rankOf(target) >= rankOf(file.path),
  )

  expect(upward).toEqual([])
})

test('inside of a layer that has an order, an import, also one of types, points to what stands before it', () => {
  const placeOf = (path: string): number => {
    const groups = inside[folderOf(path)] ?? []
    const within = path.slice(folderOf(path).length + 1)
    const named = groups
      .flatMap(({ paths }, place) => paths.map((start) => ({ place, start })))
      .filter(({ start }) => within.startsWith(start))
      .toSorted((a, b) => b.start.length - a.start.length)
    return named[0]?.place ?? groups.length
  }
  const upward = imports(
    (file, target) => folderOf(target) === folderOf(file.path) && placeOf(target) > placeOf(file.path),
  )

  expect(upward).toEqual([])
})

test('files do not import each other in a circle, also not for types', () => {
  expect(circlesOf(sourceFiles())).toEqual(circles)
})

test('every group of such an order has files', () => {
  const paths = sourceFiles().map(({ path }) => path)
  const idle = Object.entries(inside).flatMap(([layer, groups]) =>
    groups
      .flatMap((group) => group.paths)
      .filter((start) => !paths.some((path) => path.startsWith(`${layer}/${start}`)))
      .map((start) => `${layer}/${start}`),
  )

  expect(idle).toEqual([])
})

test('an import stays inside src and names a file', () => {
  expect(imports((_, target) => target.startsWith('..') || !target.endsWith('.ts'))).toEqual([])
})

test('drivers, builders and plug-ins never import a sibling', () => {
  const sideways = imports((file, target) => {
    const folder = folderOf(file.path)
    const [from, to] = [alternativeOf(file.path), alternativeOf(target)]
    if (!Object.hasOwn(alternatives, folder) || from === folder || to === folder) return false
    return folderOf(target) === folder && from !== to && to !== alternatives[folder]
  })

  expect(sideways).toEqual([])
})

test('a package is named only where it is the subject', () => {
  const named = sourceFiles().flatMap((file) => {
    const prefix = Object.keys(packages)
      .filter((path) => file.path.startsWith(`${path}/`) || file.path.startsWith(`${path}.`))
      .toSorted((a, b) => b.length - a.length)[0]
    const allowed = prefix === undefined ? [] : (packages[prefix] ?? [])
    return file.imports
      .filter(({ target, specifier }) => target === undefined && !specifier.startsWith('node:'))
      .filter(({ specifier }) => !allowed.some((name) => specifier === name || specifier.startsWith(`${name}/`)))
      .map(({ line, specifier }) => `src/${file.path}:${line} names ${specifier}`)
  })

  expect(named).toEqual([])
})

/** Each sorted, and all of them by their first file. What is loaded later by `import()` does not count. (Tarjan.) */
function circlesOf(files: readonly SourceFile[]): string[][] {
  const targets = new Map(
    files.map(({ path, imports: all }) => [
      path,
      all.flatMap(({ target, when }) => (when === 'later' ? [] : (target ?? []))),
    ]),
  )
  const order = new Map<string, number>()
  const open: string[] = []
  const found: string[][] = []
  const visit = (path: string): number => {
    const own = order.size
    order.set(path, own)
    open.push(path)
    let lowest = own
    for (const target of targets.get(path) ?? []) {
      const known = order.get(target)
      if (known === undefined) lowest = Math.min(lowest, visit(target))
      else if (open.includes(target)) lowest = Math.min(lowest, known)
    }
    if (lowest === own) {
      const circle = open.splice(open.indexOf(path))
      if (circle.length > 1) found.push(circle.toSorted())
    }
    return lowest
  }
  for (const { path } of files) if (!order.has(path)) visit(path)
  return found.toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
}
