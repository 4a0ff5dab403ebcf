// What values of types become where users have said so: the option `types` of an engine and of a statement, as they travel from
// there to a driver, with the specification of rows. It knows no type: a driver finds out which name or number is which type.
import { InvalidOptionError } from '../errors/index.ts'
import { describeType, isPlain } from '../util/options.ts'

/** The parts of a type, for conversions that serve many types. */
export interface TypeParts {
  /** The name of the type. */
  readonly name: string
  /** The members of a composite type in their order. Empty for all other types. */
  readonly fields: readonly TypePart[]
  /** The type of the ends of a range or multirange. Null for all other types. */
  readonly of: TypePart | null
  /** Has the type looked up again before it is met next: what was known of it no longer holds. */
  readonly forget: () => void
}

/** A member of a composite type, or what a range is of. */
export interface TypePart {
  /** The name of the member, or of the type that a range is of. */
  readonly name: string
  /** From its text to what a column of its type becomes. */
  readonly read: (text: string) => unknown
  /** To its text; null is NULL. */
  readonly write: (value: unknown) => string | null
}

/** How values of one type are read and written. */
export interface TypeConversion<T = unknown> {
  /** Gets the text that PostgreSQL writes. It is not called for NULL. Default: the value stays what it is without a conversion. */
  readonly read?: ((text: string) => T) | undefined
  /**
   * Gets a parameter that is an object or an array, and returns the text that PostgreSQL reads. Text, numbers, booleans and
   * NULL are sent as they are. Default: objects are written as without a conversion.
   */
  readonly write?: ((value: object) => string) | undefined
  /**
   * The meaning of a list among the values of an array that is a parameter. `false`: no value is a list, so each list is a dimension of
   * the array. `true`: values are lists without lists and NULL in them; other lists are dimensions. Default: each list is a value.
   */
  readonly list?: boolean | undefined
  /** Makes the conversion for one type out of its parts, such as the members of a composite type. It replaces `read` and `write`. */
  readonly over?: ((parts: TypeParts) => TypeConversion<T>) | undefined
}

/**
 * Conversions by the name or the OID of a type. A name is that of PostgreSQL (`numeric`), with a schema or without
 * (`app.mood`). A function is a conversion that only reads. Arrays of the type become arrays of what it becomes; `numeric[]`
 * as a name stands for the arrays alone, and gets their text.
 */
export type TypeConversions = Readonly<Record<string, TypeConversion | ((text: string) => unknown)>>

const members: Readonly<Record<string, string>> = {
  read: 'function',
  write: 'function',
  over: 'function',
  list: 'boolean',
}

function problemOf(given: unknown): string | undefined {
  if (!isPlain(given)) return `must be an object with names of types; it is ${describeType(given)}`
  for (const [name, conversion] of Object.entries(given)) {
    if (name.trim() === '') return 'has a name that is empty'
    if (typeof conversion === 'function') continue
    const fits =
      isPlain(conversion) &&
      Object.keys(conversion).some((key) => key !== 'list') &&
      Object.entries(conversion).every(([key, each]) => Object.hasOwn(members, key) && typeof each === members[key])
    if (!fits)
      return `must have a function, or an object with read, write or over, for the type ${JSON.stringify(name.slice(0, 60))}`
  }
  return undefined
}

/** As a clause behind the name of the option; undefined: they are right. */
export function checkConversions(given: unknown): string | undefined {
  if (given instanceof Conversions) return undefined
  try {
    return problemOf(given)
  } catch {
    return 'cannot be read: reading it throws'
  }
}

/** A name or number, and the conversion as it was given for it. */
export interface Named {
  readonly name: string
  readonly given: object
}

/** Checked, by name in lower case or by number. */
export class Conversions {
  readonly #byName: ReadonlyMap<string, TypeConversion>
  /** Names and numbers, of an engine's option, that should be types of its database. */
  readonly wished: readonly Named[]
  /** The same, of a statement's option: it is refused if one is none. */
  readonly demanded: readonly Named[]
  /** Whether any of them writes. */
  readonly writes: boolean
  readonly #more = new WeakMap<Conversions, Conversions>()

  /** Of those that say nothing of types. */
  static readonly none: Conversions = new Conversions(new Map(), [], [])

  private constructor(
    byName: ReadonlyMap<string, TypeConversion>,
    wished: readonly Named[],
    demanded: readonly Named[],
  ) {
    this.#byName = byName
    this.wished = wished
    this.demanded = demanded
    this.writes = [...byName.values()].some(({ write, over }) => write !== undefined || over !== undefined)
  }

  /** Equal objects give equal conversions. @throws {InvalidOptionError} */
  static of(given: unknown): Conversions {
    if (given instanceof Conversions) return given
    const problem = checkConversions(given)
    if (problem !== undefined)
      throw new InvalidOptionError(`The option "types" ${problem}.`, { options: [{ name: 'types', problem }] })
    let known = made.get(given as object)
    if (known === undefined) {
      const entries = Object.entries(given as TypeConversions)
      known = new Conversions(
        new Map(
          entries.map(([name, each]) => [keyOf(name), typeof each === 'function' ? { read: each } : { ...each }]),
        ),
        entries.map(([name, each]) => ({ name: keyOf(name), given: each })),
        [],
      )
      made.set(given as object, known)
    }
    return known
  }

  /** The names and numbers. */
  get names(): readonly string[] {
    return [...this.#byName.keys()]
  }

  /** By the first of those names, or numbers, that has one. */
  find(names: readonly string[]): TypeConversion | undefined {
    for (const name of names) {
      const found = this.#byName.get(name)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** These, of an engine, and those of a statement, which go before them. */
  under(others: Conversions): Conversions {
    let both = this.#more.get(others)
    if (both === undefined) {
      both = new Conversions(new Map([...this.#byName, ...others.#byName]), this.wished, others.wished)
      this.#more.set(others, both)
    }
    return both
  }
}

const made = new WeakMap<object, Conversions>()

/** Of those that say nothing of types. */
export const noConversions: Conversions = Conversions.none

/** Options of statements of the package's own: their values are what PostgreSQL's types say, whatever a user has said of them. */
export const unconverted: { readonly types: TypeConversions } = {
  types: noConversions as unknown as TypeConversions,
}

/** Names are those of PostgreSQL, which has them in lower case unless they are quoted. */
function keyOf(name: string): string {
  return name
    .trim()
    .replaceAll(/"([^"]+)"|([^"]+)/g, (_, quoted: string | undefined, plain: string) => quoted ?? plain.toLowerCase())
}
