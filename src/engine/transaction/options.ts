// Options of a transaction as calls take them, read and checked.
import { InvalidOptionError, UsageError } from '../../errors/index.ts'
import { isolationLevels, parseIsolation } from '../../sql/dialect.ts'
import {
  abortSignal,
  boolean,
  type Check,
  duration,
  integer,
  milliseconds,
  mustBeNumber,
  type Checks,
  readAgain,
} from '../../util/options.ts'
import { longestTimerMs } from '../../util/clock.ts'
import { callOptions, place } from '../handle.ts'
import type { Executor } from '../query/executor.ts'
import { defaultsChecks } from '../query/query-terms.ts'
import type { TransactionRetry, TransactionTerms } from './terms.ts'

/** Options of `transaction()`. */
export interface TransactionOptions extends TransactionTerms {
  /**
   * Where to open it: on that connection, as a savepoint of that transaction, or on another db or engine. Passing a
   * connection or transaction in place of the options means the same. It cannot be combined with `reuse: false`.
   */
  readonly on?: Executor | undefined
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
const idleTimeout: Check = mustBeNumber(
  `milliseconds, more than 0 and up to ${longestTimerMs}, or Infinity for no limit`,
  (value) => typeof value === 'number' && value > 0 && (value <= longestTimerMs || value === Infinity),
)

const attempts: Check = integer(0, undefined, 'or Infinity')

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
 * @throws {InvalidOptionError} for an unknown option or a wrong value, before any SQL.
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
      `${method} got both a connection to run on, and reuse: false, which asks for another one. Leave one of them out.`,
    )
  return isolation === undefined ? read : readAgain(read, { isolation: parseIsolation(isolation) })
}
