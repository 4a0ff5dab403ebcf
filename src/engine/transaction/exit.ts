// The signal that `raiseCommit` and `raiseRollback` throw to leave a transaction early. JavaScript's `catch` catches
// everything, so the decision is also kept on the transaction: a swallowed signal is thrown again by every statement.
import type { TransactionRecord } from './record.ts'

/**
 * Thrown by `tx.raiseCommit()` and `tx.raiseRollback()`; leave it alone in a `catch`, or throw it on. Not an error of
 * the database. (GINO: `_Break`.)
 */
export class TransactionExit extends Error {
  readonly #target: TransactionRecord
  readonly commit: boolean
  readonly value: unknown

  constructor(target: TransactionRecord, commit: boolean, value: unknown) {
    super(
      `Leaving a transaction by ${commit ? 'raiseCommit' : 'raiseRollback'}(). If you see this message, something caught ` +
        'the signal on its way to transaction(); throw it on.',
    )
    this.name = 'TransactionExit'
    this.#target = target
    this.commit = commit
    this.value = value
  }

  isFor(transaction: TransactionRecord): boolean {
    return this.#target === transaction
  }
}
