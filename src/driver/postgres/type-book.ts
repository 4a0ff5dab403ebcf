// What the types of a database are made of, as far as parameters need it: a DOMAIN is what it is over, an array has elements. Types
// that come with the server are known; others are looked up once, by the first session that meets one, for all of the engine.
import type { Compiled } from '../../sql/compiled.ts'
import { elementOf } from './rows/type-table.ts'

/** PostgreSQL gives numbers below to nothing but its own types. */
export const firstOfUsers = 16_384

/** As the look-up gives it; 0 for none. */
export interface TypeRow {
  readonly oid: number
  readonly base: number
  readonly element: number
}

export class TypeBook {
  readonly #known = new Map<number, TypeRow>()

  /** What a domain is over, at the end; all other types are themselves. */
  base(type: number): number {
    let at = type
    for (let row = this.#known.get(at); row !== undefined && row.base !== 0; row = this.#known.get(at)) at = row.base
    return at
  }

  /** The elements of an array type or of a domain over one, 0 for all others. They may be of a domain again. */
  element(type: number): number {
    const base = this.base(type)
    return base < firstOfUsers ? elementOf(base) : (this.#known.get(base)?.element ?? 0)
  }

  /** Those of the types that have to be looked up. */
  unknown(types: readonly number[]): number[] {
    return types.filter((type) => type >= firstOfUsers && !this.#known.has(type))
  }

  learn(rows: readonly TypeRow[]): void {
    for (const row of rows) this.#known.set(row.oid, row)
  }
}

/** The types of `$1`, an array of their numbers as text, with all that they are made of. */
export const typeLookup: Compiled = {
  text: `with recursive known as (
    select oid, case typtype when 'd' then typbasetype else 0::oid end as base,
      case when typtype <> 'd' and typcategory = 'A' and typlen = -1 then typelem else 0::oid end as element
    from pg_catalog.pg_type where oid = any ($1::pg_catalog.oid[])
    union select inner_type.oid, case inner_type.typtype when 'd' then inner_type.typbasetype else 0::oid end,
      case when inner_type.typtype <> 'd' and inner_type.typcategory = 'A' and inner_type.typlen = -1 then inner_type.typelem else 0::oid end
    from known join pg_catalog.pg_type as inner_type on inner_type.oid in (known.base, known.element)
  ) select oid, base, element from known`,
  name: '',
  cls: 'read',
  verb: 'WITH',
  dirties: 0,
  pins: 0,
  names: 0,
  hasControl: false,
  shape: null,
}

const books = new WeakMap<object, TypeBook>()

/** One for all sessions that are opened with the same options, which are those of one engine. */
export function bookOf(options: object): TypeBook {
  let book = books.get(options)
  if (book === undefined) books.set(options, (book = new TypeBook()))
  return book
}
