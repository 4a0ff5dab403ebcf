// A loader compiled for one query: the values it selects of each level of rows, the joins it needs, and the function that
// makes objects of rows. Rows come as arrays of decoded values, lists as arrays of such rows; objects are built in one pass.
import { Column, is, SQL, sql } from 'drizzle-orm'
import { UsageError } from '../../errors/index.ts'
import type { ColumnSpec, RowSpec } from '../../sql/compiled.ts'
import type { Expression } from '../meta/expressions.ts'
import type { SqlText } from '../meta/sql-text.ts'
import { decodeExpression } from '../meta/decode.ts'
import {
  type Attach,
  attachCalled,
  attachRead,
  ifThere,
  instances,
  noModel,
  plainKey,
  put,
  type Read,
  unlessMissing,
  WholeRow,
  type Values,
} from './instances.ts'
import { Joins, linkOf } from './join-list.ts'
import { relationOfList, severalAsOne, titleOf } from './joins.ts'
import { isWholeKey, sortedByKey } from '../values/key-order.ts'
import { Level, type List } from './level.ts'
import { listSpecs } from './list-fields.ts'
import { columnsIn } from './columns.ts'
import { gather, gatherByKey, type Pair, havePlainKeys, specOfRows, writeRows } from './list-rows.ts'
import { aliasFor, type Around, type Correlates, writeLists, writeNamed } from './list-sql.ts'
import {
  type CallNode,
  callsLast,
  type ChildNode,
  type FieldsNode,
  hasCall,
  type ListNode,
  type LoadNode,
  modelNode,
  type ModelNode,
} from './node.ts'
import { Shared } from './shared.ts'
import { type Single, singleIn } from './single.ts'
import { asText, qualifierOf, type Source } from './source.ts'

export class Assembly {
  readonly #root: Level
  #hasPlainKeys: boolean | null = null
  readonly #repeats = new Set<number>()
  readonly #read: Read
  readonly #beside: number[] = []
  readonly #single: Single[] = []
  /** The objects of the rows themselves. */
  readonly #objects = new Map<Level, Read>()

