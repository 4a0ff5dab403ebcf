// The contract of a driver: open, use, cancel, reset and close ONE raw connection. The file to read first below the
// pool. Operations are submitted synchronously, failures are plain data, and nothing here knows of pools, frames or
// transactions. Rules behind it: a failed statement never hides what happened to its transaction (`outcome`), and a
// connection whose state is not known is closed by its owner.
import type { Compiled, Field, RowSpec, Shape } from '../sql/compiled.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { InForce } from '../sql/settings.ts'

/** The fate of the effects of an operation: it never ran, they were taken back, they are permanent, or nobody knows. */
export type Outcome = 'not_started' | 'rolled_back' | 'committed' | 'unknown'

/** Why the pool or the engine refused an operation, and what the operation was waiting for. */
export interface Refusal {
  /** `usage`: a mistake of the caller, which `cause` describes. */
  readonly reason: 'acquire-timeout' | 'too-many-waiters' | 'self-deadlock' | 'connect' | 'pool-closed' | 'usage'
  /**
   * The thing waited for: a free connection, a connection being opened, the end of a transaction or cursor, or one of the
   * connections that the databases of tenants have together.
   */
  readonly phase?: 'connection' | 'connect' | 'transaction' | 'cursor' | 'tenant'
  /** How long it waited, in milliseconds. */
  readonly waitedMs?: number
  /** The holders of the thing waited for, one line each. */
  readonly holders?: readonly string[]
  /** Counts of the pool at that moment. */
  readonly stats?: Readonly<Record<string, number>>
}

/** A failure as data. The engine builds the error later, after the await that shows the caller's line. */
export interface Failure {
  /**
   * `server`: the server refused the statement (`fields` has its ErrorResponse). `lost`: the connection died.
   * `protocol`: the peer broke the protocol. `encode`: a parameter could not be written, nothing was sent.
   * `decode`: an answer could not be read. `timeout`, `aborted`: the deadline or signal of the caller. `closed`: the
   * connection or pool was closed before. `skipped`: an earlier operation of the same unit failed. `refused`: the pool
   * or the engine did not let it pass (`refusal` says why); drivers never use it.
   */
  readonly kind:
    | 'server'
    | 'lost'
    | 'protocol'
    | 'encode'
    | 'decode'
    | 'timeout'
    | 'aborted'
    | 'closed'
    | 'skipped'
    | 'refused'
  readonly outcome: Outcome
  /** Of the kind `refused` alone. */
  readonly refusal?: Refusal
  /** ErrorResponse fields by name: `code`, `message`, `severity`, `detail`, `hint`, `position`, `constraint`, `table`, `column`, `schema`, … */
  readonly fields?: Readonly<Record<string, string>>
  /** An error that was thrown below, or a clause for the message. */
  readonly cause?: unknown
  /** Of the kind `decode`: the column that could not be read, if it was one. */
  readonly column?: string | undefined
}

/** User code can throw any object. */
const kinds: ReadonlySet<unknown> = new Set<Failure['kind']>([
  'server',
  'lost',
  'protocol',
  'encode',
  'decode',
  'timeout',
  'aborted',
  'closed',
  'skipped',
  'refused',
])

export function isFailure(thrown: unknown): thrown is Failure {
  return (
    typeof thrown === 'object' &&
    thrown !== null &&
    !(thrown instanceof Error) &&
    'outcome' in thrown &&
    kinds.has((thrown as Partial<Failure>).kind)
  )
}

/** The state of an operation: not sent yet, sent, sent and given up by its caller, or settled. */
export const OpState = { queued: 0, sent: 1, abandoned: 2, settled: 3 } as const
export type OpState = (typeof OpState)[keyof typeof OpState]

/** A value of `maxRows`: the statement is parsed and described, but does not run. */
export const parseOnly = -1

/** Takes the rows of a COPY to the server. */
export interface CopySink {
  /** Null: go on. A promise settles when the bytes have been sent. */
  write(chunk: Uint8Array): Promise<void> | null
  /** There are no more rows. */
  end(): void
  /** Makes the COPY fail, for this reason. */
  fail(reason: string): void
}

