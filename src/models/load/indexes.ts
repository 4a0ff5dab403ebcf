// Whether an index finds the rows of a list: asked of the catalogue once for each relation and engine. The answer decides how
// a list is written, never what is in it.
import type { Executor } from '../../engine/query/executor.ts'
import { isView, sqlNameOf } from '../meta/table.ts'
import type { List } from './level.ts'
import { unconverted } from '../../sql/conversions.ts'

/** An index that leads with the columns, and a comparison that can use it: one type, or types of one family, one collation. */
const question = `
  select exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_class k on k.oid = i.indexrelid
    join pg_catalog.pg_am m on m.oid = k.relam
    where i.indrelid = pg_catalog.to_regclass($1) and i.indisvalid and i.indpred is null
      and (m.amname = 'btree' or (m.amname = 'hash' and i.indnatts = 1))
      and (pg_catalog.string_to_array(i.indkey::text, ' ')::int2[])[1:pg_catalog.cardinality($2::text[])]
        operator(pg_catalog.@>) (
          select pg_catalog.array_agg(a.attnum) from pg_catalog.pg_attribute a
          where a.attrelid = i.indrelid and a.attname = any($2::text[]))
  ) and not exists (
    select from rows from (pg_catalog.unnest($2::text[]), pg_catalog.unnest($4::text[])) as pair (child, parent)
    left join pg_catalog.pg_attribute c on c.attrelid = pg_catalog.to_regclass($1) and c.attname = pair.child
    left join pg_catalog.pg_type ct on ct.oid = c.atttypid
    left join pg_catalog.pg_attribute p on p.attrelid = pg_catalog.to_regclass($3) and p.attname = pair.parent
    left join pg_catalog.pg_type pt on pt.oid = p.atttypid
    where c.attnum is null or c.attcollation is distinct from p.attcollation
      or (case when coalesce(nullif(ct.typbasetype, 0), ct.oid) in (21, 23) then 20
            when coalesce(nullif(ct.typbasetype, 0), ct.oid) = 1043 then 25
            else coalesce(nullif(ct.typbasetype, 0), ct.oid) end)
        is distinct from
        (case when coalesce(nullif(pt.typbasetype, 0), pt.oid) in (21, 23) then 20
            when coalesce(nullif(pt.typbasetype, 0), pt.oid) = 1043 then 25
            else coalesce(nullif(pt.typbasetype, 0), pt.oid) end))`

const engines = new WeakMap<object, Indexes>()

export class Indexes {
  readonly #known = new Map<string, boolean>()
  /** The answers again, by list. */
  readonly #lists = new WeakMap<List, boolean>()

  /** Of an engine; null while there is none. */
  static of(executor: Executor): Indexes | null {
    const engine = executor.engineQuietly()
    if (engine === null) return null
    let indexes = engines.get(engine)
    if (indexes === undefined) engines.set(engine, (indexes = new Indexes()))
    return indexes
  }

  indexed(list: List): boolean {
    return this.#lists.get(list) === true
  }

  /** Whether there is nothing to ask. */
  knows(lists: readonly List[]): boolean {
    return lists.every((list) => this.#lists.has(list))
  }

  /** Asks for what is not known. Where that fails, lists are grouped. */
  async learn(executor: Executor, lists: readonly List[]): Promise<void> {
    for (const list of lists) {
      const asked = askedOf(list)
      const key = JSON.stringify(asked)
      let known = asked === null ? false : this.#known.get(key)
      if (known === undefined && asked !== null) {
        try {
          known = (await executor.scalar<boolean>(question, asked, unconverted)) === true
        } catch {
          return
        }
        if (this.#known.size >= most) this.#known.clear()
        this.#known.set(key, known)
      }
      this.#lists.set(list, known === true)
    }
  }
}

const most = 2000
type Asked = readonly [child: string, columns: readonly string[], parent: string, columns: readonly string[]]

/** Null where no index can be of use: a view, a subquery, a condition that is not equality of columns. */
function askedOf({ pairs, parent, child }: List): Asked | null {
  if (pairs === null || child.isQuery || isView(child.table)) return null
  return [sqlNameOf(child.table), pairs.child.map(nameOf), sqlNameOf(parent.table), pairs.parent.map(nameOf)]
}

const nameOf = ({ name }: { readonly name: string }): string => name
