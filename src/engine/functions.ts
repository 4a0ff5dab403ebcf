// The functions and triggers of the database that may leave something in a session, read from its catalogue when they first matter. It
// is read on an idle connection, never in a transaction of a user, and no caller waits for it. Until it is known, a statement that
// might leave something counts as one that does. Each text is judged once for each reading.
import { type Failure, type Op, OpState } from '../driver/driver.ts'
import { notice } from '../observe/channels.ts'
import type { Errand } from '../pool/errands.ts'
import type { ResolvedOptions } from '../options/options.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import { type Compiled, firstColumn, Names, shortText } from '../sql/compiled.ts'
import type { StatementCache } from '../sql/compile.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { FunctionBook, KnownFunctions, Reach } from '../sql/functions.ts'
import { clock } from '../util/clock.ts'
import { InternalOp } from './internal-op.ts'
import { switchOps } from './switching.ts'

/** After a failure, or after an unknown name, it is not read again for this time. */
const pauseMs = 10_000

/** Other programs may change it: a connection that is opened later than this after a reading has it read again. */
const freshMs = 300_000

/** Of whose database they are. */
interface Home {
  readonly name: string
  readonly closed: boolean
  readonly pool: Pool
  readonly statements: StatementCache
  readonly dialect: Dialect
  readonly options: ResolvedOptions
  /** Places and functions that a notice has named already. */
  readonly toldPlaces: Set<string>
}

export class Functions {
  /** Somebody has asked for numbers that were drawn: sessions forget them at the end of each loan. */
  numbers = false
  /** Texts that drew numbers which somebody asked for afterwards. */
  readonly numbered: WeakSet<Compiled> = new WeakSet()
  readonly #judging: boolean
  #pool: Pool
  readonly #engine: Home
  readonly #known: KnownFunctions
  #book: FunctionBook | null = null
  /** The number of the book, or of the one that will be read: every change raises it. */
  #version = 0
  #reading = false
  #notBefore = 0
  #readAt = 0
  /** The last reading has failed. */
  #unreadable = false
  #told = ''

  constructor(engine: Home) {
    const { pooler, driver, functions } = engine.options
    this.#engine = engine
    this.#pool = engine.pool
    this.#known = { harmless: new Set(functions.harmless), stateful: new Set(functions.stateful) }
    this.#judging =
      pooler === undefined &&
      engine.dialect.functions !== null &&
      !(typeof driver === 'object' && driver.functions === false)
  }

  /** False: sessions are not kept, all share one, or the database has no functions: texts alone are judged. */
  get active(): boolean {
    return this.#judging && this.#engine.pool === this.#pool
  }

  /** The engine has another pool: of a server with the same functions. */
  moved(pool: Pool): void {
    this.#pool = pool
    this.#reading = false
    this.#notBefore = 0
  }

  /** It was read, and says all that can be known. */
  get read(): boolean {
    return this.#book !== null
  }

  /** A read that calls nothing may leave something too, such as by a view. False as long as the catalogue was not read. */
  get judgesReads(): boolean {
    return this.#book !== null && this.#book.judgesReads
  }

  /** The functions that a text reaches; null: not known yet. */
  reachOf(stmt: Compiled): Reach | null {
    const book = this.#book
    if (book === null) {
      stmt.reach = null
      this.want()
      return null
    }
    if (stmt.reachAt !== this.#version) {
      stmt.reach = book.reachOf(stmt.text)
      stmt.reachAt = this.#version
    }
    const reach = stmt.reach ?? null
    if (reach !== null && stmt.leaves === true && reach.unknown.length > 0) {
      this.want()
      return null
    }
    return reach
  }

  /** Whether a read may run on any connection, beside others like it. */
  isPlain(stmt: Compiled): boolean {
    const { plain, leaves, cls, pins, dirties, verb } = stmt
    if (plain !== true) {
      if (leaves !== true || cls !== 'read' || pins !== 0 || dirties !== 0) return false
      if (!this.active || (verb !== 'SELECT' && verb !== 'WITH')) return false
    } else if (!this.active) return true
    return this.reachOf(stmt)?.plain === true
  }

