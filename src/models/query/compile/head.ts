// The beginning of a query: its selected values, and the text after FROM. It depends on nothing that differs from call to call, so it is
// made once for a model, and once for a loader or list of columns that is kept: texts, joins, and how rows become objects.
import { type Column, type SQL, sql } from 'drizzle-orm'
import type { RowSpec } from '../../../sql/compiled.ts'
import type { Statement } from '../../../sql/statement.ts'
import { written } from '../../json/defaults.ts'
import { Assembly } from '../../load/assemble.ts'
import { settle } from '../../load/belonging.ts'
import { decodeExpression } from '../../meta/decode.ts'
import { Joins } from '../../load/join-list.ts'
import type { Level, List } from '../../load/level.ts'
import {
  areOfKey,
  type ByKey,
  comeAsRows,
  type Pair,
  pairsOf,
  settleKeys,
  writeByKey,
  writeKept,
} from '../../load/list-rows.ts'
import { type FieldsNode, modelNode } from '../../load/node.ts'
import type { Source } from '../../load/source.ts'
import { SqlText } from '../../meta/sql-text.ts'
import { Shapes } from '../../statement/ready.ts'
import type { QueryState } from '../state.ts'

export interface Head {
  /** The SQL around the query of the objects if it selects them with their lists; otherwise empty. */
  readonly open: string
  readonly close: string
  /** The selected values, and ` from …`. */
  readonly items: string
  readonly from: string
  /** The parameters of all four. */
  readonly params: readonly unknown[]
  readonly joins: Joins
  readonly spec: RowSpec
  /** The first column alone, read as it is declared. */
  readonly value: RowSpec
  /** Null when the driver makes the rows in one step. */
  readonly assembly: Assembly | null
  readonly decode: Statement['decode']
  /** The rows of lists come as rows: it takes all of them to make an object, and `decode` is not there. */
  readonly asRows: boolean
  /** Null unless it is of one object, whose key finds the rows of its lists. */
  readonly byKey: ByKey | null
  /** Null where rows are not paired by keys. */
  readonly pairs: readonly Pair[] | null
  /** The same by how its lists are written, and with something beside the rows, by its text. */
  readonly variants: Shapes<Head>
  /** Whole texts of queries with this beginning. */
  readonly texts: Shapes<string>
}

/** Tells how a list is written. */
export interface ListFacts {
  /** Whether an index finds the rows of one list. */
  indexed(list: List): boolean
  /** Whether both sides are whole numbers. */
  whole(list: List): boolean
  /** A result says that the columns of these lists are no whole numbers. */
  unpaired(lists: readonly List[]): Error
}

/** Found by the source, then by the joins, then by the loader or the columns. */
const heads = new WeakMap<object, WeakMap<object, WeakMap<object, Head>>>()
const nothing = {}

export interface HeadOptions {
  readonly facts: ListFacts | null
  /** At most one object is asked for. */
  readonly single: boolean
  /** All rows are read at once. */
  readonly whole: boolean
  /** Selected beside the rows, which then come as arrays. */
  readonly beside?: readonly SQL[] | undefined
  /** The key, where its equality with a value is all that the query asks for; else null. */
  readonly keyed: () => Column | null
}

/** MySQL has no rows without columns. */
const nothingToSelect = sql`null`

export function headOf(state: QueryState, { facts, single, whole, beside, keyed }: HeadOptions): Head {
  const head = plainHead(state)
  const root = head.assembly?.root
  const lists = head.assembly?.lists ?? []
  if (beside === undefined && lists.length === 0) return head
  const mayBeRows = whole && root !== undefined && comeAsRows(root, (list) => facts?.indexed(list) === true)
  const paired = mayBeRows && head.assembly?.hasPlainKeys === true && lists.every((list) => facts?.whole(list) === true)
  const key = paired && beside === undefined ? keyed() : null
  const byKey = key !== null && areOfKey(root as Level, key)
  const pairing = byKey ? 'by key' : !paired ? null : single ? 'one kept' : 'kept'
  const asRows = paired || (mayBeRows && !single)
  const correlates = asRows
    ? null
    : lists.map((list) => isCorrelated(list, facts, single && root?.lists.includes(list) === true))
  const make = (): Head => makeHead(state, beside ?? [], correlates, pairing)
  const spelling = pairing ?? (correlates === null ? 'rows' : correlates.join())
  if (beside === undefined) return head.variants.get(spelling, make)
  const text = textOf(beside, state)
  return text === null ? make() : head.variants.get(`${spelling} ${text}`, make)
}

/** Of lists of expressions that are kept. */
const texts = new WeakMap<readonly SQL[], string>()

/** Null where there are parameters. */
function textOf(beside: readonly SQL[], { source }: QueryState): string | null {
  const known = texts.get(beside)
  if (known !== undefined) return known
  const { functions } = written
  const { text, params } = new SqlText(source.dialect).expressions(beside)
  if (params.length > 0 || written.functions !== functions) return null
  texts.set(beside, text)
  return text
}

