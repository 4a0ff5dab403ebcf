// Runs the statements of a session one at a time: as text, or prepared once for each database and way of reading texts. It tracks the
// state that the server reports with every answer: the transaction, the database, the way quotes are read.
import { ParameterError, UsageError } from '../../errors/index.ts'
import { explainRefused } from '../../mysql/errno.ts'
import { targetsSet } from '../../mysql/dialect.ts'
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { clock } from '../../util/clock.ts'
import type { Failure, Op, Outcome, RowPort } from '../driver.ts'
import type { Client, WrittenPacket } from './client.ts'
import { Exchange, Farewell, type Prepared, Preparing } from './exchange.ts'
import { asText, databaseOf, givesRows, largerThan, locksTables } from './check.ts'
import { endsSession, refusalOutcome, refusedBy, stopped, wasStopped } from './outcome.ts'
import { Code, type Cursor, numberPacket, type Ok, ServerStatus, type ServerRefusal, textPacket } from './packets.ts'
import { PreparedStatements, Statement } from './prepared.ts'
import { Results } from './results.ts'
import { holds, type Holder, makeRoom } from './room.ts'
import { isHidden, leftOpen, misleading, naming, quotesMoved, uncommitted } from './tracked.ts'
import type { Conversions } from './types.ts'
import { type Encoded, encodeAll, executePacket } from './values.ts'

export interface RunnerOptions {
  /** Where the session is. */
  readonly server: string
  readonly conversions: Conversions
  readonly statementCacheSize: number
  /** The database of the login; `''` for none. */
  readonly database: string
}

export interface RunnerHost {
  /** The connection is of no use any more. */
  broken(failure: Failure): void
  /** A statement has changed the session, which its text does not show. */
  changed(): void
}

interface BareOptions {
  readonly tracked?: boolean
  /** It asks how the session is, and changes nothing. */
  readonly learns?: boolean
  readonly row?: (cursor: Cursor) => void
}

type Next = (failure: Failure | null) => void

