// One JSON property of a model: where it is kept, how it is read from the column's value, what it is in SQL. Stateless:
// accessors on the prototype of the model call it for whatever the column holds. Runs no statement.
import { type Column, sql, type SQL } from 'drizzle-orm'
import { dialectOf, quoteText } from '../../builder/drizzle/core/render.ts'
import { UsageError } from '../../errors/index.ts'
import type { MemberWords } from '../../sql/model-words.ts'
import { ignore, isPromise } from './at-once.ts'
import { Defaults, lazily } from './defaults.ts'
import type { Fallback, JsonKind } from './kinds.ts'

/** The options of `json.string({ … })` and the others, without types. */
export interface PropertyOptions {
  readonly default?: unknown
  readonly prop?: string | undefined
  readonly beforeSet?: ((value: never) => unknown) | undefined
  readonly afterGet?: ((value: never) => unknown) | undefined
  readonly expression?: ((expression: SQL) => SQL) | undefined
}

export type JsonObject = Readonly<Record<string, unknown>>

export class JsonProperty {
  /** On the instance. */
  readonly name: string
  /** The key of the column that keeps it. */
  readonly column: string
  /** Within the column's value. */
  readonly key: string
  readonly kind: JsonKind
  readonly #options: PropertyOptions
  readonly #defaults: Defaults
  readonly #fallback: Fallback | undefined

  constructor(name: string, column: string, kind: JsonKind, options: PropertyOptions) {
    if (options.prop === '') throw new UsageError(`The JSON property '${name}' has an empty name in '${column}'.`)
    this.name = name
    this.column = column
    this.key = options.prop ?? name
    this.kind = kind
    this.#options = options
    this.#defaults = new Defaults(name, kind, options.default)
    this.#fallback = this.#defaults.sql
  }

  /** The value that the instance shows for that value of the column. */
  read(stored: unknown, instance: object): unknown {
    const { afterGet } = this.#options
    const value = this.#value(stored, instance)
    return afterGet === undefined ? value : this.#atOnce(afterGet(value as never), 'afterGet')
  }

  #value(stored: unknown, instance: object): unknown {
    const raw = isObject(stored) ? own(stored, this.key) : undefined
    if (raw !== undefined && raw !== null) return this.kind.read(raw)
    const fallback = this.#defaults.of(isObject(stored) ? stored : instance)
    return fallback === undefined ? (raw ?? null) : fallback
  }

  /** Its default for a new row: what the instance that is to be stored shows of it, or another copy; or undefined. */
  fallback(given: object): unknown {
    return this.#defaults.shown(given)
  }

  /** Whether its default belongs into new rows. With `afterGet` it does not: what is read is not what is stored. */
  get storesDefault(): boolean {
    return this.#defaults.exists && this.#options.afterGet === undefined
  }

  /** The object into which an update merges members where nothing is stored, as SQL. */
  base(place: (value: unknown) => string): string {
    return (this.storesDefault ? this.#defaults.jsonb(place) : undefined) ?? "'{}'::jsonb"
  }

  /** Call it when the instance was read again: values that it showed before do not count. */
  forget(instance: object): void {
    this.#defaults.forget(instance)
  }

  /** The stored form of a value. @throws {UsageError} when it is not of this kind. */
  write(value: unknown): unknown {
    const { beforeSet } = this.#options
    const given = beforeSet === undefined ? value : this.#atOnce(beforeSet(value as never), 'beforeSet')
    if (given === null || given === undefined) return null
    const stored = this.kind.write(given)
    if (stored === undefined)
      throw new UsageError(`The JSON property '${this.name}' takes ${this.kind.expected} or null.`, {
        clientError: true,
      })
    return stored
  }

  /** The value of the column with the property set; the value that was there stays as it is. */
  into(stored: unknown, value: unknown): JsonObject {
    return withMember(isObject(stored) ? stored : {}, this.key, this.write(value))
  }

  /** Like `into`, but it merges the members of objects, as an update does on the server. */
  merged(stored: unknown, value: unknown): JsonObject {
    const object = isObject(stored) ? stored : {}
    const given = this.write(value)
    const merges = this.kind.merges === true && isObject(given)
    if (!merges) return withMember(object, this.key, given)
    const there = own(object, this.key)
    const base = isObject(there) || !this.storesDefault ? there : this.#defaults.shown(object)
    return withMember(object, this.key, mergeObjects(base, given))
  }

  /** In SQL, of the type that compares and sorts rightly. The key is a literal, so that an index can be made of it. */
  expression(column: Column): SQL {
    const words = dialectOf(column).models.member
    const member =
      words === null
        ? this.kind.sql(column, sql.raw(quoteText(this.key)), this.#fallback)
        : this.#inWords(column, words)
    const { expression } = this.#options
    return expression === undefined ? member : expression(member)
  }

  #inWords(column: Column, words: MemberWords): SQL {
    const { type, decode } = this.kind
    const [before, between, after] = words.read(this.key, type)
    const member = sql`${sql.raw(before)}${column}${sql.raw(between)}${column}${sql.raw(after)}`
    const [open, close] = words.cast(type)
    const fallback = lazily(() => sql`${sql.raw(open)}${this.#defaults.text() ?? null}${sql.raw(close)}`)
    const expression = this.#defaults.exists ? sql`coalesce(${member}, ${fallback})` : sql`(${member})`
    return decode === undefined ? expression : expression.mapWith(decode as (wire: unknown) => unknown)
  }

  #atOnce(value: unknown, option: string): unknown {
    if (!isPromise(value)) return value
    ignore(value)
    throw new UsageError(
      `${option} of the JSON property '${this.name}' is asynchronous, but its result is needed at once.`,
    )
  }
}

function own(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function mergeObjects(stored: unknown, given: JsonObject): JsonObject {
  const entries = new Map<string, unknown>(isObject(stored) ? Object.entries(stored) : [])
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue
    entries.set(key, isObject(value) && isObject(entries.get(key)) ? mergeObjects(entries.get(key), value) : value)
  }
  return Object.fromEntries(entries)
}

/** A copy with one more member, which may be called `__proto__`. */
function withMember(object: JsonObject, key: string, value: unknown): JsonObject {
  return Object.fromEntries([...Object.entries(object), [key, value]])
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