  /**
   * Whether a read may be sent twice, and so beside others: it calls nothing that may change something. Where nobody can know what it
   * calls, such as by a view, its text is believed: only functions of PostgreSQL's own do not.
   */
  mayRepeat(stmt: Compiled): boolean {
    const reach = this.active ? this.reachOf(stmt) : null
    if (reach !== null) return !reach.once
    return stmt.leaves !== true && (!this.active || this.#unreadable)
  }

  /** A text was sent, or has had effect, that may change what was read. True: it was one. */
  noteChange({ names, text }: Compiled): boolean {
    if ((names & Names.catalogue) === 0) return false
    if (this.#engine.dialect.functions?.changes(text) !== true && !this.#isDefined(text)) return false
    this.forget()
    return true
  }

  /** Whether a definition, as of a table with a default, calls a function that may leave something: its users call that, too. */
  #isDefined(text: string): boolean {
    return this.#book !== null && /\b(?:create|alter)\b/i.test(text) && this.#book.reachOf(text).stateful.length > 0
  }

  forget(): void {
    this.#book = null
    this.#version++
    this.#notBefore = 0
  }

  /** Has it read as soon as a connection is free. */
  want(): void {
    if (this.#reading || !this.active || clock.now() < this.#notBefore || this.#engine.closed) return
    this.#reading = true
    this.#notBefore = clock.now() + pauseMs
    const version = this.#version
    this.#pool.errands.run(new Reading(this.#engine, (answer) => this.take(answer, version)))
  }

  /** A connection was opened. */
  connectionOpened(): void {
    if (this.#book !== null && clock.now() - this.#readAt >= freshMs) this.want()
  }

  /** The text that reads it, and which reading that would be: for those who have a connection. */
  get query(): { readonly text: string; readonly version: number } {
    return { text: this.#engine.dialect.functions?.query ?? '', version: this.#version }
  }

  /** Takes the result of a reading; null: it was not done. */
  take(answer: string | Failure | null, version: number): void {
    this.#reading = false
    if (answer === null) {
      this.#notBefore = 0
      return
    }
    if (typeof answer !== 'string') {
      // What was read before still holds.
      if (this.#book === null) this.#tellFailure(answer)
      return
    }
    if (version !== this.#version) {
      this.#notBefore = 0
      return this.want()
    }
    const { functions } = this.#engine.dialect
    this.#book = functions?.read(answer, this.#known) ?? null
    this.#unreadable = this.#book === null
    this.#readAt = clock.now()
    this.#version++
    if (this.#book?.readsLeave === true) this.#pool.soil()
    const hidden = this.#book?.hidden.join(', ') ?? ''
    if (hidden === '' || hidden === this.#told) return
    this.#told = hidden
    notice(
      'functions-hidden',
      `Functions that may leave something in a session are called by a cast, a range or the order of a type, where no text shows it: ` +
        `${hidden}. So every statement keeps the connection of its scope, and its session is reset afterwards. If these functions leave ` +
        'nothing, name them in the option functions.harmless.',
      { engine: this.#engine.name },
    )
  }

  /** A scope keeps its connection for the numbers that this statement has drawn. */
  tellOfNumbers(stmt: Compiled): void {
    const { name, toldPlaces } = this.#engine
    const key = `numbers ${stmt.untagged ?? stmt.text}`
    if (toldPlaces.has(key)) return
    toldPlaces.add(key)
    notice(
      'pinned-for-numbers',
      'Scopes that run this statement keep their connection, because currval() or lastval() was asked for behind it. Use INSERT … ' +
        'RETURNING, and they do not have to.',
      { engine: name, places: [shortText(stmt)], warn: false },
    )
  }

  #tellFailure({ kind, fields }: Failure): void {
    if (this.#engine.closed || kind === 'lost' || kind === 'closed') {
      this.#notBefore = 0
      return
    }
    this.#unreadable = true
    notice(
      'functions-unread',
      `The catalogue of functions could not be read (${fields?.['message'] ?? kind}). Until it can be, statements that write or call ` +
        'your SQL functions keep the connection of their scope, and it is reset after them.',
      { engine: this.#engine.name },
    )
  }
}

/** One reading, on a connection that nobody uses. */
class Reading extends InternalOp implements Errand {
  readonly ofEngine = true as const
  readonly since: number = clock.now()
  readonly #engine: Home
  readonly #told: (answer: string | Failure | null) => void
  #lease: Lease | null = null

  constructor(engine: Home, told: (answer: string | Failure | null) => void) {
    super(engine.statements.compileInternal(engine.dialect.functions?.query ?? ''), undefined, firstColumn)
    this.#engine = engine
    this.#told = told
  }

  /** The reading that a pool has to stop when it is closed. */
  get flight(): { readonly head: Op | undefined } {
    return { head: this.state === OpState.settled ? undefined : this }
  }

  begin(lease: Lease): void {
    this.#lease = lease
    const first = switchOps(this.#engine, lease.raw, null, null, false)
    if (first === null) lease.raw.submit(this)
    else lease.raw.submitUnit({ ops: [...first, this] })
  }

  dropped(): void {
    this.state = OpState.settled
    this.#told(null)
  }

  protected over(failure: Failure | null): void {
    this.#told(failure ?? (typeof this.rows[0] === 'string' ? this.rows[0] : null))
  }

  room(): void {}

  quiet(): void {
    void this.#lease?.release()
  }

  lost(): void {}

  describe(): string {
    return 'the engine, which reads the catalogue of functions'
  }
}

/** Statements that may draw numbers without saying so: by defaults and triggers. */
const drawing: ReadonlySet<string> = new Set(['INSERT', 'MERGE', 'COPY', 'CALL', 'DO', 'EXECUTE', ''])

export function draws(stmt: Compiled): boolean {
  return (stmt.draws ??=
    drawing.has(stmt.verb) || /\b(?:insert|merge|nextval|setval|next\s+value\s+for)\b/i.test(stmt.text))
}