export class Runner implements Holder {
  readonly server: string
  status: 'idle' | 'tx' | 'prepared' = 'idle'
  /** The current database; null: not known. */
  database: string | null
  /** True: what is being prepared is not run any more. */
  stopping: () => boolean = () => false
  readonly prepared: PreparedStatements
  /** The server takes packets of fewer bytes than these. */
  mostBytes: number = Infinity
  /** Tables are locked by name, until they are unlocked or a transaction begins. */
  tablesLocked = false
  /** Each statement opens a transaction, as somebody wanted who knows: by text, or by the client that is lent. */
  #byHand = false
  readonly #client: Client
  readonly #host: RunnerHost
  readonly #conversions: Conversions
  readonly #keeps: boolean
  /** Of the way texts are read now, and how many there were. */
  mode = 0
  #modes = 0
  #scope = ''
  readonly #valve: Parameters<RowPort['give']>[0] = {
    pause: () => {
      if (!this.stopping()) this.hold()
    },
    resume: () => this.flow(),
  }

  constructor(client: Client, host: RunnerHost, { server, conversions, statementCacheSize, database }: RunnerOptions) {
    this.#client = client
    this.#host = host
    this.server = server
    this.#conversions = conversions
    this.#keeps = statementCacheSize > 0
    this.prepared = new PreparedStatements(statementCacheSize)
    this.database = database
    this.rescope()
    holds(this)
  }

  giveUp(): Promise<unknown> {
    const given = this.prepared.clear()
    this.#close(given)
    return given.length === 0 ? Promise.resolve() : this.packet(textPacket(Code.ping))
  }

  /** @param again It was to run already, and the server wants it prepared anew. */
  run(op: Op, encoded: readonly Encoded[], next: Next, again = false): void {
    const { stmt } = op
    if ((stmt.name === '' && encoded.length === 0 && !givesRows(stmt)) || asText.has(stmt.verb))
      return this.#exchange(op, textPacket(Code.query, stmt.text), null, next)
    // Settings of scopes come without a name, and often.
    const name = stmt.name === '' && stmt.verb === 'SET' && stmt.text.length < 500 ? stmt.text : stmt.name
    const key = this.#keeps && name !== '' ? `${this.#scope}${name}` : ''
    const known = key === '' ? undefined : this.prepared.get(key)
    const execute = (statement: Statement, then: Next): void =>
      this.#execute(op, statement, encoded, then, again ? null : () => this.run(op, encoded, next, true))
    if (known !== undefined) return execute(known, next)
    this.#prepare(stmt.text, (statement, refusal) => {
      if (statement === null) return this.#refused(op, refusal as ServerRefusal, next)
      if (key !== '') this.#close(this.prepared.add(key, statement))
      const done: Next =
        key !== ''
          ? next
          : (failure) => {
              this.#close([statement])
              next(failure)
            }
      if (this.stopping()) return done(stopped)
      execute(statement, done)
    })
  }

  /** Prepares a statement that is not yet; gives why the server would not. */
  prepare(stmt: Compiled): Promise<Failure | null> {
    const { text } = stmt
    const key = `${this.#scope}${stmt.name}`
    if (!this.#keeps || this.prepared.get(key) !== undefined) return Promise.resolve(null)
    const tooLarge = largerThan(this.mostBytes, stmt, [])
    if (tooLarge !== null) return Promise.resolve(tooLarge)
    return new Promise((resolve) => {
      this.#prepare(text, (statement, refusal) => {
        if (statement !== null) this.#close(this.prepared.add(key, statement))
        resolve(statement === null ? refusedBy(refusal as ServerRefusal) : null)
      })
    })
  }

  /** A text or statement of the driver's own. Null: it succeeded. */
  async own(text: string, params: readonly unknown[] = []): Promise<Failure | null> {
    if (params.length === 0) return this.packet(textPacket(Code.query, text))
    const [statement, refusal] = await new Promise<[Statement | null, ServerRefusal | null]>((resolve) => {
      this.#prepare(text, (...ended) => resolve(ended))
    })
    if (statement === null) return refusedBy(refusal as ServerRefusal)
    const failure = await this.packet(executePacket(statement.id, encodeAll(params)))
    this.#close([statement])
    return failure
  }

  packet(packet: WrittenPacket): Promise<Failure | null> {
    return new Promise((resolve) => this.#bare(packet, resolve, { learns: true }))
  }

  /** The row that a query of the driver's own gives, as texts; none of them may be NULL. */
  ask(text: string, count: number): Promise<readonly string[] | Failure> {
    let values: string[] = []
    const row = (cursor: Cursor): void => void (values = Array.from({ length: count }, () => cursor.text()))
    return new Promise((resolve) =>
      this.#bare(textPacket(Code.query, text), (failure) => resolve(failure ?? values), { learns: true, row }),
    )
  }

  /** Later texts may be read in another way: none of the statements that are prepared stands for them. */
  remode(mode: number = ++this.#modes): void {
    this.mode = mode
    this.rescope()
  }

  rescope(): void {
    if (this.database === null) this.mode = ++this.#modes
    this.#scope = `${this.database ?? ''}\n${this.mode}\n`
  }

  /** What a statement has done to the session, as far as later ones depend on it. */
  follow(stmt: Compiled, failure: Failure | null): void {
    const { verb, text, dirties } = stmt
    // Whoever locks others unlocks those first, also where that fails.
    if (verb === 'LOCK' || verb === 'UNLOCK') this.tablesLocked = false
    if (failure === null && locksTables(stmt)) this.tablesLocked = true
    if (verb === 'USE') {
      // The server tells which it is, unless it was told not to.
      if (this.database !== databaseOf(text)) this.database = null
      this.rescope()
    } else if ((dirties & (Dirty.settings | Dirty.framed | Dirty.unknown)) !== 0) {
      // Of what has names, these alone are part of a prepared statement.
      if (targetsSet(text) === null || /sql_mode|character_set|collation/i.test(text)) this.remode()
    }
  }

  /** Reads nothing until `flow()`. */
  hold(): void {
    this.#client.stream.pause()
  }

  /** Reads on, whatever was held back. */
  flow(): void {
    this.#client.stream.resume()
  }

  #bare(
    packet: WrittenPacket,
    then: (failure: Failure | null) => void,
    { tracked = false, learns = false, row = () => {} }: BareOptions = {},
  ): void {
    this.#client.addCommand(
      new Exchange(packet, {
        columns: () => {},
        row,
        status: (flags, ok) => {
          this.#told(flags, ok, learns)
          if (tracked && ok !== null) this.#tracked(ok)
        },
        end: (refusal) => then(refusal === null ? null : refusedBy(refusal)),
        lost: (cause) => {
          const failure: Failure = { kind: 'lost', outcome: 'unknown', cause }
          this.#host.broken(failure)
          then(failure)
        },
      }),
    )
  }

  /** The server keeps so many for all its sessions: those of this process go before it refuses one. */
  #prepare(
    text: string,
    then: (statement: Statement | null, refusal: ServerRefusal | null) => void,
    last = false,
  ): void {
    const ended = (prepared: Prepared | null, refusal: ServerRefusal | null): void => {
      const full = refusal !== null && explainRefused(refusal).prepared === 'full'
      if (full && this.prepared.size > 0) {
        this.#close(this.prepared.clear())
        this.#prepare(text, then)
      } else if (full && !last) void makeRoom(this.server).then(() => this.#prepare(text, then, true))
      else then(prepared === null ? null : new Statement(prepared.id, prepared.parameters), refusal)
    }
    const lost = (cause: unknown): void => this.#host.broken({ kind: 'lost', outcome: 'unknown', cause })
    this.#client.addCommand(new Preparing(textPacket(Code.prepare, text), ended, lost))
  }

  #close(statements: readonly Statement[]): void {
    for (const { id } of statements) this.#client.addCommand(new Farewell(numberPacket(Code.close, id)))
  }

  /** @param anew What runs the statement where the server wants it prepared once more. */
  #execute(op: Op, statement: Statement, encoded: readonly Encoded[], next: Next, anew: (() => void) | null): void {
    if (statement.parameters === encoded.length)
      return this.#exchange(op, executePacket(statement.id, encoded), statement, next, anew)
    const cause = new ParameterError(
      `The server counts ${statement.parameters} placeholders in the statement, but ${encoded.length} values were given.`,
      { statement: { sql: op.stmt.text } },
    )
    clock.queueMicrotask(() => next({ kind: 'encode', outcome: 'not_started', cause }))
  }

  #exchange(
    op: Op,
    packet: WrittenPacket,
    statement: Statement | null,
    next: Next,
    anew: (() => void) | null = null,
  ): void {
    const before = this.status
    const { port = null, stmt } = op
    port?.give(this.#valve)
    const results = new Results(op, statement, this.#conversions)
    // Behind rows the server says that something was set, but not which.
    let changed = false
    this.#client.addCommand(
      new Exchange(packet, {
        columns: (columns) => results.columns(columns),
        row: (cursor) => results.row(cursor),
        status: (flags, ok) => {
          results.ended(ok)
          this.#told(flags, ok, stmt.cls === 'control')
          if ((flags & ServerStatus.changed) !== 0 && isHidden(stmt)) this.#host.changed()
          if (ok !== null) this.#tracked(ok)
          else if ((flags & ServerStatus.changed) !== 0) changed = true
        },
        end: (refusal) => {
          if (port !== null) this.flow()
          if (refusal !== null) {
            if (statement === null || anew === null || !this.#lacks(op, refusal))
              return this.#refused(op, refusal, next)
            this.prepared.remove(statement)
            this.#close([statement])
            return anew()
          }
          if (before === 'idle' && this.status === 'tx' && !stmt.hasControl && !this.#byHand)
            return this.#misread(leftOpen, 'rolled_back')
          if (stmt.control === 'prepare' && this.status === 'tx') this.status = 'prepared'
          const failure = results.settle(before === 'idle' && this.status === 'idle' && stmt.cls !== 'read')
          if (changed) this.#nameBefore(() => next(failure))
          else next(failure)
        },
        lost: (cause) => this.#host.broken({ kind: 'lost', outcome: 'unknown', cause }),
      }),
    )
  }

  /** Whether the server has run nothing of a statement, because it has to be prepared again. A procedure may have run others before. */
  #lacks({ stmt: { cls } }: Op, refusal: ServerRefusal): boolean {
    return !this.stopping() && cls !== 'commits' && explainRefused(refusal).prepared === 'missing'
  }

  /** An error says nothing of the transaction: where one is open, or may be, a ping does. */
  #refused(op: Op, refusal: ServerRefusal, next: Next): void {
    const { stmt } = op
    const failure: Failure = { ...refusedBy(refusal), outcome: refusalOutcome(stmt, explainRefused(refusal)) }
    const unseen = (stmt.dirties & Dirty.unknown) !== 0
    const known = this.status === 'idle' && !unseen && (stmt.cls === 'read' || stmt.cls === 'write')
    if (known || endsSession(failure)) next(failure)
    else if (unseen) this.#nameBefore(() => next(failure))
    else this.#bare(textPacket(Code.ping), () => next(failure))
  }

  /** Goes on when the server has named the time zone and the character set. */
  #nameBefore(then: () => void): void {
    this.#bare(
      textPacket(Code.query, naming),
      (failure) => {
        if (failure === null) then()
        // A request to stop came too late for the statement in front of it.
        else if (wasStopped(failure)) this.#nameBefore(then)
        else if (failure.kind === 'server') this.#host.broken({ ...failure, kind: 'lost', outcome: 'unknown' })
      },
      { tracked: true },
    )
  }

  #tracked(ok: Ok): void {
    const why = misleading(ok)
    if (why !== null) this.#misread(why)
  }

  /** Flags of the session, with what else an OK says. @param learns It may say of itself whether statements commit. */
  #told(flags: number, ok: Ok | null, learns: boolean): void {
    const byHand = (flags & ServerStatus.autocommit) === 0
    if (learns) this.#byHand = byHand
    else if (byHand && !this.#byHand) this.#misread(uncommitted)
    if ((flags & ServerStatus.transaction) === 0) this.status = 'idle'
    else if (this.status === 'idle') this.status = 'tx'
    if (ok !== null && ok.database !== null && ok.database !== this.database) {
      this.database = ok.database
      this.rescope()
    }
    if ((flags & (ServerStatus.ansiQuotes | ServerStatus.noBackslashEscapes)) === 0) return
    this.#misread(quotesMoved)
  }

  #misread(why: string, outcome: Outcome = 'unknown'): void {
    const cause = new UsageError(why, { outcome })
    this.#host.broken({ kind: 'protocol', outcome, cause })
  }
}
