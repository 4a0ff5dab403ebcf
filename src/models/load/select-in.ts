// Loading by further statements: one for each relation, for the keys of the objects that are there, all relations of a level at
// once. Named as the field names it, selectin loading. (SQLAlchemy: `selectinload`; MikroORM: `select-in`.) Keys travel as the
// server wrote them, and the server pairs them: it alone knows which are equal.
import { Column, is, type SQL, sql } from 'drizzle-orm'
import { TransactionAbortedError, UsageError } from '../../errors/index.ts'
import type { RowSpec, TypedText } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { KeyRows, ListWords } from '../../sql/model-words.ts'
import { render } from '../../builder/drizzle/core/render.ts'
import type { Executor } from '../../engine/query/executor.ts'
import type { QueryOptions } from '../../engine/query/query-options.ts'
import { Source as EngineSource } from '../../engine/source.ts'
import { asQuery } from '../../sql/statement.ts'
import { asTyped } from '../meta/decode.ts'
import { Row } from '../meta/row.ts'
import { SqlText } from '../meta/sql-text.ts'
import { compileQuery } from '../query/compile/compile.ts'
import { writeConditions } from '../query/compile/condition.ts'
import type { QueryState } from '../query/state.ts'
import { KeyedTexts } from '../statement/keyed-texts.ts'
import { Assembly } from './assemble.ts'
import { checkOwn } from './belonging.ts'
import { noModel, put, SeparateRow, type WholeRow, wholeRows } from './instances.ts'
import { Joins, linkOf } from './join-list.ts'
import { type Relation, relationOfList, relationOfOne } from './joins.ts'
import { type ChildNode, type LoadNode, modelNode, type ModelNode } from './node.ts'
import { Shared } from './shared.ts'
import { dialectAt, qualifierOf, type Source } from './source.ts'

type Instance = Record<string, unknown>
type Rows = readonly (readonly unknown[])[]

/** The objects of a query, then what belongs to them; on one connection. */
export async function loadSeparately<R>(
  executor: Executor,
  state: QueryState,
  limit: number,
  options: QueryOptions,
): Promise<R[]> {
  const separate = separateOf(state.loader)
  const [keys, joined] = [separate.beside(dialectAt(executor, state.source).models.lists), separate.joined(state.joins)]
  const { statement, assembly } = compileQuery(
    { ...state, ...separate.root, limit: limit === 0 ? state.limit : Math.min(limit, state.limit ?? limit) },
    { beside: joined.length === 0 ? keys : [...keys, ...joined] },
  )
  return together(executor, async () => {
    const rows = await executor.all(asQuery({ ...statement, decode: undefined }), options)
    const objects = assembly?.rows(rows) ?? []
    await separate.attach(executor, objects as Instance[], cameAs(assembly as Assembly, rows), options)
    return objects as R[]
  })
}

/** The rows of objects: the values selected beside each, and the whole row of each. */
export interface Came {
  readonly keys: Rows
  whole(at: number): WholeRow
}

/** `before`: how many values stand beside each row in front of the keys. */
export function cameAs(assembly: Assembly, rows: readonly unknown[], before = 0): Came {
  return {
    keys: rows.map((row) => assembly.besides(row).slice(before)),
    whole: (at) => assembly.whole(rows[at]),
  }
}

/** All statements on one connection: that of the scope or transaction around, else one borrowed for them. */
export function together<T>(executor: Executor, work: () => Promise<T>): Promise<T> {
  return executor instanceof EngineSource ? executor.scope(work) : work()
}

/** The compiled form of each loader, and the specification of its rows, serve all its queries. */
const known = new WeakMap<LoadNode, Separate>()

/** @throws {UsageError} for a loader whose parts do not hang on foreign keys. */
export function separateOf(loader: LoadNode | null): Separate {
  let separate = loader === null ? undefined : known.get(loader)
  if (separate === undefined) {
    separate = new Separate(loader)
    known.set(loader as LoadNode, separate)
  }
  return separate
}

/** The parts of a model that are loaded by further statements. */
class Separate {
  /** The loader of the query of the objects. */
  readonly root: { readonly loader: ModelNode; readonly selectIn: false }
  readonly #node: ModelNode
  readonly #parts: readonly Part[]
  /** A function gets the whole row. */
  readonly isOfRow: boolean
  readonly #beside = new WeakMap<ListWords, readonly SQL[]>()

