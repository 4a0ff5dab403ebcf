// How a query begins: what it selects, and from where. It depends on nothing that differs from call to call, so it is made
// once for a model, and once for a loader or list of columns that is kept: texts, joins, and how rows become objects.
import type { Column, SQL } from 'drizzle-orm'
import type { RowSpec } from '../../../sql/compiled.ts'
import type { Statement } from '../../../sql/statement.ts'
import { written } from '../../json/defaults.ts'
import { Assembly, decodeExpression } from '../../load/assemble.ts'
import { Joins } from '../../load/join-list.ts'
import { modelNode } from '../../load/node.ts'
import { SqlText } from '../../meta/sql-text.ts'
import { Shapes } from '../../statement/shapes.ts'
import type { QueryState } from '../state.ts'

export interface Head {
  /** `select … from …`, with its parameters. */
  readonly text: string
  readonly params: readonly unknown[]
  readonly joins: Joins
  readonly spec: RowSpec
  /** Null when the driver makes the rows in one step. */
  readonly assembly: Assembly | null
  readonly decode: Statement['decode']
  /** Lists are joined: several rows make one object. */
  readonly lists: boolean
  /** The same with something beside the rows, by its text. */
  readonly beside: Shapes<Head>
}

/** By source, by what is joined, by what is loaded. */
const heads = new WeakMap<object, WeakMap<object, WeakMap<object, Head>>>()
const nothing = {}

/** `beside` is selected beside the rows, which then come as arrays. */
export function headOf(state: QueryState, beside?: readonly SQL[]): Head {
  const head = plainHead(state)
  if (beside === undefined) return head
  const { text, params } = new SqlText().expressions(beside)
  return params.length > 0 ? makeHead(state, beside) : head.beside.get(text, () => makeHead(state, beside))
}

function plainHead(state: QueryState): Head {
  const { source, joins, keys, loader, selectIn } = state
  const byJoins = inner(heads, source)
  const byLoaded = inner(byJoins, joins)
  const loaded = keys ?? (selectIn ? nothing : (loader ?? nothing))
  let head = byLoaded.get(loaded)
  if (head === undefined) {
    const { functions } = written
    head = makeHead(state, [])
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

function makeHead(state: QueryState, beside: readonly SQL[]): Head {
  const { source, meta, model, keys } = state
  const joins = new Joins(source, state.joins)
  const text = new SqlText().add('select ')
  const loader = state.selectIn ? null : state.loader
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
    assembly.select(text)
    spec = assembly.spec
  } else {
    text.add(meta.list(source.id))
    spec = meta.specOf(model)
  }
  joins.write(text)
  const made = assembly
  return {
    text: text.text,
    params: text.params,
    joins,
    spec,
    assembly,
    decode: made === null ? (keys === null ? meta.loaded : undefined) : (rows) => made.rows(rows),
    lists: made !== null && made.folds && joins.lists > 0,
    beside: new Shapes(),
  }
}
