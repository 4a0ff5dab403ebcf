/** The sources as data, for the meta tests: files, what they import, their syntax trees. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'
import { parseSync, type ESTree } from 'vite'

/** The project's directory. */
export const root: string = join(import.meta.dirname, '..', '..')

export interface SourceFile {
  /** Below `src`, with slashes: `pool/lease.ts`. */
  readonly path: string
  readonly text: string
  /** The syntax tree; node types as in ESTree, TypeScript's with the prefix `TS`. */
  readonly program: ESTree.Program
  /** Names or paths of modules, in every form: `import`, `export … from`, `import()` in code and in types. */
  readonly imports: readonly Import[]
}

export interface Import {
  readonly line: number
  readonly specifier: string
  /** `now`: loaded with the module that names it; `later`: by `import()`; `types`: never. */
  readonly when: 'now' | 'later' | 'types'
  /** Below `src` if the specifier is relative. */
  readonly target: string | undefined
}

export type Node = Readonly<Record<string, unknown>> & { readonly type: string; readonly start: number }

let files: readonly SourceFile[] | undefined

/** Every `.ts` file below `src`, in the order of their paths. */
export function sourceFiles(): readonly SourceFile[] {
  files ??= readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(join(root, 'src'), join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted()
    .map((path) => parse(path, readFileSync(join(root, 'src', path), 'utf8')))
  return files
}

export function parse(path: string, text: string): SourceFile {
  const { program, errors } = parseSync(path, text, { lang: 'ts', sourceType: 'module' })
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`)
  const imports: Import[] = []
  walk(program, (node) => {
    const source = isNode(node['source']) ? node['source']['value'] : undefined
    if (typeof source !== 'string') return
    const target = source.startsWith('.') ? posix.join(posix.dirname(path), source) : undefined
    imports.push({ line: lineOf(text, node.start), specifier: source, target, when: whenLoaded(node) })
  })
  return { path, text, program, imports }
}

function whenLoaded({ type, importKind, exportKind }: Node): Import['when'] {
  if (type === 'ImportExpression') return 'later'
  return type.startsWith('TS') || importKind === 'type' || exportKind === 'type' ? 'types' : 'now'
}

/** Visits a node and all below it, parents first; a visitor that answers `false` is not shown what is below. */
export function walk(node: unknown, visit: (node: Node) => unknown): void {
  if (Array.isArray(node)) for (const item of node) walk(item, visit)
  else if (isNode(node) && visit(node) !== false) for (const value of Object.values(node)) walk(value, visit)
}

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** Every place where the sources have such a node, as `path:line`. */
export function places(wanted: (node: Node, file: SourceFile) => boolean): string[] {
  return sourceFiles().flatMap((file) => {
    const found: string[] = []
    walk(file.program, (node) => {
      if (wanted(node, file)) found.push(`src/${file.path}:${lineOf(file.text, node.start)}`)
    })
    return found
  })
}

/** The folder directly below `src` a file is in; a file of `src` itself stands for its own. */
export function folderOf(path: string): string {
  return path.split('/')[0] ?? path
}

/** `dirname` below `src`: `driver/pg` for `driver/pg/load.ts`. */
export function directoryOf(path: string): string {
  return dirname(path)
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}