function firstOf({ columns, types = 0, formats }: RowSpec): RowSpec {
  return { into: 'scalar', make: null, columns, types, formats }
}

/** The lists that a query loads. */
export function listsOf(state: QueryState): readonly List[] {
  return state.loader === null || state.selectIn ? none : (plainHead(state).assembly?.lists ?? none)
}

/** The same where the query has been compiled before, else null: compiling may throw. */
export function knownLists({ source, joins, keys, loader }: QueryState): readonly List[] | null {
  return (
    heads
      .get(source)
      ?.get(joins)
      ?.get(keys ?? loader ?? nothing)?.assembly?.lists ?? null
  )
}

const none: readonly never[] = []

/** Row by row, it and the lists inside of it; else a list inside of it would be searched for each row of all of them. */
function isCorrelated(list: List, facts: ListFacts | null, single: boolean): boolean {
  if (!single && facts?.indexed(list) !== true) return false
  return list.level.lists.every((within) => isCorrelated(within, facts, false))
}

function plainHead(state: QueryState): Head {
  const { source, joins, keys, loader, selectIn } = state
  const byJoins = inner(heads, source)
  const byLoaded = inner(byJoins, joins)
  const loaded = keys ?? (selectIn ? nothing : (loader ?? nothing))
  let head = byLoaded.get(loaded)
  if (head === undefined) {
    const { functions } = written
    head = makeHead(state, [], [], null)
    if (written.functions === functions) byLoaded.set(loaded, head)
  }
  return head
}

function inner<V extends object>(maps: WeakMap<object, WeakMap<object, V>>, key: object): WeakMap<object, V> {
  let map = maps.get(key)
  if (map === undefined) {
    map = new WeakMap()
    maps.set(key, map)
  }
  return map
}

/** Rows of lists are put together first, by who knows what was asked. */
function decoder(assembly: Assembly, asRows: boolean): Head['decode'] {
  return asRows ? undefined : (rows) => assembly.rows(rows)
}

/** How rows of lists are paired by keys: objects are kept, or the one that there is; or the key of the one that there is finds them. */
type Pairing = 'by key' | 'kept' | 'one kept'

function fieldsOf(keys: readonly string[], { columns }: Source): FieldsNode {
  return { kind: 'fields', fields: keys.map((key) => ({ key, expression: columns[key] as Column | SQL })) }
}

/** `correlates` says it of each list; null: lists come as rows. These are numbered if they are not paired by keys. */
function makeHead(
  state: QueryState,
  beside: readonly SQL[],
  correlates: readonly boolean[] | null,
  pairing: Pairing | null,
): Head {
  const { source, meta, model, keys } = state
  const joins = new Joins(source, state.joins)
  const text = new SqlText(source.dialect)
  const loader = keys !== null ? fieldsOf(keys, source) : state.selectIn ? null : state.loader
  let assembly: Assembly | null = null
  let spec: RowSpec
  if (keys !== null && beside.length === 0) {
    const expressions = keys.map((key) => source.columns[key] as Column | SQL)
    text.expressions(expressions)
    const columns = keys.map((key, index) => ({ path: [key], ...decodeExpression(expressions[index] as Column | SQL) }))
    spec = { into: 'object', make: null, columns }
  } else if (loader !== null || beside.length > 0) {
    assembly = new Assembly(loader ?? modelNode(source), source, joins)
    for (const expression of beside) assembly.beside(expression)
    if (assembly.root.items.length === 0 && !assembly.hasLists) assembly.beside(nothingToSelect)
    settle(assembly.root)
    if (pairing !== null) settleKeys(assembly.root)
    spec = correlates === null ? assembly.specOfRows({ numbered: pairing === null }) : assembly.spec
    if (pairing !== 'by key') assembly.select(text)
  } else {
    text.add(meta.list(source.id))
    spec = meta.specOf(model)
  }
  const from = new SqlText(source.dialect, '', text)
  joins.write(from)
  const made = assembly
  const lists = made?.lists ?? []
  const correlated = correlates === null ? null : (list: List): boolean => correlates[lists.indexOf(list)] === true
  const keyed = pairing === 'by key' && made !== null ? writeByKey(from, made.root) : null
  const kept = pairing === 'kept' || pairing === 'one kept' ? writeKept(from, (made as Assembly).root, pairing) : null
  const around = keyed ?? kept ?? (made?.hasLists === true ? made.around(from, correlated) : null)
  const pairs = pairing === null || made === null ? null : pairsOf(made.root)
  return {
    open: around?.open ?? '',
    close: around?.close.text ?? '',
    items: keyed?.items ?? text.text,
    from: from.text,
    params: text.params,
    joins,
    spec,
    value: firstOf(spec),
    assembly,
    decode: made === null ? (keys === null ? meta.loaded : undefined) : decoder(made, correlates === null),
    asRows: correlates === null,
    byKey: keyed,
    pairs,
    variants: new Shapes(),
    texts: new Shapes(),
  }
}
