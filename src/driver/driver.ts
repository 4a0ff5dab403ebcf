// The contract of a driver: open, use, cancel, reset and close ONE raw connection. The file to read first below the
// pool. Operations are submitted synchronously, failures are plain data, and nothing here knows of pools, frames or
// transactions. Rules behind it: a failed statement never hides what happened to its transaction (`outcome`), and a
// connection whose state is not known is closed by its owner.
import type { Compiled, RowSpec } from '../sql/compiled.ts'

export type Outcome = 'not_started' | 'rolled_back' | 'committed' | 'unknown'

/** Why the pool or the engine did not let an operation pass, and what it was waiting for. */
export interface Refusal {
  readonly reason: 'acquire-timeout' | 'too-many-waiters' | 'self-deadlock' | 'connect' | 'pool-closed' | 'usage'
  /** What was waited for: a free connection, a connection being opened, a transaction or a cursor to end. */
  readonly phase?: 'connection' | 'connect' | 'transaction' | 'cursor'
  readonly waitedMs?: number
  /** Who holds what was waited for, one line each. */
  readonly holders?: readonly string[]
  readonly stats?: Readonly<Record<string, number>>
}

/** A failure is data. Errors are built above, after the await that shows the caller's line. */
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
  readonly refusal?: Refusal
  /** ErrorResponse fields by name: `code`, `message`, `severity`, `detail`, `hint`, `position`, `constraint`, `table`, `column`, `schema`, … */
  readonly fields?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

export const OpState = { queued: 0, sent: 1, abandoned: 2, settled: 3 } as const
export type OpState = (typeof OpState)[keyof typeof OpState]

/** As `maxRows`: the statement is parsed and described, and does not run. */
export const parseOnly = -1

/** One statement on its way. One hidden class, never reused; settled exactly once, every later settle is ignored. */
export interface Op<R = unknown> {
  readonly stmt: Compiled
  /** Positional; `undefined` never occurs. */
  readonly params: readonly unknown[]
  readonly spec: RowSpec<R> | null
  /** 0 all rows, otherwise the row limit given to Execute: `first` 1, `one` 2. `parseOnly` within a session. */
  readonly maxRows: number
  /** The driver pushes finished row objects; there is no callback per row. */
  readonly rows: R[]
  /** Command tag without counts, such as `INSERT`, and the row count it carried (-1: none). */
  tag: string
  count: number
  /** `abandoned`: the caller was already told; the reply is still due and is thrown away. */
  state: OpState
  /** Called once the Sync of its unit was answered (ReadyForQuery), after `rows`, `tag` and `count` are final. */
  done(): void
  fail(failure: Failure): void
}

/** Operations that share one Sync: an error skips what follows (`skipped`, `not_started`). */
export interface Unit {
  readonly ops: readonly Op[]
}

export interface ConnectionHooks {
  /** `inFlight` has just dropped to 0 and no cancel is pending. Never called from inside submit. */
  idle(raw: RawConnection): void
  /** `inFlight` has just dropped below `maxInFlight` (also told before `idle`). Never called from inside submit. */
  room(raw: RawConnection): void
  /** The connection is dead; told exactly once, after every operation in flight has failed. */
  lost(raw: RawConnection, failure: Failure): void
  notice(fields: Readonly<Record<string, string>>): void
  notification(channel: string, payload: string, pid: number): void
  parameter(name: string, value: string): void
}

export interface RefusedStatement {
  readonly stmt: Compiled
  readonly failure: Failure
}

export interface RawConnection {
  /** The server's process id where there is one, otherwise a counter. */
  readonly id: number
  readonly generation: number
  /** Monotonic milliseconds (`performance.now()`). */
  readonly born: number
  /** The third-party object underneath; of use only while it is lent. */
  readonly native: unknown
  /** Whether users have `native`. */
  readonly lent: boolean
  /** How many units may be in flight at once; 1 for node-postgres and PGlite. Submitting beyond it is a bug of the caller. */
  readonly maxInFlight: number
  /** Units submitted and not yet answered. */
  readonly inFlight: number
  /** Transaction status of the last ReadyForQuery; `unknown` while anything is in flight or after loss. */
  readonly status: 'idle' | 'tx' | 'failed' | 'unknown'
  /** Raised by the pool at every lease end: a lease with another epoch is over. */
  epoch: number
  /** `Dirty` bits gathered since the last reset. */
  dirty: number
  /** False after loss, destroy or close. */
  readonly alive: boolean
  /** True from `cancel` until it settles: nothing may be submitted. */
  readonly quarantined: boolean
  /** Synchronous, FIFO. An encode error fails the operation (never from inside submit, but on a microtask) and leaves the stream untouched. */
  submit(op: Op): void
  submitUnit(unit: Unit): void
  /** Asks the server to stop the operation at the head. `broken`: the state is unknown, destroy it. Settles within the deadline. */
  cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'>
  /**
   * Prepares statements before anything runs, in one round trip and one more for each that fails; as many as are kept. Gives
   * those the server refused, or null when the connection broke or the deadline came first: then it must be destroyed.
   * A driver without it prepares each statement when it first runs.
   */
  prepare?(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null>
  /**
   * Lends `native`, when nothing is in flight. From now on a unit is sent only while the client has nothing in flight, and waits
   * for that `waitMs` at most (`refused`, `not_started`); the process is kept alive; and `status` follows what the client does.
   */
  lend(waitMs: number): Promise<unknown>
  /** Ends the loan: true once the client has had the last answer to all it sent. False, or the deadline came: destroy it. */
  reclaim(deadline: number): Promise<boolean>
  /** SQL that restores the session's own settings, replayed at the end of every reset; `''` for none. */
  setBaseline(sql: string): void
  /** One round trip that undoes `dirty`, rolls back an open transaction and keeps prepared statements. False: destroy it. */
  reset(dirty: number, deadline: number): Promise<boolean>
  ping(deadline: number): Promise<boolean>
  /** Says good-bye, then destroys; never rejects, settles within the deadline. */
  close(deadline: number): Promise<void>
  /** Synchronous; fails every operation in flight in FIFO order on a later microtask, then tells `lost`. Idempotent. */
  destroy(cause: Failure): void
}

export interface Driver<O = unknown> {
  readonly name: string
  readonly dialect: 'postgres' | 'mysql'
  /** The most connections that make sense: 1 for PGlite. */
  readonly poolLimit: number
  /** Checks connection options; unknown keys are refused together. @throws {InvalidOptionError} */
  parse(options: Readonly<Record<string, unknown>>): O
  /** One deadline over name look-up, connect, TLS and authentication. Rejects with a `Failure`. Called in the root async context. */
  open(options: O, hooks: ConnectionHooks, deadline: number, generation: number): Promise<RawConnection>
  /** What a failure to open says about the rest: retry the `endpoint`, wait (`full`), or give up (`config`). */
  classify(failure: Failure): 'statement' | 'connection' | 'endpoint' | 'full' | 'config'
}
