// Tags of statements, in the form of sqlcommenter: a comment behind the text, `/*action='list',route='%2Fusers'*/`, which the
// views of the server show. A tag is part of the text, so a statement is prepared once for each set of tags that comes again, and
// what is remembered of sets is bounded.
import { UsageError } from '../errors/index.ts'
import { describeType, isPlain, isWellFormed } from '../util/options.ts'
import { Printable } from '../util/thrown.ts'
import { type Compiled, Names } from './compiled.ts'

/** Tags of statements by name, such as `{ route: '/users' }`. The server sees them as a comment behind the text. */
export type TagValues = Readonly<Record<string, string>>

const longestValue = 200
const mostTags = 20

/** Whoever reads the comment gets the text by decoding a URL. No character is left that ends a comment, a quote or a word. */
function encoded(value: string): string {
  const whole = value.slice(0, longestValue).replaceAll(/[\ud800-\udfff]/gu, '\ufffd')
  return encodeURIComponent(whole).replaceAll(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** `/*action='list',route='%2Fusers'*\/`, the names in order; empty for no tags. */
function commentOf(values: TagValues): string {
  const pairs = Object.keys(values)
    .toSorted()
    .map((name) => `${name}='${encoded(values[name] as string)}'`)
  return pairs.length === 0 ? '' : `/*${pairs.join(',')}*/`
}

function checkedValues(given: unknown): TagValues {
  if (!isPlain(given))
    throw new UsageError(
      `tags must be an object with names and texts, such as { route: '/users/:id' }; it is ${describeType(given)}.`,
    )
  const copy = Object.create(null) as Record<string, string>
  const entries = Object.entries(given).filter(([, value]) => value !== undefined)
  if (entries.length > mostTags)
    throw new UsageError(`tags has ${entries.length} members, and at most ${mostTags} are allowed.`)
  for (const [name, value] of entries) copy[checkedName(name)] = checkedValue(name, value)
  return Object.freeze(copy)
}

function checkedName(name: string): string {
  if (/^[a-z_][\w.-]{0,62}$/i.test(name)) return name
  throw new UsageError(
    `A tag cannot be called ${JSON.stringify(name.slice(0, 60))}: a name begins with a letter or "_" and has letters, digits, "_", "." and "-", at most 63.`,
  )
}

function checkedValue(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new UsageError(`The tag "${name}" must be a text; it is ${describeType(value)}.`)
  if (value.length > longestValue)
    throw new UsageError(
      `The tag "${name}" has ${value.length} characters, and at most ${longestValue} are allowed: a tag names a place in the program.`,
    )
  if (!isWellFormed(value)) throw new UsageError(`The tag "${name}" holds half of a surrogate pair.`)
  return value
}

/** What a request says of itself once its framework knows it, as tags. */
export type LateTags = () => TagValues

const alike = (one: TagValues, other: TagValues): boolean => {
  const names = Object.keys(one)
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
}

const noTags: TagValues = Object.freeze(Object.create(null) as TagValues)

/** The tags of all statements of an engine, scope or transaction: its own over those around it. */
export class Tags extends Printable {
  readonly #own: TagValues
  readonly #around: Tags | null
  readonly #late: LateTags | null
  #comment = ''
  #made = false
  /** What `#comment` was made of. */
  #before = ''
  #seen: TagValues = noTags

  private constructor(own: TagValues, around: Tags | null, late: LateTags | null) {
    super()
    this.#own = own
    this.#around = around
    this.#late = late
  }

  /** @throws {UsageError} for what is no object of names and short texts. */
  static of(given: unknown): Tags {
    return given instanceof Tags ? given : new Tags(checkedValues(given), null, null)
  }

  /** Those that `late` gives whenever a statement is sent. */
  static late(late: LateTags): Tags {
    return new Tags(noTags, null, late)
  }

  over(around: Tags | undefined): Tags {
    return around === undefined ? this : new Tags(this.#own, around, this.#late)
  }

  /** What stands behind a statement that is sent now. */
  get comment(): string {
    const before = this.#around === null ? '' : this.#around.comment
    const seen = this.#late === null ? noTags : this.#late()
    if (this.#made && before === this.#before && (seen === this.#seen || alike(seen, this.#seen))) return this.#comment
    this.#made = true
    this.#before = before
    this.#seen = seen
    return (this.#comment = commentOf(this.values))
  }

  get values(): TagValues {
    return { ...this.#around?.values, ...this.#seen, ...this.#own }
  }

  override toString(): string {
    return `Tags { ${this.comment} }`
  }
}

/** Longer texts are made each time. */
const longestKept = 20_000

/** How many pairs of a statement and its tags are remembered: as many again that were not used lately. */
const mostPairs = 2_000

type Pairs = Map<string, Map<Compiled, Compiled>>

/**
 * The statements of an engine with their tags. One that comes with the same tags for the second time gets a name, and so is
 * prepared: what is different each time costs the server nothing.
 */
export class TaggedStatements {
  readonly #nextName: () => string
  #young: Pairs = new Map()
  #old: Pairs = new Map()
  #count = 0

  constructor(nextName: () => string) {
    this.#nextName = nextName
  }

  /** The statement with this comment; the statement itself where its text cannot be changed. */
  of(stmt: Compiled, comment: string): Compiled {
    const known = this.#young.get(comment)?.get(stmt)
    if (known !== undefined && (known.name !== '' || stmt.name === '')) return known
    if (!isTaggable(stmt)) return stmt
    if (stmt.text.length > longestKept) return tagged(stmt, comment)
    const before = known ?? this.#old.get(comment)?.get(stmt)
    const named = before !== undefined && stmt.name !== ''
    const made = named && before.name === '' ? { ...before, name: this.#nextName() } : before
    return this.#keep(stmt, comment, made ?? tagged(stmt, comment), known === undefined)
  }

  #keep(stmt: Compiled, comment: string, made: Compiled, isNew: boolean): Compiled {
    if (isNew && ++this.#count > mostPairs) {
      this.#old = this.#young
      this.#young = new Map()
      this.#count = 1
    }
    let pairs = this.#young.get(comment)
    if (pairs === undefined) this.#young.set(comment, (pairs = new Map()))
    pairs.set(stmt, made)
    return made
  }
}

/**
 * Not what sets up a session or a transaction, whose texts are read again, and nothing that has a comment: sqlcommenter leaves
 * those alone, because comments may be orders.
 */
function isTaggable({ text, hasControl, pins, names }: Compiled): boolean {
  return !hasControl && pins === 0 && (names & ~(Names.catalogue | Names.columns)) === 0 && !hasComment(text)
}

function tagged(stmt: Compiled, comment: string): Compiled {
  return { ...stmt, text: withComment(stmt.text, comment), untagged: stmt.text, origin: stmt, name: '' }
}

const hasComment = (text: string): boolean => text.includes('/*') || text.includes('--')

/** In front of a semicolon at the end: what is behind it is no part of the statement. A text with a comment stays as it is. */
export function withComment(text: string, comment: string): string {
  if (comment === '' || hasComment(text)) return text
  const end = text.trimEnd()
  return end.endsWith(';') ? `${end.slice(0, -1)} ${comment};` : `${end} ${comment}`
}