  /** @throws {UsageError} when the loader does not fit the query. */
  constructor(node: LoadNode | FieldsNode, root: Source, joins: Joins) {
    const isTaken = node.kind !== 'fields' && takes(node, root)
    this.#root = new Level(root, joins, aliasFor(root, isTaken, 0))
    this.#read = node.kind === 'fields' ? this.#fields(node) : this.#compile(node, this.#root, null, null)
    this.lists = listsIn(this.#root)
  }

  get hasLists(): boolean {
    return this.#root.lists.length > 0
  }

  /** All lists, the outer ones first. After everything was compiled. */
  readonly lists: readonly List[]

  /** @throws {UsageError} for a value of which an object may have several, unless groups make one of them. */
  checkGroups(by: readonly unknown[]): void {
    for (const { ids, refuse } of this.#single)
      if (by.length === 0 || (ids !== null && columnsIn(by).some((column) => ids.includes(qualifierOf(column)))))
        throw refuse()
  }

  get root(): Level {
    return this.#root
  }

  /** After everything was added. */
  get spec(): RowSpec {
    const { items } = this.#root
    const columns: ColumnSpec[] = items.map((item, at) => ({
      path: [],
      ...decodeExpression(item),
      repeats: this.#repeats.has(at),
    }))
    if (!this.hasLists) return { into: 'array', make: null, columns }
    const counter = { next: items.length + this.#root.lists.length }
    const first = counter.next
    for (const list of listSpecs(this.#root, counter)) columns.push({ path: [], mode: 'default', list })
    const formats = Array.from({ length: counter.next }, (_, at) => (at >= items.length && at < first ? 1 : 0))
    return { into: 'array', make: null, columns, types: counter.next - first, formats }
  }

  /** The same where each row of a list is a row of the result. */
  specOfRows(options: { numbered: boolean }): RowSpec {
    return specOfRows(this.#root, this.spec.columns ?? [], options)
  }

  select(text: SqlText): void {
    if (this.hasLists) this.selectNamed(text)
    else
      this.#root.items.forEach((item, at) => {
        if (at > 0) text.add(', ')
        if (is(item, SQL.Aliased)) text.sql(item.sql).add(` as ${text.dialect.quote(item.fieldAlias)}`)
        else text.sql(item)
      })
  }

  /** Each value under the name that a subquery gives it. */
  selectNamed(text: SqlText): void {
    writeNamed(text, this.#root)
  }

  /** The SQL around the query of the objects: it selects them with their lists. Null: these come as rows. */
  around(text: SqlText, correlates: Correlates | null): Around {
    return correlates === null ? writeRows(text, this.#root) : writeLists(text, this.#root, correlates)
  }

  /** Whether rows of lists may be paired by keys. After everything was compiled. */
  get hasPlainKeys(): boolean {
    return (this.#hasPlainKeys ??= havePlainKeys(this.#root))
  }

  /** The rows of objects, of all rows where those of lists come as rows: paired by keys, or by the number of the object. */
  gather(rows: readonly unknown[], pairs: readonly Pair[] | null): readonly unknown[] {
    return pairs === null ? gather(this.#root, rows) : gatherByKey(pairs, rows)
  }

  /** Selects one more value, which no object gets. */
  beside(expression: Expression): void {
    this.#beside.push(this.#root.add(expression))
  }

  /** All that was read of a row. */
  whole(values: unknown): WholeRow {
    return new WholeRow(this.#root.places, values as Values)
  }

  /** The values beside a row. */
  besides(row: unknown): unknown[] {
    return this.#beside.map((at) => (row as Values)[at])
  }

  rows(rows: readonly unknown[], shared: Shared = new Shared()): unknown[] {
    const made: unknown[] = []
    for (let at = 0; at < rows.length; at++) made.push(this.#read(rows[at] as Values, shared))
    return made
  }

  #fields({ fields }: FieldsNode): Read {
    const places = fields.map(({ key, expression }) => [key, this.#root.add(expression)] as const)
    return (values) => Object.fromEntries(places.map(([key, at]) => [key, values[at]]))
  }

  #compile(node: LoadNode, level: Level, owner: Source | null, member: string | null): Read {
    switch (node.kind) {
      case 'model':
        return this.#model(node, level, owner, member)
      case 'value':
        return this.#value(node.expression, level, owner, member)
      case 'tuple': {
        const items: Read[] = []
        // A function gets the object of the model beside it, whichever stands first.
        for (const calls of [false, true])
          node.items.forEach((item, at) => {
            if (calls !== hasCall(item)) return
            items[at] = this.#compile(item, level, null, null)
            if (item.kind === 'model' && item.source === level.source && hasCall(node))
              this.#objects.set(level, (items[at] = remembered(items[at])))
          })
        return (values, shared) => items.map((read) => read(values, shared))
      }
      case 'call': {
        const { call } = node
        const object = this.#objects.get(level) ?? remembered(this.#model(modelNode(level.source), level, null, null))
        this.#objects.set(level, object)
        this.#readAll(node, level)
        return (values, shared) =>
          noModel(call(object(values, shared), shared.context, new WholeRow(level.places, values)), null)
      }
      case 'constant':
        return () => node.value
    }
  }

  #value(expression: Expression, level: Level, owner: Source | null, member: string | null): Read {
    if (is(expression, Column)) {
      level.joins.need(expression, member)
      const id = qualifierOf(expression)
      const of = level.joins.find(id)
      if (
        level === this.#root &&
        owner !== null &&
        member !== null &&
        of !== undefined &&
        level.joins.hasSeveral(owner, id)
      )
        this.#single.push({ ids: null, refuse: () => severalAsOne(owner, of, member) })
    }
    const at = level.add(expression)
    return (values) => values[at]
  }

  #model(node: ModelNode, level: Level, owner: Source | null, member: string | null): Read {
    const { source, by } = node
    const { model, meta } = source
    if (model === null || meta === null) throw new UsageError('A bare table cannot be loaded: load a model of it.')
    level.joins.add(node, owner ?? level.source, member)
    const start = level.items.length
    for (const { key } of meta.columns) level.add(source.columns[key] as Column)
    const end = level.items.length
    const shares = by !== null && level === this.#root
    if (shares) for (let at = start; at < end; at++) this.#repeats.add(at)
    const sharing = by?.map((column) => level.add(asText(column, source))) ?? null
    const attach = callsLast(node.children).map((child) => this.#child(child, level, source))
    if (by !== null)
      for (const { key, node: child } of node.children)
        if (child.kind === 'call' && child.isOfRow) throw severalRows(key, source)
    if (by !== null) this.#single.push(...singleIn(node, by, level, level === this.#root))
    const loaded = node.children.map(({ key }) => key)
    const make = instances(model, start, loaded, attach)
    const read: Read =
      sharing === null
        ? make
        : (values, shared) => {
            const key = sharing.map((at) => values[at])
            return shared.of(node, key, () => make(values, shared))
          }
    if (owner === null) return read
    const [first] = meta.primaryKey
    if (first === undefined || plainKey(meta).length > 0) return unlessMissing(read, meta, start)
    return ifThere(read, level.add(sql`not (${source.columns[first.key] as Column} is null)`))
  }

  #child({ key, node, list }: ChildNode, level: Level, parent: Source): Attach {
    if (list !== null) return this.#list(key, node as ModelNode, list, level, parent)
    if (node.kind === 'call') {
      this.#readAll(node, level)
      return attachCalled(key, node.call, level.places)
    }
    return attachRead(key, this.#compile(node, level, parent, key))
  }

  /** Selects the columns of all tables that the query has joined, for a function of the row. */
  #readAll({ isOfRow }: CallNode, level: Level): void {
    if (!isOfRow) return
    for (const { meta, columns } of level.joins.given)
      for (const { key } of meta?.columns ?? []) {
        const column = columns[key] as Column
        if (level.find(column) === undefined) level.add(column)
      }
  }

  #list(key: string, node: ModelNode, own: ListNode, parent: Level, owner: Source): Attach {
    const { source } = node
    if (source.id === owner.id)
      throw new UsageError(`load({ ${key} }) is a list of ${source.id} in itself: use alias('name') for one of them.`)
    const { through } = own
    const joins = new Joins(source, through === null ? [] : [linkOf(source, through)])
    const depth = listsIn(this.#root).length + 1
    const level = new Level(source, joins, aliasFor(source, takes(node, source), depth))
    const related = through ?? source
    const pairs = node.on === null || through !== null ? relationOfList(owner, related) : null
    const orderBy = own.orderBy.length > 0 ? own.orderBy : keyOf(source)
    const sortsHere = own.limit === null && isWholeKey(orderBy, source)
    const list = { ...own, key, orderBy, sortsHere, level, on: node.on, pairs, parent: owner, child: related }
    const at = parent.lists.push(list) - 1
    const read = this.#model({ ...node, on: null }, level, null, null)
    const sorted = sortsHere ? orderBy.map((column) => level.find(column as Column) as number) : null
    const once = node.by !== null
    return (instance, values, shared) => {
      const given = (values[parent.items.length + at] ?? none) as readonly Values[]
      const rows = sorted === null ? given : sortedByKey(given, sorted)
      const made: unknown[] = []
      for (let n = 0; n < rows.length; n++) {
        const child = read(rows[n] as Values, shared)
        if (!once || !made.includes(child)) made.push(child)
      }
      const member = instance[key]
      if (typeof member === 'function') for (const each of made) put(instance, key, each)
      else instance[key] = made
    }
  }
}

const none: readonly never[] = []

function severalRows(key: string, source: Source): UsageError {
  return new UsageError(
    `load({ ${key} }) of a distinct() ${titleOf(source)} is a function of the row, and one object is made of several rows. Leave out the third parameter of the function.`,
  )
}

/** The same object for the same row, which a function gets too. */
function remembered(read: Read): Read {
  let [row, by, made]: [Values | null, Shared | null, unknown] = [null, null, null]
  return (values, shared) => {
    if (row !== values || by !== shared) [row, by, made] = [values, shared, read(values, shared)]
    return made
  }
}

function listsIn(level: Level): List[] {
  return level.lists.flatMap((list) => [list, ...listsIn(list.level)])
}

/** Whether a list inside of a node has a table with the name of the source. */
function takes(node: LoadNode, source: Source, inList = false): boolean {
  if (node.kind === 'tuple') return node.items.some((item) => takes(item, source, inList))
  if (node.kind === 'value') return inList && is(node.expression, Column) && qualifierOf(node.expression) === source.id
  if (node.kind !== 'model') return false
  if (inList && node.source.name === source.name) return true
  return node.children.some(
    ({ node: child, list }) => list?.through?.name === source.name || takes(child, source, inList || list !== null),
  )
}

function keyOf({ meta, columns }: Source): Column[] {
  return meta?.primaryKey.map(({ key }) => columns[key] as Column) ?? []
}