  /** @throws {UsageError} for a loader whose parts do not hang on foreign keys. */
  constructor(loader: LoadNode | null) {
    if (loader?.kind !== 'model') throw new UsageError("The strategy 'select-in' loads a model with load({ … }).")
    if (loader.on !== null)
      throw new UsageError(`${loader.source.id} is the table of the query: on() has nothing to join. Use where().`)
    this.#node = loader
    this.isOfRow = loader.children.some(({ node }) => node.kind === 'call' && node.isOfRow)
    this.root = { loader: { ...modelNode(loader.source), by: loader.by }, selectIn: false }
    this.#parts = loader.children
      .filter(({ node }) => node.kind === 'model')
      .map((child) => new Part(child as Part['child'], loader))
    for (const { key, node } of loader.children)
      if (node.kind !== 'model' && node.kind !== 'call' && node.kind !== 'constant')
        throw needsJoined(`load({ ${key} }) selects a value`, loader.source)
  }

  /** Values selected beside each object: keys, each with its type. */
  beside(words: ListWords): readonly SQL[] {
    let beside = this.#beside.get(words)
    if (beside === undefined) this.#beside.set(words, (beside = this.#keys(words)))
    return beside
  }

  /** The columns of tables that the query has joined, for a function of the row. */
  joined(joins: readonly { readonly source: Source }[]): readonly SQL[] {
    return this.isOfRow ? joins.flatMap(({ source }) => columnsOf(source)) : []
  }

  /** Whether there is nothing to load. */
  get isEmpty(): boolean {
    return this.#node.children.length === 0
  }

  #keys(words: ListWords): SQL[] {
    return this.#parts.flatMap(({ relation }) =>
      relation.parent.flatMap((column) => {
        const { sql: text } = render(column)
        const declared = column.getSQLType()
        const key = sql.raw(words.keyText(text, declared))
        return [words.typed ? key.mapWith(asTyped) : key, sql.raw(words.keyType(text, declared))]
      }),
    )
  }

  /** Loads the parts of these objects, and the parts of those. */
  async attach(executor: Executor, objects: readonly Instance[], came: Came, options: QueryOptions): Promise<void> {
    const level = new Objects(this, objects, came, false)
    const levels: (readonly Objects[])[] = [[level]]
    for (let at = 0; at < levels.length; at++) {
      const next = await loadAll(executor, levels[at] as readonly Objects[], options)
      if (next.length > 0) levels.push(next)
    }
    for (const each of levels.toReversed()) for (const one of each) one.attach()
  }

  get parts(): readonly Part[] {
    return this.#parts
  }

  get children(): readonly ChildNode[] {
    return this.#node.children
  }
}

/** The parts of all objects of a level, sent together; then the objects that they are. */
async function loadAll(executor: Executor, level: readonly Objects[], options: QueryOptions): Promise<Objects[]> {
  const engine = executor.engineQuietly()
  const slot = engine === null ? null : executor.slotHere(engine, executor.chainHere())
  const load = (): Promise<Objects | null>[] => level.flatMap((each) => each.load(executor, options))
  const loads = slot === null ? load() : slot.flight.issueTogether(load, slot)
  const answers = await Promise.allSettled(loads)
  const reasons = answers.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []))
  // One that fails in a transaction ends those beside it too. Its error says why.
  if (reasons.length > 0) throw reasons.find((reason) => !(reason instanceof TransactionAbortedError)) ?? reasons[0]
  return answers.flatMap((each) => (each.status === 'fulfilled' && each.value !== null ? [each.value] : []))
}

/** Objects of one statement, while their parts are loaded. */
class Objects {
  readonly #separate: Separate
  readonly #objects: readonly Instance[]
  readonly #came: Came
  /** The objects around these need the row of each. */
  readonly #isWanted: boolean
  readonly #lists: (readonly Instance[][])[] = []

  constructor(separate: Separate, objects: readonly Instance[], came: Came, isWanted: boolean) {
    this.#separate = separate
    this.#objects = objects
    this.#came = came
    this.#isWanted = isWanted
  }

