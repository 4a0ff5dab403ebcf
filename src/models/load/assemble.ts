// A loader compiled for one query: the columns it selects, the joins it needs, and the function that makes objects of rows.
// Rows arrive as arrays of decoded values; objects are built in one pass, lists are folded by key as rows come.
import { Column, is, SQL } from 'drizzle-orm'
import { type Decode, decodeOf } from '../../builder/drizzle/core/codec.ts'
import { UsageError } from '../../errors/index.ts'
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import type { Expression } from '../meta/expressions.ts'
import { quoteName } from '../../builder/drizzle/core/render.ts'
import { isModel, modelName } from '../meta/model-meta.ts'
import { Row } from '../meta/row.ts'
import type { SqlText } from '../meta/sql-text.ts'
import { Fold, type Entry } from './fold.ts'
import type { Joins } from './join-list.ts'
import { type ChildNode, folds, type LoadNode, modelNode, type ModelNode } from './node.ts'
import type { Source } from './source.ts'

type Values = readonly unknown[]
type Instance = Record<string, unknown>
/** Makes the object of one row; `owner` is the object it belongs to. */
type Read = (values: Values, fold: Fold, owner: object) => unknown

export class Assembly {
  readonly #items: Expression[] = []
  readonly #columns: ColumnSpec[] = []
  readonly #root: Source
  readonly #joins: Joins
  readonly #read: Read
  /** A list whose rows have no key. */
  #keyless: string | null = null
  /** Several rows may make one object. */
  readonly folds: boolean

  /** @throws {UsageError} when the loader does not fit the query. */
  constructor(node: LoadNode, root: Source, joins: Joins) {
    this.#root = root
    this.#joins = joins
    this.folds = node.kind === 'model' && folds(node)
    if (node.kind === 'tuple' && node.items.some((item) => folds(item) && !onlyShares(item)))
      throw new UsageError('many() cannot be inside of a tuple: load a model that has the list.')
    this.#read = this.#compile(node, null)
    if (this.#keyless !== null && joins.lists > 1)
      throw new UsageError(
        `${this.#keyless} has no primary key, so its rows cannot be told apart beside another list: load them by another query.`,
      )
  }

  get spec(): RowSpec {
    return { into: 'array', make: null, columns: this.#columns }
  }

  select(text: SqlText): void {
    this.#items.forEach((expression, index) => {
      if (index > 0) text.add(', ')
      if (is(expression, SQL.Aliased)) text.sql(expression.sql).add(` as ${quoteName(expression.fieldAlias)}`)
      else text.sql(expression)
    })
  }

  /** Selects one more value, which no object gets; gives its place in the rows. */
  beside(expression: Expression): number {
    return this.#add(expression)
  }

  /** Folds further rows into what the fold holds; gives what is new, and to `origins` the row each was first in. */
  rows(rows: readonly unknown[], fold: Fold = new Fold(), origins?: unknown[][]): unknown[] {
    const made: unknown[] = []
    for (const values of rows as readonly unknown[][]) {
      const row = this.#read(values, fold, fold)
      if (this.folds && !fold.fresh) continue
      made.push(row)
      origins?.push(values)
    }
    return made
  }

  #compile(node: LoadNode, owner: Source | null, member: string | null = null): Read {
    switch (node.kind) {
      case 'model':
        return this.#model(node, owner, false, member)
      case 'value':
        return this.#value(node.expression, member)
      case 'tuple': {
        const items = node.items.map((item) => this.#compile(item, null))
        return (values, fold, of) => items.map((read) => read(values, fold, of))
      }
      case 'call': {
        const { call } = node
        if (owner !== null) return (_values, fold, of) => noModel(call(of, fold.context), member)
        const row = this.#compile(modelNode(this.#root), null)
        return (values, fold, of) => noModel(call(row(values, fold, of), fold.context), null)
      }
      case 'constant':
        return () => node.value
    }
  }

