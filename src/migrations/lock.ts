// One run of migrations at a time, for each record. The lock belongs to a transaction on a connection of its own: a session's
// lock would be lost behind a transaction pooler. It is tried again and again: whoever waits in `pg_advisory_lock` holds a
// snapshot, for which CREATE INDEX CONCURRENTLY would wait in turn. So does a SELECT that has ended, until the next statement of
// its transaction: each is followed by one that needs no snapshot.
import type { Db } from '../db/db.ts'
import type { Executor } from '../engine/query/executor.ts'
import type { ManualTransaction } from '../engine/transaction/manual.ts'
import { MigrationError } from '../errors/index.ts'
import { clock } from '../util/clock.ts'

/** Its effect is wanted too: the transaction that holds the lock idles for as long as migrations take. */
const withoutSnapshot = 'set local idle_in_transaction_session_timeout = 0'
const firstPauseMs = 20
const longestPauseMs = 250

export class MigrationLock implements AsyncDisposable {
  readonly #transaction: ManualTransaction | null

  private constructor(transaction: ManualTransaction | null) {
    this.#transaction = transaction
  }

  /**
   * @param alone There is no second connection: the lock is taken in the transaction of each file instead.
   * @throws {MigrationError} when another run does not end in time.
   */
  static async take(
    db: Db,
    key: string,
    alone: boolean,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<MigrationLock> {
    if (alone) return new MigrationLock(null)
    const transaction = await db.begin({ isolation: 'read committed' })
    try {
      await waitForLock(transaction, key, timeoutMs, signal)
    } catch (error) {
      await transaction.rollback()
      throw error
    }
    return new MigrationLock(transaction)
  }

  /** @throws {MigrationError} when the connection that holds the lock is gone. */
  async check(): Promise<void> {
    try {
      await this.#transaction?.status(withoutSnapshot)
    } catch (cause) {
      throw new MigrationError(
        'The connection that holds the lock of migrations was lost, so another run may have begun. Nothing more was applied: run them again.',
        { cause },
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transaction?.rollback().catch(() => {})
  }
}

/** Within the transaction that this executor is. */
export async function waitForLock(
  executor: Executor,
  key: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = clock.now() + timeoutMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    signal?.throwIfAborted()
    const got = await executor.scalar<boolean>('select pg_try_advisory_xact_lock(hashtextextended($1, 0))', [key])
    await executor.status(withoutSnapshot)
    if (got === true) return
    if (clock.now() >= deadline)
      throw new MigrationError(
        `Another run of migrations has held the lock for longer than lockTimeoutMs (${timeoutMs} ms). Nothing was applied.`,
        { outcome: 'not_started' },
      )
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, pauseMs))
  }
}