/** The source or target of the rows of a COPY. It is called while an answer is read, so it must not throw. */
export interface CopyPort {
  /** Whether it has rows for the server. */
  readonly gives: boolean
  /** The server takes rows. */
  take(sink: CopySink): void
  /** The server sends rows. `valve` holds them back. */
  give(valve: { pause(): void; resume(): void }): void
  /** A part of the rows. The bytes are valid only during the call. */
  data(bytes: Uint8Array): void
}

/** Takes rows one after the other as they come. It is called while an answer is read, so it must not throw. */
export interface RowPort {
  /** The statement has been sent. `valve` holds its rows back. */
  give(valve: { pause(): void; resume(): void }): void
  /** One more row is in `rows`. */
  arrived(): void
  /** A row could not be read. None behind it will be read either, so the statement is of no use any more. */
  unreadable(failure: Failure): void
}

/**
 * The rows of one statement in parts, within one transaction. The first operation that has it runs its statement, and those that
 * follow give the next rows, whatever their texts; each at most `maxRows`. They may be in flight together, once the first was answered.
 */
export interface Portal {
  /** On the server, where SQL may move or close it as a cursor. It ends with the transaction. */
  readonly name: string
  /** The driver's: how its rows are read. Null: it is not open. */
  columns: object | null
  /** Its last row has come. */
  ended: boolean
  /** How much its rows have taken on the wire. */
  bytes: number
  /** More rows of the operation that is being answered have come. They may be taken. */
  arrived?(): void
  /**
   * Whether what comes now of the rows of that operation is read when somebody asks for it: a driver that can keeps it in `held`, unless
   * rows of it are in `rows`, which come behind those in `held`.
   */
  holds?(op: Op): boolean
  /** The driver's, for all operations together, in their order. */
  held?: HeldRows | null
}

/** Rows that have come and that nobody has read. */
export interface HeldRows {
  /** How many there are. */
  readonly length: number
  /**
   * Reads the next ones into `rows`: at most so many, and none behind so many bytes of them. A failure is that of the row behind those
   * that were read. None behind it is of use.
   */
  read(rows: unknown[], most: number, bytes: number): Failure | null
  /** There are none any more. */
  clear(): void
  /** Nor are any kept that come from now on. */
  end(): void
}

/** The result of one statement of a text with several. */
export interface StatementResult<R = unknown> {
  /** As those of the operation. */
  tag: string
  count: number
  rows: R[]
  /** The columns of its rows; empty for a statement that gives none. */
  readonly fields: readonly Field[]
  /** The driver's: how its rows are read. */
  columns: object | null
}

/** One statement under way. It has one hidden class and is never reused. It settles once; later settles are ignored. */
export interface Op<R = unknown> {
  readonly stmt: Compiled
  /** Positional; `undefined` never occurs. */
  readonly params: readonly unknown[]
  /** How its rows are read. Null: as plain objects with the names of the fields. */
  readonly spec: RowSpec<R> | null
  /** 0 all rows, otherwise the row limit given to Execute: `first` 1, `one` 2. `parseOnly` within a session. */
  readonly maxRows: number
  /** The driver pushes finished row objects here. There is no callback per row. */
  readonly rows: R[]
  /** Command tag without counts, such as `INSERT`, and the row count it carried (-1: none). */
  tag: string
  count: number
  /** For COPY: where its rows come from or go to. A driver without COPY fails the operation (`encode`). */
  readonly copy?: CopyPort | null
  /** For rows that are read while they come, where the dialect says `streams`. Only such drivers know it. */
  readonly port?: RowPort | null
  /** For rows in parts, on a connection with `portals`. */
  readonly portal?: Portal | null
  /** How many of its rows its portal holds. */
  held?: number
  /** For a text of several statements: the driver pushes the result of each, in order. Null or missing: only the last is wanted. */
  readonly results?: StatementResult<R>[] | null
  /** Of what its result is, as this session said. The driver puts it here; where it is missing, that of the statement counts. */
  shape?: Shape | null
  /** The number that the database gave the first row of an INSERT, where its driver tells one; 0 for none. */
  insertId?: bigint | number
  /** `abandoned`: the caller already has its answer. The reply of the server is still due and is thrown away. */
  state: OpState
  /** Called once the Sync of its unit was answered (ReadyForQuery), after `rows`, `tag` and `count` are final. */
  done(): void
  /** Called in place of `done`, at the same point, or when the connection is lost. */
  fail(failure: Failure): void
}

