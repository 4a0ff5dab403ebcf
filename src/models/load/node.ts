// What a loader says, as data: the tree that queries compile. Made from whatever `load()` is given.
import { Column, is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { isModel } from '../meta/model-meta.ts'
import type { Expression } from '../meta/expressions.ts'
import { type Source, sourceOf, sourceSymbol } from './source.ts'
import { describeType, isPlain } from '../../util/checks.ts'

export type LoadNode = ModelNode | ValueNode | TupleNode | CallNode | ConstantNode

/** An instance of a model, with what is loaded into it. */
export interface ModelNode {
  readonly kind: 'model'
  readonly source: Source
  /** Joins by it; null for the foreign key. */
  readonly on: SQL | null
  /** Rows with equal values of these are one instance; null when each row is one. */
  readonly by: readonly Column[] | null
  readonly children: readonly ChildNode[]
}

export interface ChildNode {
  readonly key: string
  readonly node: LoadNode
  /** A list of them. */
  readonly many: boolean
}

export interface ValueNode {
  readonly kind: 'value'
  readonly expression: Expression
}

export interface TupleNode {
  readonly kind: 'tuple'
  readonly items: readonly LoadNode[]
}

/** A function, or a class that gets the same arguments. */
export interface CallNode {
  readonly kind: 'call'
  readonly call: (row: unknown, context: object) => unknown
}

export interface ConstantNode {
  readonly kind: 'constant'
  readonly value: unknown
}

/** Where a loader keeps its node. */
export const nodeSymbol: unique symbol = Symbol('genever.loader')
/** Where `many()` keeps what the list is of. */
export const manySymbol: unique symbol = Symbol('genever.many')

type Carrier = { readonly [nodeSymbol]?: LoadNode; readonly [manySymbol]?: LoadNode; readonly [sourceSymbol]?: Source }

/** @throws {UsageError} for what is no loader. */
export function nodeOf(loader: unknown): LoadNode {
  if (isModel(loader)) return modelNode(sourceOf(loader))
  if (Array.isArray(loader)) return { kind: 'tuple', items: loader.map(nodeOf) }
  if (isPlain(loader) && !Object.hasOwn(loader, nodeSymbol)) throw noLoader(loader)
  if (is(loader, Column) || is(loader, SQL) || is(loader, SQL.Aliased)) return { kind: 'value', expression: loader }
  if (typeof loader === 'function') return { kind: 'call', call: callOf(loader as Callable) }
  if (typeof loader === 'object' && loader !== null) {
    const carrier = loader as Carrier
    if (carrier[manySymbol] !== undefined)
      throw new UsageError('many() is a member of load({ … }): the list needs an object to belong to.')
    if (carrier[nodeSymbol] !== undefined) return carrier[nodeSymbol]
    if (carrier[sourceSymbol] !== undefined) return modelNode(carrier[sourceSymbol])
  }
  throw noLoader(loader)
}

function noLoader(loader: unknown): UsageError {
  return new UsageError(
    `A loader is a model, an alias, a column, an SQL expression, a tuple of loaders, a function, many() or literal(), not ${describeType(loader)}.`,
  )
}

export function childOf(key: string, loader: unknown): ChildNode {
  const of = typeof loader === 'object' && loader !== null ? (loader as Carrier)[manySymbol] : undefined
  return of === undefined ? { key, node: nodeOf(loader), many: false } : { key, node: of, many: true }
}

export function modelNode(source: Source): ModelNode {
  return { kind: 'model', source, on: null, by: null, children: [] }
}

/** Whether several rows may make one object of it. */
export function folds(node: LoadNode): boolean {
  if (node.kind === 'tuple') return node.items.some(folds)
  return node.kind === 'model' && (node.by !== null || node.children.some((child) => child.many || folds(child.node)))
}

type Callable = ((row: unknown, context: object) => unknown) & (new (row: unknown, context: object) => unknown)

function callOf(loader: Callable): CallNode['call'] {
  const isClass = Function.prototype.toString.call(loader).startsWith('class')
  return isClass ? (row, context) => new loader(row, context) : (row, context) => loader(row, context)
}
