// Work that was stopped, or whose end is not what its author expects: deadlines, signals, COMMIT and what runs after
// it, migrations. Thrown by the engine. Mistakes in the use of transactions are in usage-error.ts.
import { GeneverError, type ErrorDetails, type Outcome } from './genever-error.ts'

export interface CommitOutcomeDetails extends ErrorDetails {
  readonly xid?: string | undefined
}

/**
 * The connection died, or the time was over, while COMMIT was on its way: the transaction may or may not have taken effect.
 */
export class CommitOutcomeUnknownError extends GeneverError {
  static override readonly code: string = 'GENEVER_COMMIT_OUTCOME_UNKNOWN'
  /** Its number on the server, for `pg_xact_status`; absent unless the transaction had `resolveCommitMs` and changed something. */
  declare readonly xid?: string

  constructor(message: string, details: CommitOutcomeDetails = {}) {
    super(message, details)
    if (details.xid !== undefined) this.xid = details.xid
  }
}

export interface AfterCommitDetails extends ErrorDetails {
  readonly result?: unknown
  readonly errors?: readonly unknown[] | undefined
}

/** The transaction was committed, but `afterCommit` hooks failed. Outcome: `committed`. */
export class AfterCommitError extends GeneverError {
  static override readonly code: string = 'GENEVER_AFTER_COMMIT'
  static override readonly outcome: Outcome = 'committed'
  /** What the hooks threw, in order. */
  readonly errors: readonly unknown[]
  readonly #result: unknown

  constructor(message: string, details: AfterCommitDetails = {}) {
    super(message, details)
    this.errors = details.errors ?? []
    this.#result = details.result
  }

  /** What the transaction would have returned. Not printed, as it may hold what the database holds. */
  get result(): unknown {
    return this.#result
  }
}

/**
 * Statements of the transaction failed and were ignored by its code, so it was not committed. `cause` is the first
 * failure. Outcome: `rolled_back`.
 */
export class TransactionAbortedError extends GeneverError {
  static override readonly code: string = 'GENEVER_TRANSACTION_ABORTED'
  static override readonly outcome: Outcome = 'rolled_back'
}

export interface TimeoutDetails extends ErrorDetails {
  readonly timeoutMs?: number | undefined
}

/** The statement did not end within its `timeoutMs`. The server was asked to cancel it. */
export class QueryTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_QUERY_TIMEOUT'
  /** Milliseconds. */
  declare readonly timeoutMs?: number

  constructor(message: string, details: TimeoutDetails = {}) {
    super(message, details)
    if (details.timeoutMs !== undefined) this.timeoutMs = details.timeoutMs
  }
}

/**
 * The transaction did not end within its `timeoutMs`, all of its callback included, or ran no statement for longer than its
 * `idleTimeoutMs`; it was rolled back. Outcome: `rolled_back`.
 */
export class TransactionTimeoutError extends GeneverError {
  static override readonly code: string = 'GENEVER_TRANSACTION_TIMEOUT'
  static override readonly outcome: Outcome = 'rolled_back'
  /** Milliseconds. */
  declare readonly timeoutMs?: number

  constructor(message: string, details: TimeoutDetails = {}) {
    super(message, details)
    if (details.timeoutMs !== undefined) this.timeoutMs = details.timeoutMs
  }
}

/** The signal given to a call was aborted. `cause` is the reason of the signal. */
export class AbortedError extends GeneverError {
  static override readonly code: string = 'GENEVER_ABORTED'
}

/** A migration cannot be applied, or failed. */
export class MigrationError extends GeneverError {
  static override readonly code: string = 'GENEVER_MIGRATION'
}
