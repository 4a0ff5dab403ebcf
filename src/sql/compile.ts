// The statements of one engine, compiled once per text: classification, the name they are prepared under, placeholders.
// Executors look up every text here; with a hit that is one `Map.get`. It bounds how many texts it keeps, sends nothing,
// and knows nothing of connections: which of them has prepared what is the driver's business.
import { ParameterError, UsageError } from '../errors/index.ts'
import { type Compiled, Dirty, Names } from './compiled.ts'
import type { Classified, Dialect } from './dialect.ts'
import { bindNamed, checkPositional, namedForm, placeholderNames } from './parameters.ts'
import type { Params } from './statement.ts'
import { describeType, isWellFormed } from '../util/options.ts'
import { TaggedStatements, type Tags } from './tags.ts'

export interface StatementCacheOptions {
  readonly dialect: Dialect
  /** Gives statements names, under which drivers prepare them once per connection. */
  readonly prepare: boolean
  /** The most texts kept; default 1000. */
  readonly size?: number | undefined
}

/** A statement with the values of one execution, in the order of its placeholders. */
export interface Bound {
  readonly compiled: Compiled
  /** The caller's own array where one was given. */
  readonly params: readonly unknown[]
}

interface NamedForm {
  readonly compiled: Compiled
  readonly names: readonly string[]
}

const defaultSize = 1000

/** Longer texts, written by loops rather than people, are compiled each time: they would fill the memory. */
const longestKept = 131_072

/** By which settings are set and taken back, where a server prepares such statements. */
const framedVerbs: ReadonlySet<string> = new Set(['SELECT', 'RESET'])

const isPrepared = ({ verb, names }: Compiled): boolean =>
  framedVerbs.has(verb) || (verb === 'SET' && (names & Names.path) !== 0)

/** The knowledge of the engine about one text. */
class Entry {
  readonly compiled: Compiled
  /** How many values `$1 …` need. */
  readonly parameters: number
  /** Looked up since the clock last passed. The cache reads and clears it. */
  used = false
  readonly #dialect: Dialect
  readonly #nextName: () => string
  readonly #hasNamed: boolean
  readonly #needsValues: boolean
  #named: NamedForm | undefined

  constructor(text: string, found: Classified, dialect: Dialect, nextName: () => string) {
    this.#dialect = dialect
    this.compiled = compiled(text, found, nextName())
    this.parameters = found.parameters
    this.#hasNamed = found.named
    this.#needsValues = found.valued
    this.#nextName = nextName
  }

