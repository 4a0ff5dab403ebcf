// Options of a transaction, and what the engine needs to know to open one.
import { UsageError } from '../errors/index.ts'
import { type IsolationLevel, parseIsolation } from '../sql/dialect.ts'
import { longestTimerMs } from '../util/timers.ts'
import type { Link } from './context/chain.ts'
import type { Handle } from './handle.ts'
import type { QueryDefaults } from './query/query-options.ts'
import type { Slot } from './slot/slot.ts'

/** When to run a transaction again. */
export interface TransactionRetry {
  /** How many further attempts after the first. */
  readonly limit: number
  /** Milliseconds before the first of them; doubled for each further one up to a second, with jitter. Default 20. */
  readonly intervalMs?: number | undefined
}

export interface TransactionOptions {
  /** Default: the server's. A nested transaction may only ask for what the outermost has. */
  readonly isolation?: IsolationLevel | undefined
  readonly readOnly?: boolean | undefined
  /** With `serializable` and `readOnly`: waits for a snapshot that cannot fail. (PostgreSQL: SET TRANSACTION.) */
  readonly deferrable?: boolean | undefined
  /**
   * The time for all of `work` and for the COMMIT behind it, in milliseconds; on expiry everything is cancelled and rolled
   * back, and of a COMMIT that is under way the outcome is unknown. With `retry`, of each attempt. For `begin()` only the
   * wait for its beginning. Default: none.
   */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * How long code may keep the transaction open without running a statement in it, in milliseconds. Then the server rolls it
   * back and closes its connection, `tx.signal` is aborted, and what follows fails with `TransactionTimeoutError`. A nested
   * transaction may only ask for what the outermost has. Default: the engine's `transactionIdleTimeoutMs`, else the
   * server's. Of no effect on PGlite. (PostgreSQL:
   * `idle_in_transaction_session_timeout`.)
   */
  readonly idleTimeoutMs?: number | undefined
  /**
   * When the answer to COMMIT does not come (the connection is lost, or the time is over), the server is asked on another
   * connection what became of the transaction, for so many milliseconds at most, beyond `timeoutMs` too. Committed: it is
   * as if the answer had come. Rolled back: it fails with `ConnectionLostError`, or with what ended it, `outcome`
   * `rolled_back`. Neither in time: `CommitOutcomeUnknownError`, as without. It costs one round trip before COMMIT, but none
   * with `readOnly: true`. One that changed nothing is told as rolled back. COMMIT is never sent twice. Of the outermost;
   * default: the engine's `resolveCommitMs`, else 0, which is not to ask. (PostgreSQL: `pg_current_xact_id_if_assigned`,
   * `pg_xact_status` in "Transaction ID and Snapshot Information Functions".)
   */
  readonly resolveCommitMs?: number | undefined
  /**
   * Runs `work` again after it was rolled back by a serialization failure, a dead lock or a `StalePlanError` (another session
   * has altered what a prepared statement reads). Only for the outermost. Default: never.
   */
  readonly retry?: number | TransactionRetry | undefined
  /** False: a connection and transaction of its own instead of a savepoint in the ambient one. Default true; `begin()`: false. */
  readonly reuse?: boolean | undefined
  /** Borrows nothing before the first statement inside, so a transaction without one costs nothing. Default false. */
  readonly lazy?: boolean | undefined
  /** Defaults for the statements inside. */
  readonly query?: QueryDefaults | undefined
}

/** Where a transaction is opened. */
export interface TransactionPlace {
  /** The `Db` through which it is opened. */
  readonly db: object | null
  readonly chain: Link | undefined
  readonly handle: Handle | null
  /** Null: on a slot of its own. */
  readonly slot: Slot | null
}

/**
 * The options with the isolation level spelled one way.
 * @throws {UsageError} for a level there is not, or a number of attempts or milliseconds that is none; before any SQL.
 */
export function normalised(options: TransactionOptions): TransactionOptions {
  const { retry, isolation, idleTimeoutMs = Infinity, resolveCommitMs = 0 } = options
  const limit = typeof retry === 'object' ? retry.limit : (retry ?? 0)
  if (limit !== Infinity && (!Number.isInteger(limit) || limit < 0))
    throw new UsageError('retry must be a whole number of further attempts, 0 or more.')
  // PostgreSQL counts it in an integer, which holds what a timer holds.
  const lasts = typeof idleTimeoutMs === 'number' && idleTimeoutMs > 0
  if (!lasts || (idleTimeoutMs > longestTimerMs && idleTimeoutMs !== Infinity))
    throw new UsageError(`idleTimeoutMs must be milliseconds, more than 0 and up to ${longestTimerMs}, or Infinity.`)
  if (!(typeof resolveCommitMs === 'number' && resolveCommitMs >= 0 && resolveCommitMs <= longestTimerMs))
    throw new UsageError(`resolveCommitMs must be milliseconds, from 0, which is not to ask, to ${longestTimerMs}.`)
  return isolation === undefined ? options : { ...options, isolation: parseIsolation(isolation) }
}