  #value(expression: Expression, member: string | null): Read {
    if (is(expression, Column)) this.#joins.need(expression, member)
    const at = this.#add(expression)
    return (values) => values[at]
  }

  #model(node: ModelNode, owner: Source | null, many: boolean, member: string | null): Read {
    const { source, by } = node
    const { model, meta } = source
    if (model === null || meta === null) throw new UsageError('A bare table cannot be loaded: load a model of it.')
    this.#joins.add(node, owner ?? this.#root, many, member)
    const start = this.#items.length
    const keys = meta.columns.map(({ key }) => key)
    for (const { key } of meta.columns) this.#add(source.columns[key] as Column, folds(node))
    const end = this.#items.length
    const identity = meta.primaryKey.map(({ key }) => start + keys.indexOf(key))
    if (many && identity.length === 0) this.#keyless = modelName(model)
    const grouped = folds(node) || (many && identity.length > 0)
    const grouping = by === null ? identity : by.map((column) => this.#find(column) ?? this.#add(column))
    if (grouped && grouping.length === 0)
      throw new UsageError(
        `${modelName(model)} has no primary key: say which columns tell its rows apart, by distinct().`,
      )
    const missing = identity.length > 0 ? identity : range(start, end)
    const attach = node.children.map((child) => this.#child(child, source))
    const { afterLoad } = meta.hooks
    const optional = owner !== null
    const blank = meta.specOf(model).make as () => Instance

    const { keep } = meta
    const loaded = node.children.map(({ key }) => key)

    const make = (values: Values): Instance => {
      const instance = blank()
      for (let at = start; at < end; at++) instance[keys[at - start] as string] = values[at]
      keep?.(instance)
      if (loaded.length > 0) Row.setLoaded(instance, loaded)
      afterLoad?.(instance)
      return instance
    }
    const gone = (values: Values): boolean => optional && missing.every((at) => values[at] === null)
    if (!grouped)
      return (values, fold) => {
        if (gone(values)) return null
        const instance = make(values)
        for (const add of attach) add(instance, undefined, true, values, fold)
        fold.fresh = true
        return instance
      }
    const loader = {}
    const forgets = owner === null && grouping.every((at, index) => at === identity[index])
    return (values, fold, of) => {
      if (gone(values)) return null
      const groups = fold.groups(loader, by === null ? of : fold)
      const key = keyOf(values, grouping)
      const known = groups.get(key)
      const entry = known ?? { instance: make(values), lists: [], owners: by === null ? null : new Set() }
      if (known === undefined) {
        if (forgets && fold.consecutive) groups.clear()
        groups.set(key, entry)
      }
      for (const add of attach) add(entry.instance, entry, known === undefined, values, fold)
      fold.fresh = entry.owners === null ? known === undefined : !entry.owners.has(of)
      if (fold.fresh) entry.owners?.add(of)
      return entry.instance
    }
  }

  #child({ key, node, many }: ChildNode, parent: Source): Attach {
    const read = many ? this.#model(node as ModelNode, parent, true, key) : this.#compile(node, parent, key)
    const deep = folds(node)
    if (!many)
      return (instance, _entry, fresh, values, fold) => {
        if (!fresh && !deep) return
        const value = read(values, fold, instance)
        if (fresh) put(instance, key, value, value !== null)
      }
    return (instance, entry, fresh, values, fold) => {
      const child = read(values, fold, instance)
      const list = listOf(entry as Entry, key)
      if (fresh && typeof instance[key] !== 'function') instance[key] = list
      if (child === null || !fold.fresh) return
      list.push(child)
      if (typeof instance[key] === 'function') put(instance, key, child, true)
    }
  }

  #find(column: Column): number | undefined {
    const at = this.#items.indexOf(column)
    return at < 0 ? undefined : at
  }

  #add(expression: Expression, repeats = false): number {
    const at = this.#items.length
    this.#items.push(expression)
    this.#columns.push({ path: [], ...decodeExpression(expression), repeats })
    return at
  }
}

type Attach = (instance: Instance, entry: Entry | undefined, fresh: boolean, values: Values, fold: Fold) => void

/** How the driver reads an expression: Drizzle's `mapWith` is honoured. */
export function decodeExpression(expression: Expression): Decode {
  if (is(expression, Column)) return decodeOf(expression)
  const sql = is(expression, SQL.Aliased) ? expression.sql : expression
  const { decoder } = sql as unknown as { readonly decoder?: Decoder }
  if (decoder === undefined) return { mode: 'default' }
  if (is(decoder, Column)) return decodeOf(decoder)
  return isNoop(decoder) ? { mode: 'default' } : { mode: 'default', map: (value) => decoder.mapFromDriverValue(value) }
}

interface Decoder {
  readonly mapFromDriverValue: ((value: unknown) => unknown) & { readonly isNoop?: boolean }
}

/** Drizzle 1.0 marks decoders that do nothing. */
function isNoop({ mapFromDriverValue }: Decoder): boolean {
  return mapFromDriverValue.isNoop === true
}

/** @throws {UsageError} for a model, which `() => Team` would give instead of a team. */
export function noModel(value: unknown, member: string | null): unknown {
  if (typeof value !== 'function' || !isModel(value)) return value
  const name = modelName(value)
  throw new UsageError(
    `A loader${member === null ? '' : ` of '${member}'`} is a function that gives the model ${name}, not an object. Give ${name} itself; where modules import each other, write the loader inside of the function that uses it.`,
  )
}

/** A method of the model is called with the value, as GINO's `add_child`; anything else is assigned. */
function put(instance: Instance, key: string, value: unknown, call: boolean): void {
  const member = instance[key]
  if (typeof member === 'function') {
    if (call) (member as (this: object, value: unknown) => void).call(instance, value)
  } else instance[key] = value
}

function listOf({ lists }: Entry, key: string): unknown[] {
  for (let i = 0; i < lists.length; i++) {
    const known = lists[i] as Entry['lists'][number]
    if (known[0] === key) return known[1]
  }
  const list: unknown[] = []
  lists.push([key, list])
  return list
}

function onlyShares(node: LoadNode): boolean {
  return node.kind === 'model' && !node.children.some((child) => child.many || folds(child.node))
}

function keyOf(values: Values, at: readonly number[]): unknown {
  const [only] = at
  if (at.length === 1) return primitive(values[only as number])
  return JSON.stringify(at.map((index) => String(primitive(values[index]))))
}

/** Equal values give the same key of a Map. */
function primitive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return value instanceof Date ? value.getTime() : JSON.stringify(value)
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index)
}
