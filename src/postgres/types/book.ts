// What an engine knows of types: how it reads those that have a choice, and what the types of its database are made of. Types that
// come with the server are known; others are looked up once, by the first session that meets one, for all of the engine.
import { type Compiled, ownRead } from '../../sql/compiled.ts'
import type { Int8, Reading } from '../type-table.ts'
import { elementOf, firstOfDatabase, namesOf, rangeOf } from './built-in.ts'
import { TypeNames } from './type-names.ts'

/** As the look-up gives it; 0 for none. */
export interface TypeRow {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** Of which it is a member; '' for none. */
  readonly extension: string
  /** `typtype` of the catalogue. */
  readonly kind: string
  /** What a domain is over. */
  readonly base: number
  readonly element: number
  /** Between the elements of its arrays. */
  readonly delimiter: string
  /** What a range is of, the range of a multirange. */
  readonly range: number
  /** Of a composite type. */
  readonly fields: readonly string[]
  readonly types: readonly number[]
}

const box = 603
const gone = {
  schema: '',
  name: '',
  extension: '',
  kind: '',
  base: 0,
  element: 0,
  delimiter: ',',
  range: 0,
  fields: [],
  types: [],
}

/** What is known of the types of a database until its catalogue changes. Who reads by it goes on by it then. */
export class KnownTypes {
  readonly #rows = new Map<number, TypeRow>()

  get empty(): boolean {
    return this.#rows.size === 0
  }

  /** What a domain is over, at the end; all other types are themselves. */
  base(type: number): number {
    let at = type
    for (let row = this.#rows.get(at); row !== undefined && row.base !== 0; row = this.#rows.get(at)) at = row.base
    return at
  }

  /** The elements of an array type or of a domain over one, 0 for all others. They may be of a domain again. */
  element(type: number): number {
    const base = this.base(type)
    return base < firstOfDatabase ? elementOf(base) : (this.#rows.get(base)?.element ?? 0)
  }

  /** What stands between the elements of an array of this type. */
  delimiter(element: number): string {
    return element === box ? ';' : (this.#rows.get(element)?.delimiter ?? ',')
  }

  /** What a range is of, or the range of a multirange; 0 for all others. */
  range(type: number): number {
    return type < firstOfDatabase ? rangeOf(type) : (this.#rows.get(type)?.range ?? 0)
  }

  row(type: number): TypeRow | undefined {
    return this.#rows.get(type)
  }

  /** As users may name it, without the names of its elements. */
  names(type: number): readonly string[] {
    const row = this.#rows.get(type)
    return row === undefined || row.name === '' ? namesOf(type) : [`${row.schema}.${row.name}`, row.name]
  }

  /** Those of the types that have to be looked up. */
  unknown(types: readonly number[]): number[] {
    return types.filter((type) => type >= firstOfDatabase && !this.#rows.has(type))
  }

  /** What was found of those that were asked for: one that is gone by now is known as that. */
  learn(rows: readonly TypeRow[], asked: readonly number[]): void {
    for (const oid of asked) this.#rows.set(oid, { ...gone, oid })
    for (const row of rows) this.#rows.set(row.oid, row)
  }
}

export class TypeBook implements Reading {
  readonly int8: Int8
  readonly local: boolean
  /** Of parameters of which users have said nothing. */
  readonly writing: { readonly book: TypeBook; readonly converter: null } = { book: this, converter: null }
  /** Those that users have given types by. */
  readonly given: TypeNames = new TypeNames()
  /** Counts how often all was forgotten. */
  edition = 0
  #moment = 0
  known: KnownTypes = new KnownTypes()

  constructor(int8: Int8 = 'number', local: boolean = false) {
    this.int8 = int8
    this.local = local
  }

  base(type: number): number {
    return this.known.base(type)
  }

  element(type: number): number {
    return this.known.element(type)
  }

  unknown(types: readonly number[]): number[] {
    return this.known.unknown(types)
  }

  learn(rows: readonly TypeRow[], asked: readonly number[]): void {
    this.known.learn(rows, asked)
  }

  /** The catalogue was changed at a moment, as name spaces count them: what is asked for next is looked up again. */
  asOf(moment: number): void {
    if (moment <= this.#moment) return
    this.#moment = moment
    this.forget()
  }

  forget(): void {
    this.given.forget()
    if (this.known.empty) return
    this.known = new KnownTypes()
    this.edition++
  }
}

/** The types of `$1`, an array of their numbers as text, with all that they are made of in this database. */
export const typeLookup: Compiled = ownRead(
  `with recursive known (type) as (
    select pg_catalog.unnest($1::pg_catalog.oid[])
    union select parts.part from known join pg_catalog.pg_type as t on t.oid = known.type cross join lateral (
      select t.typbasetype as part where t.typtype = 'd'
      union all select t.typelem where t.typtype <> 'd' and t.typcategory = 'A' and t.typlen = -1
      union all select r.rngsubtype from pg_catalog.pg_range as r where r.rngtypid = t.oid
      union all select r.rngtypid from pg_catalog.pg_range as r
        where t.typtype = 'm' and (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid
      union all select a.atttypid from pg_catalog.pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) as parts where parts.part >= ${firstOfDatabase}
  ) select t.oid, n.nspname::text as schema, t.typname::text as name, t.typtype::text as kind,
    coalesce((select e.extname::text from pg_catalog.pg_depend as d join pg_catalog.pg_extension as e on e.oid = d.refobjid
      where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e'
        and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass), '') as extension,
    case t.typtype when 'd' then t.typbasetype else 0::oid end as base,
    case when t.typtype <> 'd' and t.typcategory = 'A' and t.typlen = -1 then t.typelem else 0::oid end as element,
    t.typdelim::text as delimiter,
    coalesce(
      (select r.rngsubtype from pg_catalog.pg_range as r where r.rngtypid = t.oid),
      (select r.rngtypid from pg_catalog.pg_range as r
        where t.typtype = 'm' and (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid),
      0::oid) as range,
    array(select a.attname::text from pg_catalog.pg_attribute as a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped order by a.attnum) as fields,
    array(select a.atttypid from pg_catalog.pg_attribute as a
      where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped order by a.attnum) as types
  from known join pg_catalog.pg_type as t on t.oid = known.type join pg_catalog.pg_namespace as n on n.oid = t.typnamespace`,
  'WITH',
)

const books = new WeakMap<object, TypeBook>()

/** One for all sessions that are opened with the same options, which are those of one engine. */
export function bookOf(options: {
  readonly int8?: Int8 | undefined
  readonly timestamp?: 'utc' | 'local' | undefined
}): TypeBook {
  let book = books.get(options)
  if (book === undefined) books.set(options, (book = new TypeBook(options.int8, options.timestamp === 'local')))
  return book
}
