// The names that users have given types by, in one database: a name that is no type of it would do nothing. Those of types that come
// with the server are known; all others are looked up, once, in front of the first statement that they are for.
import { UsageError } from '../../errors/index.ts'
import { type Compiled, ownRead } from '../../sql/compiled.ts'
import type { Conversions, Named } from '../../sql/conversions.ts'
import { isWellFormed } from '../../util/options.ts'
import { elementOf, firstOfDatabase, isBuiltIn, namesOf } from './built-in.ts'
import { isOfExtension } from './of-extension.ts'

/** Words for all types of a kind; `record` is a type as well. */
const kinds: ReadonlySet<string> = new Set(['anyenum', 'anyrange', 'anymultirange'])

/** Those of `$1`, a list as JSON, that are neither the number of a type nor, with its schema or without, the name of one. */
export const nameLookup: Compiled = ownRead(
  `select given.name from pg_catalog.json_array_elements_text($1::pg_catalog.json) as given (name) where given.name not in (
    select t.oid::text from pg_catalog.pg_type as t
    union all select t.typname::text from pg_catalog.pg_type as t where t.oid >= ${firstOfDatabase}
    union all select n.nspname::text || '.' || t.typname::text
      from pg_catalog.pg_type as t join pg_catalog.pg_namespace as n on n.oid = t.typnamespace where t.oid >= ${firstOfDatabase})`,
  'SELECT',
)

/** What has these arrays. */
function elementName(name: string): string {
  return name.endsWith('[]') ? name.slice(0, -2) : name
}

function comesWithServer(name: string): boolean {
  const number = /^\d+$/.test(name) ? Number(name) : firstOfDatabase
  if (number < firstOfDatabase) return namesOf(number).length > 0 || elementOf(number) !== 0
  return kinds.has(name) || isBuiltIn(elementName(name).replace(/^pg_catalog\./, ''))
}

/** Names that should be types, without those that a database has with an extension alone. */
function needed(names: readonly Named[]): readonly string[] {
  return names.filter(({ name, given }) => !isOfExtension(given, name)).map(({ name }) => name)
}

/** Nothing in a database has it. */
function isImpossible(name: string): boolean {
  return name.includes('\0') || !isWellFormed(name)
}

export class TypeNames {
  /** By name, without the brackets of arrays: whether there is one. */
  readonly #found = new Map<string, boolean>()
  /** Names of engines are looked up once. */
  readonly #wished = new Set<string>()
  #known = new WeakSet<Conversions>()

  /** Those that have to be looked up before a statement with these conversions is sent. */
  asks(conversions: Conversions): readonly string[] {
    if (this.#known.has(conversions)) return []
    const open = (name: string): boolean => !comesWithServer(name) && !isImpossible(name)
    const demanded = needed(conversions.demanded).filter(
      (name) => open(name) && this.#found.get(elementName(name)) !== true,
    )
    const wished = needed(conversions.wished).filter((name) => open(name) && !this.#wished.has(elementName(name)))
    const names = new Set([...demanded, ...wished].map(elementName))
    if (names.size === 0) this.#known.add(conversions)
    return [...names]
  }

  learn(asked: readonly string[], missing: readonly string[]): void {
    for (const name of asked) {
      this.#found.set(name, !missing.includes(name))
      this.#wished.add(name)
    }
  }

  /** Those that are known to be no types. */
  missing(names: readonly Named[]): readonly string[] {
    return needed(names).filter((name) => isImpossible(name) || this.#found.get(elementName(name)) === false)
  }

  /** @throws {UsageError} when the statement's own are for what is no type. */
  check({ demanded }: Conversions): void {
    if (demanded.length === 0) return
    const missing = this.missing(demanded)
    if (missing.length > 0)
      throw new UsageError(
        `The option types of the statement names ${listed(missing)}, and no type of the database is found by that. ${advice}, or create the type first.`,
      )
  }

  /** The catalogue was changed. What was missing is asked for again in any case, and an answer that has just come holds for who asked. */
  forget(): void {
    for (const [name, there] of this.#found) if (there) this.#found.delete(name)
    this.#known = new WeakSet()
  }
}

const advice = 'Write the name as PostgreSQL has it (timestamptz, app.mood, numeric[], "Mood" in quotes), or the OID'

function listed(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name.slice(0, 60))).join(', ')
}

/** What the author of a program should know of names that an engine was given. */
export function untypedNotice(missing: readonly string[]): string {
  return `The option types of the engine names ${listed(missing)}, and no type of the database was found by that. ${advice}. Until there is such a type the entry does nothing.`
}
