// A loader as data: the tree that queries compile. It is made from the argument of `load()`.
import { Column, is, SQL } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import { isModel } from '../meta/model-meta.ts'
import { type Call, type Callable, callOf } from '../../sql/statement.ts'
import type { Condition } from '../query/compile/condition.ts'
import type { Expression } from '../meta/expressions.ts'
import { writable } from '../meta/selected.ts'
import { type Source, sourceOf, sourceSymbol } from './source.ts'
import { describeType, isPlain } from '../../util/options.ts'

export type LoadNode = ModelNode | ValueNode | TupleNode | CallNode | ConstantNode

/** An instance of a model, with what is loaded into it. */
export interface ModelNode {
  readonly kind: 'model'
  readonly source: Source
  /** Joins by it; null for the foreign key. */
  readonly on: SQL | null
  /** Rows with equal values of these give one instance; null: each row gives its own instance. */
  readonly by: readonly Column[] | null
  readonly children: readonly ChildNode[]
}

export interface ChildNode {
  readonly key: string
  readonly node: LoadNode
  /** The list they stand in; null for one object. */
  readonly list: ListNode | null
}

/** A list as `many()` makes it, beside what it is of. */
export interface ListNode {
  /** The table between the two; null where one has the key of the other. */
  readonly through: Source | null
  readonly where: readonly Condition[]
  readonly orderBy: readonly (Column | SQL)[]
  readonly limit: number | null
}

/** Where `many()` keeps both. */
export interface Listed {
  readonly node: ModelNode
  readonly list: ListNode
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
  readonly call: Call
  /** It names a third parameter: the row with all tables that the query joins. */
  readonly isOfRow: boolean
}

export interface ConstantNode {
  readonly kind: 'constant'
  readonly value: unknown
}

/** A plain object of columns and properties, as `select()` gives it. No loader has one. */
export interface FieldsNode {
  readonly kind: 'fields'
  readonly fields: readonly { readonly key: string; readonly expression: Column | SQL }[]
}

/** Where a loader keeps its node. */
export const nodeSymbol: unique symbol = Symbol('genever.loader')
/** Where `many()` keeps what the list is of. */
export const manySymbol: unique symbol = Symbol('genever.many')

type Carrier = {
  readonly [nodeSymbol]?: LoadNode
  readonly [manySymbol]?: Listed | (() => Listed)
  readonly [sourceSymbol]?: Source
}

/** @throws {UsageError} for what is no loader. */
export function nodeOf(loader: unknown): LoadNode {
  if (isModel(loader)) return modelNode(sourceOf(loader))
  if (Array.isArray(loader)) return { kind: 'tuple', items: loader.map(nodeOf) }
  if (isPlain(loader) && !Object.hasOwn(loader, nodeSymbol)) throw noLoader(loader)
  if (is(loader, Column) || is(loader, SQL) || is(loader, SQL.Aliased))
    return { kind: 'value', expression: writable(loader) }
  if (typeof loader === 'function')
    return { kind: 'call', call: callOf(loader as Callable), isOfRow: loader.length > 2 }
  if (typeof loader === 'object' && loader !== null) {
    const carrier = loader as Carrier
    if (typeof carrier[manySymbol] === 'function')
      throw new UsageError('A query is no loader: many(query) loads a list.')
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
  return of === undefined || typeof of === 'function' ? { key, node: nodeOf(loader), list: null } : { key, ...of }
}

export function modelNode(source: Source): ModelNode {
  return { kind: 'model', source, on: null, by: null, children: [] }
}

/** Of what `many()` takes. @throws {UsageError} for anything else. */
export function listedOf(loader: unknown): Listed {
  const of = typeof loader === 'object' && loader !== null ? (loader as Carrier)[manySymbol] : undefined
  if (typeof of === 'function') return of.call(loader)
  const node = nodeOf(loader)
  if (node.kind !== 'model') throw new UsageError('many() takes a model, an alias, a loader or a query of one.')
  return { node, list: { through: null, where: [], orderBy: [], limit: null } }
}

/** Whether it is a function of the row, or a tuple with one. */
export function hasCall(node: LoadNode): boolean {
  return node.kind === 'call' || (node.kind === 'tuple' && node.items.some(hasCall))
}

/** Functions get an object that has all its other members. */
export function callsLast(children: readonly ChildNode[]): readonly ChildNode[] {
  if (!children.some(({ node }) => node.kind === 'call')) return children
  return [
    ...children.filter(({ node }) => node.kind !== 'call'),
    ...children.filter(({ node }) => node.kind === 'call'),
  ]
}

/** Whether a list is loaded somewhere in it. */
export function hasList(node: LoadNode): boolean {
  if (node.kind === 'tuple') return node.items.some(hasList)
  return node.kind === 'model' && node.children.some(({ node: child, list }) => list !== null || hasList(child))
}