/** Operations that share one Sync: an error skips what follows (`skipped`, `not_started`). */
export interface Unit {
  readonly ops: readonly Op[]
}

/** The calls by which a connection reports to its pool. */
export interface ConnectionHooks {
  /** `inFlight` has just dropped to 0 and no cancel is pending. Never called from inside submit. */
  idle(raw: RawConnection): void
  /** `inFlight` has just dropped below `maxInFlight` (also called before `idle`). Never called from inside submit. */
  room(raw: RawConnection): void
  /** The connection is dead. Called exactly once, after every operation in flight has failed. */
  lost(raw: RawConnection, failure: Failure): void
  /** The server sent a message that answers nothing, such as a WARNING: its fields, as those of a failure. */
  notice(fields: Readonly<Record<string, string>>): void
  /** Somebody notified a channel that this session listens on. `pid`: the process of the sender on the server. */
  notification(channel: string, payload: string, pid: number): void
  /**
   * Statements were to be prepared by name through a pooler, and it does not keep them: they run unnamed. Told of each connection on
   * which that is so, maybe before it is open.
   */
  unprepared?(): void
  /** The engine was given conversions under names that are no types of the database. Told of each connection that finds it out. */
  untyped?(message: string): void
}

/** A statement that `prepare` could not prepare, and the server's reason. */
export interface RefusedStatement {
  readonly stmt: Compiled
  readonly failure: Failure
}

/** Statements that fail, with this SQLSTATE, where another session answers than the one that was announced. */
export interface Proof {
  /** A read, and one that a pooler that spreads reads over several servers takes for a write. */
  readonly texts: readonly [read: string, write: string]
  readonly params: readonly unknown[]
  readonly refuted: string
}

