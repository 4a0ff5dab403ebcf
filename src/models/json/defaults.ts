// The default of a JSON property: a copy for each instance, so that no change in place is anybody else's, and in SQL where
// nothing is stored.
import { sql, type SQL } from 'drizzle-orm'
import { quoteText } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import { jsonText } from '../../sql/parameters.ts'
import { describeType } from '../../util/options.ts'
import { ignore, isPromise } from './at-once.ts'
import type { Fallback, JsonKind } from './kinds.ts'

/** How often a default that is a function has been written into a statement: such a text is no other call's. */
export const written: { functions: number } = { functions: 0 }

export class Defaults {
  /** Whether there is a default. */
  readonly exists: boolean
  /** Undefined without a default. A function is called for each statement, and gives a parameter. */
  readonly sql: Fallback | undefined
  readonly #property: string
  readonly #kind: JsonKind
  readonly #given: unknown
  /** Copies that instances show, by the value of the column, or by the instance where that is no object. */
  readonly #shown = new WeakMap<object, unknown>()

  /** @throws {UsageError} for a default that is not of the kind. */
  constructor(property: string, kind: JsonKind, given: unknown) {
    this.#property = property
    this.#kind = kind
    this.#given = given
    this.exists = given !== undefined && given !== null
    if (!this.exists) return
    if (typeof given === 'function') this.sql = (type) => lazily(() => this.#parameter(type))
    else {
      const text = textOf(this.#stored(given))
      this.sql = (type) => sql.raw(type === 'bigint' || type === 'boolean' ? text : `${quoteText(text)}::${type}`)
    }
  }

  /** Its form in JSON as text, for a parameter. Undefined without a default. */
  text(): string | undefined {
    if (!this.exists) return undefined
    if (typeof this.#given === 'function') written.functions++
    const made = this.#made()
    return made === null || made === undefined ? undefined : textOf(this.#stored(made))
  }

  /** The default that belongs to this value of a column, or to this instance: the same one each time. */
  of(holder: object): unknown {
    if (!this.exists) return undefined
    const shown = this.#shown.get(holder)
    if (shown !== undefined) return shown
    const made = this.#made()
    if (typeof made === 'object' && made !== null) this.#shown.set(holder, made)
    return made
  }

  /** The one that is shown there, or another copy. */
  shown(holder: object): unknown {
    return this.#shown.get(holder) ?? this.#made()
  }

  /** After what the instance holds was read again. */
  forget(instance: object): void {
    this.#shown.delete(instance)
  }

  /** SQL of the type jsonb, for a text that is not kept. Undefined without a default. */
  jsonb(place: (value: unknown) => string): string | undefined {
    if (!this.exists) return undefined
    const text = textOf(this.#stored(this.#made()))
    return `${typeof this.#given === 'function' ? place(text) : quoteText(text)}::jsonb`
  }

  #made(): unknown {
    const given = this.#given
    if (typeof given !== 'function') return copied(given)
    const made: unknown = (given as () => unknown)()
    if (!isPromise(made)) return copied(made)
    ignore(made)
    throw new UsageError(`The default of the JSON property '${this.#property}' is asynchronous, but is needed at once.`)
  }

  #parameter(type: string): SQL {
    written.functions++
    const made = this.#made()
    return made === null || made === undefined ? sql`null` : sql`${textOf(this.#stored(made))}::text::${sql.raw(type)}`
  }

  /** Its form in JSON. */
  #stored(value: unknown): unknown {
    const stored = this.#kind.write(value)
    if (stored !== undefined) return stored
    throw new UsageError(
      `The default of the JSON property '${this.#property}' is ${this.#kind.expected}, not ${describeType(value)}.`,
    )
  }
}

/** Made anew whenever a statement with it is written. */
export function lazily(make: () => SQL): SQL {
  return sql`${{ getSQL: make }}`
}

/** The text that `->>` would give, or JSON. */
function textOf(stored: unknown): string {
  if (typeof stored === 'string') return stored
  return jsonText(stored, (what) => {
    throw new UsageError(`The default of a JSON property ${what}.`)
  })
}

/** To any depth, and not frozen. What cannot be copied, such as an object with methods, is shared. */
function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return new Date(value)
  if (Array.isArray(value)) return value.map(copied)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copied(member)]))
}
