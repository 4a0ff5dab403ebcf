// The terms of a transaction: its options and the place where it is opened, as its record knows them.
import type { QueryDefaults } from '../core.ts'
import type { IsolationLevel } from '../../sql/dialect.ts'
import type { Link } from '../context/chain.ts'
import type { Handle, Holder } from '../context/frame.ts'

/** When to run a transaction again. */
export interface TransactionRetry {
  /** The number of further attempts after the first. */
  readonly limit: number
  /** Milliseconds before the first further attempt. Doubled for each one after it, up to a second, with jitter. Default 20. */
  readonly intervalMs?: number | undefined
}

export interface TransactionTerms {
  /** Default: the server's. A nested transaction may only ask for the level of the outermost. */
  readonly isolation?: IsolationLevel | undefined
  readonly readOnly?: boolean | undefined
  /** With `serializable` and `readOnly`: waits for a snapshot on which reads cannot fail. (PostgreSQL: SET TRANSACTION.) */
  readonly deferrable?: boolean | undefined
  /**
   * The time for all of `work` and the COMMIT after it, in milliseconds. When it is over, everything is cancelled and rolled
   * back. If COMMIT is already under way, its outcome is unknown. With `retry` it counts for each attempt. For `begin()` it
   * limits only the wait until the transaction has begun. Default: none.
   */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * How long the transaction may stay open without running a statement, in milliseconds. After that the server rolls it
   * back and closes its connection, `tx.signal` aborts, and later statements fail with `TransactionTimeoutError`. A nested
   * transaction may only ask for the value of the outermost. Default: the engine's `transactionIdleTimeoutMs`, else the
   * server's. It has no effect on PGlite. (PostgreSQL: `idle_in_transaction_session_timeout`.)
   */
  readonly idleTimeoutMs?: number | undefined
  /**
   * How long to ask the server, on another connection, whether a transaction was committed, in milliseconds. It is asked when
   * no answer to COMMIT comes, because the connection is lost or the time is over; this may go beyond `timeoutMs`.
   * - Committed: the call goes on as if the answer had come.
   * - Rolled back: it fails with `ConnectionLostError`, or with the error that ended it, and `outcome` `rolled_back`.
   * - Not known in time: `CommitOutcomeUnknownError`, as without this option.
   *
   * It costs one round trip before COMMIT, but none with `readOnly: true`. A transaction that changed nothing is reported as
   * rolled back. COMMIT is never sent twice. Only the outermost transaction has this option. Default: the engine's
   * `resolveCommitMs`, else 0, which does not ask. (PostgreSQL: `pg_current_xact_id_if_assigned`, `pg_xact_status` in
   * "Transaction ID and Snapshot Information Functions".)
   */
  readonly resolveCommitMs?: number | undefined
  /**
   * Runs `work` again after a serialization failure, a deadlock or a `StalePlanError` has rolled it back. (A stale plan:
   * another session has altered a table that a prepared statement reads.) Only for the outermost. Default: never.
   */
  readonly retry?: number | TransactionRetry | undefined
  /** False: a separate connection and transaction, not a savepoint in the ambient one. Default true; for `begin()` false. */
  readonly reuse?: boolean | undefined
  /** Borrows no connection before the first statement, so a transaction without statements costs nothing. Default false. */
  readonly lazy?: boolean | undefined
  /** Defaults for the statements inside. */
  readonly query?: QueryDefaults | undefined
}

/** Where a transaction is opened. */
export interface Where<S extends Holder = Holder> {
  /** The `Db` through which it is opened. */
  readonly db: object | null
  readonly chain: Link | undefined
  readonly handle: Handle | null
  /** Null: on a slot of its own. */
  readonly slot: S | null
  /** Its callback does nothing but wait for statements that were issued with it: it counts as one of them. */
  readonly batch?: boolean | undefined
}