/** One session on a server. One operation or unit after the other is submitted; each settles once, in the order in which they were submitted. */
export interface RawConnection {
  /** The server's process id where there is one, otherwise a counter. */
  readonly id: number
  /** Monotonic milliseconds: those of `performance.now()`, to within one. */
  readonly born: number
  /** The third-party object underneath. It may be used only while it is lent. */
  readonly native: unknown
  /** False: `native` only tells connections apart, and is never lent. */
  readonly lends?: boolean | undefined
  /** Whether `native` is lent to a user now. */
  readonly lent: boolean
  /** The number of units that may be in flight at once; 1 for node-postgres and PGlite. Submitting more is a bug of the caller. */
  readonly maxInFlight: number
  /** The pooler in between is known to lend it one session of the server until all that was submitted was answered. Default false. */
  readonly keepsServer?: boolean | undefined
  /**
   * That no pooler is in between of which nobody has said anything. It goes in front of the first statement that leaves something in
   * the session, in its unit. Null: it was proved. Undefined: there is nothing to prove.
   */
  proof?: Proof | null | undefined
  /** Whether it takes operations with a `portal`. Default false. */
  readonly portals?: boolean | undefined
  /**
   * The names of portals and cursors of the open transaction that nobody reads any more. The engine puts them here. The driver takes
   * them out and closes them in front of the unit that it sends next, unless they end with their transaction. Without a list the engine
   * closes them by SQL text.
   */
  readonly dropped?: string[] | undefined
  /** Others have the same session. So what has to be sent is not held back for what may come next. Default false. */
  readonly shared?: boolean | undefined
  /** Whether INSERT and DELETE give their rows there, where servers of one dialect differ. */
  readonly returning?: boolean | undefined
  /** Units submitted and not yet answered. */
  readonly inFlight: number
  /**
   * Transaction status by the last answer; `unknown` while anything is in flight or after loss. Where errors say nothing of it, a
   * driver asks the server before it settles the operation that failed. `prepared`: the session has a transaction that stays when it ends,
   * until somebody commits it or rolls it back by its name.
   */
  readonly status: 'idle' | 'tx' | 'failed' | 'prepared' | 'unknown'
  /**
   * The pool increments it at the end of every lease. A lease with another epoch is over. Nothing is in flight then, except a COMMIT
   * that changes nothing: whatever its answer is, no transaction is open behind it.
   */
  epoch: number
  /** `Dirty` bits gathered since the last reset. */
  dirty: number
  /** Settings of frames that the session has now. The code that sends them records them; the code that resets clears them. */
  readonly inForce: InForce
  /** False after loss, destroy or close. */
  readonly alive: boolean
  /** True from `cancel` until it settles: nothing may be submitted. */
  readonly quarantined: boolean
  /** Synchronous, FIFO. An encode error fails the operation (never from inside submit, but on a microtask) and leaves the stream untouched. */
  submit(op: Op): void
  /** As `submit`, for operations that share one Sync. */
  submitUnit(unit: Unit): void
  /**
   * Adds an operation to the unit that was submitted last, if that has operations of the same statement only and none of it has
   * gone out: they share one Sync, and all settle when it is answered. With `opening` the unit may have others too: it opens the
   * transaction that this operation belongs to. False: nothing was done, submit it. A driver without this method never puts
   * operations together by itself.
   */
  join?(op: Op, opening?: boolean): boolean
  /**
   * Asks the server to stop the operation at the head, or behind the COMMIT of somebody else: it waits for the answer to that. `broken`:
   * the state is unknown, destroy it. Settles within the deadline.
   */
  cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'>
  /**
   * Prepares statements before anything runs, up to the number that is kept. It takes one round trip, and one more for each
   * statement that fails. It returns the statements the server refused. Null: the connection broke or the deadline passed,
   * and it must be destroyed. A driver without this method prepares each statement when it first runs.
   */
  prepare?(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null>
  /**
   * Lends `native`, when nothing is in flight. From now on a unit is sent only while the client has nothing in flight. It waits
   * for that at most `waitMs` (`refused`, `not_started`). The process is kept alive, and `status` follows what the client does.
   */
  lend(waitMs: number): Promise<unknown>
  /** Ends the loan. True: the client has the answers to all it sent. False, or the deadline passed: destroy the connection. */
  reclaim(deadline: number): Promise<boolean>
  /**
   * SQL that every reset ends with, `''` for none. `settings` restores the session's own settings (`inForce.base`). `channels` listens
   * again, in a session whose notifications the engine hears. Where several sessions are one on the server, a reset of one ends with
   * the `channels` of all.
   */
  setBaseline(settings: string, channels?: string): void
  /**
   * One round trip that undoes `dirty` and rolls back an open transaction. Prepared statements stay, or are prepared again when they run
   * next, where the server's own reset throws them away. False: destroy it.
   */
  reset(dirty: number, deadline: number): Promise<boolean>
  /** Whether the server answers. False: nothing came by the deadline, or something is in flight. */
  ping(deadline: number): Promise<boolean>
  /** Ends the session in order, then destroys it. Never rejects; settles within the deadline. */
  close(deadline: number): Promise<void>
  /** Synchronous. On a later microtask it fails every operation in flight in FIFO order, then calls `lost`. Idempotent. */
  destroy(cause: Failure): void
}

/**
 * Opens connections to one kind of database.
 *
 * @typeParam O Its options, as `parse` has checked them.
 */
export interface Driver<O = unknown> {
  /** As in the option `driver` and in messages. */
  readonly name: string
  /** The dialect of its databases, such as `postgresDialect`. */
  readonly dialect: Dialect
  /** The highest useful number of connections: 1 for PGlite. */
  readonly poolLimit: number
  /** False: the database has no functions, triggers or views that could leave anything in a session. Default true. */
  readonly functions?: boolean | undefined
  /** Whether it reads rows and writes parameters by `RowSpec.conversions`, the option `types`. Default false. */
  readonly types?: boolean | undefined
  /** Checks connection options. @throws {InvalidOptionError} naming all unknown keys together. */
  parse(options: Readonly<Record<string, unknown>>): O
  /** One deadline over name look-up, connect, TLS and authentication. Rejects with a `Failure`. Called in the root async context. */
  open(options: O, hooks: ConnectionHooks, deadline: number): Promise<RawConnection>
  /** The engine has closed, and opens nothing with these options any more. Called once. Settles when what only the engine had has ended too. */
  end?(options: O): Promise<void>
  /** What to do after a failure to open: retry the `endpoint`, wait (`full`), or give up (`config`). */
  classify(failure: Failure): 'statement' | 'connection' | 'endpoint' | 'full' | 'config'
}
