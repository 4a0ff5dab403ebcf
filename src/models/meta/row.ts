// The knowledge of an instance beside its fields: its row, values that are not shown, values from a loader, and changes that are not yet
// committed. It is in private members, so no copy and no printer sees it.
import { copyOf } from '../../builder/drizzle/core/exact-time.ts'
import type { Origin } from '../../engine/query/made-with.ts'
import { isPlain } from '../../util/options.ts'

/** A member of an instance that was set by a change, until that change is kept or undone. */
export interface MemoryChange {
  /** The name of the field; null for the key of the row. */
  readonly key: string | null
  before: unknown
  value: unknown
}

interface Beside {
  /** Values of columns that are not enumerable. */
  concealed: Record<string, unknown> | null
  /** The members that its loader attached. */
  loaded: readonly string[]
  /** In the order they were made. */
  readonly changes: MemoryChange[]
  /** Where it was read or created, if that says more than its model. */
  origin: Origin | null
}

const nothing: readonly string[] = []

/** Stands for the key when the row of an instance is unknown. */
export const noKey: {
  /** The transaction that created the row was rolled back. */
  readonly uncreated: symbol
  /** The key was changed, and nobody knows whether that was kept. */
  readonly uncertain: symbol
} = { uncreated: Symbol('uncreated'), uncertain: Symbol('uncertain') }

export class Row {
  /** The key of the row as the database has it: a value, or a list in the order of the key. Undefined: there is no row yet. */
  #key: unknown = undefined
  #beside: Beside | undefined = undefined

  /** Objects that a constructor returned instead, such as a proxy, are none. */
  static is(value: object): value is Row {
    return #key in value
  }

  static keyOf(row: object): unknown {
    return #key in row ? row.#key : undefined
  }

  static setKey(row: object, key: unknown): void {
    if (#key in row) row.#key = key
  }

  /** Notes of which row a fresh instance is, by the fields of its key; null when the model has none. */
  static keeper(keys: readonly string[]): ((row: object) => void) | null {
    const [only] = keys
    if (only === undefined) return null
    if (keys.length === 1)
      return (row) => {
        if (#key in row) row.#key = held((row as unknown as Fields)[only])
      }
    return (row) => {
      if (#key in row) row.#key = keys.map((key) => held((row as unknown as Fields)[key]))
    }
  }

  /** Accessors for a column that copies, lists of members and printers do not see. */
  static concealing(key: string): PropertyDescriptor {
    return {
      configurable: true,
      enumerable: false,
      get(this: object) {
        return #key in this ? this.#beside?.concealed?.[key] : undefined
      },
      set(this: object, value: unknown) {
        if (!(#key in this)) {
          Object.defineProperty(this, key, { value, writable: true, configurable: true, enumerable: false })
          return
        }
        const beside = Row.#beyond(this)
        beside.concealed ??= Object.create(null) as Record<string, unknown>
        beside.concealed[key] = value
      },
    }
  }

  static loaded(row: object): readonly string[] {
    return #key in row ? (row.#beside?.loaded ?? nothing) : nothing
  }

  static setLoaded(row: object, loaded: readonly string[]): void {
    if (#key in row) Row.#beyond(row).loaded = loaded
  }

  static changes(row: object): MemoryChange[] {
    return #key in row ? Row.#beyond(row).changes : []
  }

  static originOf(row: object): Origin | null {
    return #key in row ? (row.#beside?.origin ?? null) : null
  }

  /** For an object, and for those that a loader attached to it, in fields, lists and sets. */
  static setOrigin(row: object, origin: Origin): void {
    if (!(#key in row) || row.#beside?.origin === origin) return
    Row.#beyond(row).origin = origin
    for (const value of Object.values(row))
      if (Array.isArray(value) || value instanceof Set) {
        for (const each of value as Iterable<unknown>) if (isObject(each)) Row.setOrigin(each, origin)
      } else if (isObject(value)) Row.setOrigin(value, origin)
  }

  static #beyond(row: Row): Beside {
    return (row.#beside ??= { concealed: null, loaded: nothing, changes: [], origin: null })
  }
}

type Fields = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** A copy of what can be changed in place, to any depth: of dates, bytes, lists and plain objects. */
export function held(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return copyOf(value)
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(held)
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, held(member)])) : value
}
