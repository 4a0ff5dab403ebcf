// Members set within a jsonb column on the server: what others have written beside them stays, at any depth. Keys and values
// are parameters; only the names of declared properties that are set to SQL are in the text, as literals.
import { quoteText, type SqlLike } from '../../builder/drizzle/core/render.ts'
import { ParameterError, UsageError } from '../../errors/index.ts'
import { jsonText } from '../../sql/parameters.ts'
import type { JsonProperty } from '../json/property.ts'
import type { Sink } from '../statement/sink.ts'

/** A member that is set: data as it is stored, or SQL. */
export interface Member {
  readonly property: JsonProperty
  readonly value: unknown
  readonly expression: SqlLike | undefined
}

/** Objects nested deeper are replaced as a whole. */
const deepest = 16

/** `current` names the column; `base` replaces what it holds. */
export function writeMerge(sink: Sink, current: string, base: SqlLike | undefined, members: readonly Member[]): void {
  if (base === undefined) sink.add(objectIn(current))
  else {
    sink.add('coalesce(')
    sink.expression(base)
    sink.add(`::jsonb, '{}'::jsonb)`)
  }
  const patch: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  const deep: Member[] = []
  let flat = false
  for (const member of members) {
    const { property, value, expression } = member
    if (expression !== undefined) {
      const [open, close] = property.kind.stored
      sink.add(` || jsonb_build_object(${quoteText(property.key)}::text, ${open}`)
      sink.expression(expression)
      sink.add(`${close})`)
    } else if (base === undefined && property.kind.merges === true && isPlainObject(value)) deep.push(member)
    else {
      patch[property.key] = value
      flat = true
    }
  }
  if (flat) sink.add(` || ${sink.place(patchText(patch))}::jsonb`)
  for (const { property, value } of deep) {
    const place = (text: unknown): string => sink.place(text)
    sink.add(nested(sink, current, property.key, value as object, 1, property.base(place)))
  }
}

/**
 * The same where one function merges an object into another: a member that is null is removed, as JSON Merge Patch (RFC 7396) says.
 * @throws {UsageError} for what such a patch cannot say.
 */
export function writePatch(
  sink: Sink,
  [before, after]: readonly [string, string],
  base: SqlLike | undefined,
  members: readonly Member[],
): void {
  const patch: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const { property, value, expression } of members) {
    const why =
      base !== undefined
        ? 'its column is given as SQL too'
        : expression !== undefined
          ? 'it is given as SQL'
          : property.kind.merges === true && property.storesDefault && value !== null
            ? 'it has a default, into which its members would have to be merged'
            : undefined
    if (why !== undefined)
      throw new UsageError(
        `The JSON property '${property.name}' cannot be updated alone on this database, because ${why}. Set '${property.column}' as a whole.`,
      )
    patch[property.key] = value
  }
  sink.add(before)
  sink.add(
    patchesOf(patchText(patch))
      .map((each) => sink.place(each))
      .join(', '),
  )
  sink.add(after)
}

/**
 * The patch without what it removes, and behind it one patch for each member that it removes. MariaDB (10.11) overlooks members of a patch
 * that removes the first member of an object.
 */
function patchesOf(text: string): readonly string[] {
  if (!text.includes('null')) return [text]
  const removing: object[] = []
  const kept = keptOf(JSON.parse(text) as object, [], removing)
  return [kept, ...removing].map((each) => JSON.stringify(each))
}

function keptOf(patch: object, path: readonly string[], removing: object[]): object {
  const kept: [string, unknown][] = []
  for (const [name, value] of Object.entries(patch) as [string, unknown][]) {
    const place = [...path, name]
    if (value === null) removing.push(place.reduceRight<unknown>((inner, key) => ({ [key]: inner }), null) as object)
    else kept.push([name, isPlainObject(value) ? keptOf(value, place, removing) : value])
  }
  return Object.fromEntries(kept)
}

/** ` || jsonb_build_object(key, what is there || what is given)`. */
function nested(sink: Sink, current: string, key: string, value: object, depth: number, base = empty): string {
  const place = `${sink.place(key)}::text`
  const stored = `(${current} -> ${place})`
  const inner = base === empty ? stored : objectIn(stored, base)
  const patch: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  let text = objectIn(inner)
  let flat = false
  for (const [name, member] of Object.entries(value as Readonly<Record<string, unknown>>)) {
    if (member === undefined) continue
    if (depth < deepest && isPlainObject(member)) text += nested(sink, inner, name, member, depth + 1)
    else {
      patch[name] = member
      flat = true
    }
  }
  if (flat) text += ` || ${sink.place(patchText(patch))}::jsonb`
  return ` || jsonb_build_object(${place}, ${text})`
}

const empty = "'{}'::jsonb"

function patchText(patch: object): string {
  return jsonText(patch, (what) => {
    throw new ParameterError(`The value of JSON properties ${what}.`)
  })
}

/** The object that is stored there, or the base: other values have no members to keep. */
function objectIn(current: string, base = empty): string {
  return `(case when jsonb_typeof(${current}) = 'object' then ${current} else ${base} end)`
}

export function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
