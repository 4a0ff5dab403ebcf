// Options of a transaction, and what the engine needs to know to open one.
import { InvalidOptionError, UsageError } from '../errors/index.ts'
import { type IsolationLevel, isolationLevels, parseIsolation } from '../sql/dialect.ts'
import { abortSignal, boolean, type Check, duration, integer, milliseconds, must } from '../util/checks.ts'
import { type Checks, readAgain } from '../util/options.ts'
import { longestTimerMs } from '../util/timers.ts'
import type { Link } from './context/chain.ts'
import { callOptions, type Handle, place } from './handle.ts'
import type { Executor } from './query/executor.ts'
import { defaultsChecks, type QueryDefaults } from './query/query-options.ts'
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
  /**
   * Opens it there: on that connection, as a savepoint of that transaction, or on another db or engine. A connection or a
   * transaction in place of the options means the same. It does not go with `reuse: false`.
   */
  readonly on?: Executor | undefined
}

/** Where a transaction is opened. */
export interface TransactionPlace {
  /** The `Db` through which it is opened. */
  readonly db: object | null
  readonly chain: Link | undefined
  readonly handle: Handle | null
  /** Null: on a slot of its own. */
  readonly slot: Slot | null
  /** Its callback does nothing but wait for statements that were issued with it: it counts as one of them. */
  readonly batch?: boolean | undefined
}

export const isolationLevel: Check = (value) => {
  try {
    parseIsolation(value)
    return undefined
  } catch {
    return `must be one of ${isolationLevels.map((level) => `"${level}"`).join(', ')}`
  }
}

// PostgreSQL counts it in an integer, which holds what a timer holds.
const idleTimeout: Check = must(
  `milliseconds, more than 0 and up to ${longestTimerMs}, or Infinity for no limit`,
  (value) => typeof value === 'number' && value > 0 && (value <= longestTimerMs || value === Infinity),
)

const attempts: Check = integer(0, undefined, true)

const retryChecks: Checks<TransactionRetry> = { limit: attempts, intervalMs: milliseconds(0) }

export const transactionChecks: Checks<TransactionOptions> = {
  isolation: isolationLevel,
  readOnly: boolean,
  deferrable: boolean,
  timeoutMs: duration,
  signal: abortSignal,
  idleTimeoutMs: idleTimeout,
  resolveCommitMs: milliseconds(0),
  retry: {
    group: retryChecks,
    or: (value) => typeof value === 'number' && attempts(value) === undefined,
    wanted: 'must be a whole number of further attempts, 0 or more, or { limit, intervalMs }',
  },
  reuse: boolean,
  lazy: boolean,
  query: { group: defaultsChecks },
  on: place,
}

/**
 * The options of a transaction, read and checked, with the isolation level spelled one way.
 * @throws {InvalidOptionError} for what does not exist or does not fit; before any SQL.
 */
export function transactionOptions(given: unknown, method: string): TransactionOptions {
  const read = callOptions<TransactionOptions>(given, transactionChecks, method)
  const { isolation, retry, on, reuse } = read
  if (typeof retry === 'object' && retry.limit === undefined)
    throw new InvalidOptionError(
      `The option "retry" of ${method} needs a limit: how many further attempts there are.`,
      {
        options: [{ name: 'retry.limit', problem: 'is missing' }],
      },
    )
  if (on !== undefined && reuse === false)
    throw new UsageError(
      `${method} was given a place to run, and reuse: false, which asks for another one. Leave one of them out.`,
    )
  return isolation === undefined ? read : readAgain(read, { isolation: parseIsolation(isolation) })
}