  /**
   * Pairs the statement with its values: an array for `$1 …`, an object for `:name …`. Without any it is sent as it is, unless
   * its placeholders are surely the server's to fill.
   *
   * @throws {ParameterError} when they do not fit the placeholders, or a value is no data.
   */
  bind(params: Params | undefined): Bound {
    if (params === undefined || Array.isArray(params)) {
      const values: readonly unknown[] = params ?? none
      if (params !== undefined || this.#needsValues)
        checkPositional(this.#dialect, this.parameters, values, this.compiled.text)
      return { compiled: this.compiled, params: values }
    }
    if (typeof params !== 'object' || params === null)
      throw new ParameterError(
        `Parameters are an array for ${placeholderNames(this.#dialect)} or an object for :name …, not ${describeType(params)}.`,
      )
    const form = (this.#named ??= this.#nameForm())
    return {
      compiled: form.compiled,
      params: bindNamed(this.#dialect, form.names, params as Readonly<Record<string, unknown>>, this.compiled.text),
    }
  }

  #nameForm(): NamedForm {
    const form = this.#hasNamed ? namedForm(this.#dialect, this.compiled.text) : null
    if (form !== null) {
      const named = { ...this.compiled, text: form.text, name: this.#nextName(), reach: null, reachAt: -1, shape: null }
      return { names: form.names, compiled: named }
    }
    if (this.parameters > 0)
      throw new ParameterError(
        `The text has positional placeholders: pass an array for ${placeholderNames(this.#dialect)}`,
        {
          statement: { sql: this.compiled.text },
        },
      )
    return { names: [], compiled: this.compiled }
  }
}

const none: readonly unknown[] = Object.freeze([])

/** One per engine, which owns the names: a name is never given twice. */
export class StatementCache {
  readonly dialect: Dialect
  readonly #prepare: boolean
  readonly #size: number
  /** In the order of the clock: the oldest, or the longest spared, first. */
  readonly #entries = new Map<string, Entry>()
  readonly #internal = new Map<string, Compiled>()
  readonly #framed = new Map<string, Compiled>()
  #tagged: TaggedStatements | null = null
  #names = 0

  constructor({ dialect, prepare, size = defaultSize }: StatementCacheOptions) {
    this.dialect = dialect
    this.#prepare = prepare
    this.#size = Math.max(1, size)
  }

  /** How many texts are kept. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * The entry of a text; the same one while the text is kept.
   *
   * @throws {UsageError} when the text holds a NUL character, which would end it early on the wire, or half of a surrogate pair.
   */
  compile(text: string): Entry {
    const known = this.#entries.get(text)
    if (known !== undefined) {
      known.used = true
      return known
    }
    return this.#add(text)
  }

  /** As `compile`, for one who keeps it: it is named however long the text. */
  bake(text: string): Compiled {
    return (this.#entries.get(text) ?? this.#add(text, true)).compiled
  }

  /**
   * The engine's own control statements (BEGIN, SAVEPOINT, …), kept apart, so that they push nothing out. They are unnamed, but for
   * BEGIN, which stands in front of every transaction: where servers prepare it, they read it once on a connection.
   */
  compileInternal(text: string): Compiled {
    const known = this.#internal.get(text)
    if (known !== undefined) return known
    const found = this.dialect.classify(text)
    const named = this.#prepare && found.verb === 'BEGIN'
    const made = compiled(text, found, named ? `g${++this.#names}` : '', named)
    if (this.#internal.size >= this.#size) this.#internal.clear()
    this.#internal.set(text, made)
    return made
  }

  /**
   * As `compileInternal`, for what changes settings of frames and leaves nothing else in the session. It is prepared once for all
   * paths, because it stands in front of the first statement of every borrow.
   */
  compileFramed(text: string): Compiled {
    const known = this.#framed.get(text)
    if (known !== undefined) return known
    const internal = this.compileInternal(text)
    const name = this.#prepare && isPrepared(internal) ? `g${++this.#names}` : ''
    const made = { ...internal, name, pathless: true, dirties: Dirty.framed }
    if (this.#framed.size >= this.#size) this.#framed.clear()
    this.#framed.set(text, made)
    return made
  }

  /** The statement with its tags behind its text, as they are now. */
  tag(stmt: Compiled, { comment }: Tags): Compiled {
    if (comment === '') return stmt
    this.#tagged ??= new TaggedStatements(() => `g${++this.#names}`)
    return this.#tagged.of(stmt, comment)
  }

  #add(text: string, kept = text.length <= longestKept): Entry {
    if (text.includes('\0')) throw new UsageError('The SQL text holds a NUL character.')
    // It would be sent as another character.
    if (!isWellFormed(text)) throw new UsageError('The SQL text holds half of a surrogate pair.')
    const found = this.dialect.classify(text)
    const named = this.#prepare && kept && (found.cls === 'read' || found.cls === 'write') && found.preparable
    const entry = new Entry(text, found, this.dialect, () => (named ? `g${++this.#names}` : ''))
    if (text.length > longestKept) return entry
    if (this.#entries.size >= this.#size) this.#evict()
    this.#entries.set(text, entry)
    return entry
  }

  /** Second chance: an entry used since the clock last passed goes to the back once, the first unused one goes. */
  #evict(): void {
    for (const [text, entry] of this.#entries) {
      this.#entries.delete(text)
      if (!entry.used) return
      entry.used = false
      this.#entries.set(text, entry)
    }
  }
}

const compiled = (
  text: string,
  { cls, verb, dirties, pins, names, hasControl, control, leaves, plain, statements }: Classified,
  name: string,
  pathless = false,
): Compiled => ({
  text,
  name,
  cls,
  verb,
  dirties,
  pins,
  names,
  hasControl,
  control,
  leaves,
  plain,
  statements,
  pathless,
  reach: null,
  reachAt: -1,
  draws: undefined,
  shape: null,
})