  /** Sends a statement for each part. Gives what its objects have parts of, too. */
  load(executor: Executor, options: QueryOptions): Promise<Objects | null>[] {
    const needed = this.#isWanted || this.#separate.isOfRow
    let start = 0
    return this.#separate.parts.map(async (part, index) => {
      const from = start
      const to = (start += part.relation.parent.length * 2)
      const { lists, objects } = await part.load(
        executor,
        this.#came.keys.map((key) => key.slice(from, to)),
        options,
        needed,
      )
      this.#lists[index] = lists
      return objects
    })
  }

  /** Once all have come. */
  attach(): void {
    const { parts, children, isOfRow } = this.#separate
    const { context } = new Shared()
    const names = children.map(({ key }) => key)
    if (names.length > 0) for (const object of this.#objects) Row.setLoaded(object, names)
    parts.forEach((part, index) => part.put(this.#objects, this.#lists[index] as readonly Instance[][]))
    for (const { key, node } of children)
      if (node.kind === 'constant') for (const object of this.#objects) put(object, key, node.value)
    if (!this.#isWanted && !children.some(({ node }) => node.kind === 'call')) return
    this.#objects.forEach((object, at) => {
      const own = this.#came.whole(at)
      const row = this.#isWanted || isOfRow ? new SeparateRow(own, this.#ones(at)) : own
      if (row instanceof SeparateRow) wholeRows.set(object, row)
      for (const { key, node } of children)
        if (node.kind === 'call') object[key] = noModel(node.call(object, context, row), key)
    })
  }

  #ones(at: number): ((expression: unknown) => unknown)[] {
    return this.#separate.parts.map((part, index) => part.rowOf(this.#lists[index]?.[at]?.[0]))
  }
}

function needsJoined(what: string, { dialect: { models, title } }: Source): UsageError {
  return new UsageError(
    models.lists.inColumn !== null
      ? `${what}, which needs the strategy 'joined'.`
      : `${what}. On ${title} lists, and all that is loaded beside them, come by further statements, which follow foreign keys only.`,
  )
}

function columnsOf({ meta, columns }: Source): SQL[] {
  return meta?.columns.map(({ key }) => columns[key] as SQL) ?? []
}

const textOf = (part: unknown): string => (typeof part === 'string' ? part : (part as TypedText).text)

const typeOf = (part: unknown, said: unknown): string =>
  typeof part === 'string' ? (said as string) : `${(part as TypedText).type} ${said as string}`

interface LoadedPart {
  /** For each key its objects. */
  readonly lists: Instance[][]
  /** Those that have parts. */
  readonly objects: Objects | null
}

interface Compiled {
  readonly assembly: Assembly
  readonly spec: RowSpec
  readonly texts: KeyedTexts
}

/** One relation. */
class Part {
  readonly child: ChildNode & { readonly node: ModelNode }
  readonly relation: Relation
  readonly #separate: Separate
  readonly #compiled = new WeakMap<Dialect, Compiled>()

  constructor(child: Part['child'], parent: ModelNode) {
    const { key, node, list } = child
    const { source, on } = node
    if (on !== null || source.meta === null || source.model === null)
      throw needsJoined(`load({ ${key} }) is joined by a condition`, source)
    const between = node.children.find(
      (each) => each.node.kind === 'model' && each.node.source.id === list?.through?.id,
    )
    if (between !== undefined && between.list === null)
      throw needsJoined(`load({ ${between.key} }) is of the table in between`, source)
    this.child = child
    this.relation =
      list === null ? relationOfOne(parent.source, source, key) : relationOfList(parent.source, list.through ?? source)
    this.#separate = separateOf(node)
    const joins = this.#joins()
    if (list !== null)
      checkOwn(key, list, (id) => joins.has(id), 'Its objects load others by further statements: use a subquery.')
  }

  /** Loads the objects of each key, in the order of the keys. */
  async load(executor: Executor, keys: Rows, options: QueryOptions, needed: boolean): Promise<LoadedPart> {
    const lists: Instance[][] = keys.map(() => [])
    const wanted: number[] = []
    keys.forEach((key, index) => {
      if (key.every((part) => part !== null)) wanted.push(index)
    })
    const [first] = wanted
    if (first === undefined) return { lists, objects: null }
    const columns = this.relation.parent.map((_, at) => wanted.map((index) => textOf(keys[index]?.[at * 2])))
    const types = this.relation.parent.map((_, at) => typeOf(keys[first]?.[at * 2], keys[first]?.[at * 2 + 1]))
    const { node, list } = this.child
    const dialect = dialectAt(executor, node.source)
    const { assembly, spec, texts } = this.#on(dialect)
    const { ord } = dialect.models.lists
    const { text, params } = texts.statement({ types, columns }, (keyRows) => this.#write(assembly, keyRows, ord))
    const rows = (await executor.all(
      asQuery({ sql: text, params, spec, dialect: node.source.dialect.family }),
      options,
    )) as unknown as unknown[][]
    const made = assembly.rows(rows) as Instance[]
    const isOne = needed && list === null
    const fresh = new Map(made.map((object, at) => [object, rows[at]]))
    const objects =
      this.#separate.isEmpty && !isOne
        ? null
        : new Objects(this.#separate, [...fresh.keys()], cameAs(assembly, [...fresh.values()]), isOne)
    for (let at = 0; at < rows.length; at++) {
      const own = lists[wanted[((rows[at] as unknown[]).at(-1) as number) - 1] as number] as Instance[]
      const object = made[at] as Instance
      if (node.by === null || !own.includes(object)) own.push(object)
    }
    return { lists, objects }
  }

  /** The specification of its rows, which have the number of their key at the end. */
  #on(dialect: Dialect): Compiled {
    let compiled = this.#compiled.get(dialect)
    if (compiled === undefined) {
      const assembly = new Assembly(this.#separate.root.loader, this.child.node.source, this.#joins())
      for (const each of this.#separate.beside(dialect.models.lists)) assembly.beside(each)
      const through = this.child.list?.through ?? null
      for (const each of this.#separate.joined(through === null ? [] : [{ source: through }])) assembly.beside(each)
      const { spec } = assembly
      const columns = [...(spec.columns ?? []), { path: [], mode: 'number' as const }]
      this.#compiled.set(dialect, (compiled = { assembly, spec: { ...spec, columns }, texts: new KeyedTexts(dialect) }))
    }
    return compiled
  }

  /** Tells what came of an object that there is one of; of one that is not there all is null. */
  rowOf(object: Instance | undefined): (expression: unknown) => unknown {
    const { node, list } = this.child
    if (list !== null) return () => undefined
    if (object !== undefined) return (expression) => wholeRows.get(object)?.find(expression)
    return (expression) => (is(expression, Column) && qualifierOf(expression) === node.source.id ? null : undefined)
  }

  put(objects: readonly Instance[], lists: readonly Instance[][]): void {
    const { key, list } = this.child
    objects.forEach((object, index) => {
      const found = lists[index] as Instance[]
      if (list === null) put(object, key, found[0] ?? null)
      else if (typeof object[key] === 'function') for (const each of found) put(object, key, each)
      else object[key] = found
    })
  }

  #joins(): Joins {
    const { node, list } = this.child
    return new Joins(node.source, list === null || list.through === null ? [] : [linkOf(node.source, list.through)])
  }

  /** A list of keys is one parameter, so that there is one statement however many keys there are. */
  #write(assembly: Assembly, keyRows: (text: SqlText) => KeyRows, ord: string): SqlText {
    const { node, list } = this.child
    const text = new SqlText(node.source.dialect)
    const own = node.source.meta?.primaryKey.map(({ key }) => node.source.columns[key] as SQL) ?? []
    const order = list !== null && list.orderBy.length > 0 ? list.orderBy : own
    const limited = list !== null && list.limit !== null
    if (limited)
      text.add(`select ${assembly.root.items.map((_, at) => `q.${assembly.root.name(at)}`).join(', ')}, q.ord from (`)
    text.add('select ')
    assembly.selectNamed(text)
    text.add(`, ${ord}`)
    if (limited) {
      text.add(`, row_number() over (partition by ${ord}`)
      if (order.length > 0) text.add(' order by ').expressions(order)
      text.add(') as n')
    }
    text.add(' from ')
    const { from, parts } = keyRows(text)
    text.add(`${from} inner join `)
    assembly.root.joins.writeOperand(text)
    const keyed = this.relation.child.map((column, at) => sql`${column} = ${sql.raw(parts[at] as string)}`)
    text.add(' on ').sql(sql.join(keyed, sql` and `))
    if (list !== null && list.where.length > 0) writeConditions(text.add(' where '), list.where)
    if (limited) return text.add(`) q where q.n <= ${list.limit} order by q.ord, q.n`)
    text.add(` order by ${ord}`)
    return order.length > 0 ? text.add(', ').expressions(order) : text
  }
}
