// One run of migrations at a time, for each record. The lock belongs to a transaction on a connection of its own: a session's
// lock would be lost behind a transaction pooler.
//
// CREATE INDEX CONCURRENTLY waits for every transaction that has a snapshot when it looks, until that transaction ends. So whoever
// waits for the lock tries it in one short transaction after the other, and never in `pg_advisory_lock`; and whoever holds it
// has run a statement behind the SELECT, which gives the snapshot back.
import type { Db } from '../db/db.ts'
import type { Connection } from '../engine/connection.ts'
import type { Executor } from '../engine/query/executor.ts'
import type { ManualTransaction, Transaction } from '../engine/transaction/transaction.ts'
import { MigrationError } from '../errors/index.ts'
import { toolLock } from '../postgres/tool-sql.ts'
import { clock, sleep } from '../util/clock.ts'
import { unconverted } from '../sql/conversions.ts'

/** Its effect is wanted too: the transaction that holds the lock idles for as long as migrations take. */
const withoutSnapshot = 'set local idle_in_transaction_session_timeout = 0'
const firstPauseMs = 20
const longestPauseMs = 250
/** What was committed while the lock was waited for has to be seen, whatever the default of the engine. */
const isolation = 'read committed'

export interface Patience {
  readonly lockTimeoutMs: number
  readonly signal: AbortSignal | undefined
}

export class MigrationLock implements AsyncDisposable {
  readonly #transaction: ManualTransaction | null

  private constructor(transaction: ManualTransaction | null) {
    this.#transaction = transaction
  }

  /**
   * @param alone There is no second connection: the lock is taken in the transaction of each file instead.
   * @throws {MigrationError} when another run does not end in time.
   */
  static async take(db: Db, key: string, alone: boolean, patience: Patience): Promise<MigrationLock> {
    if (alone) return new MigrationLock(null)
    let held: ManualTransaction | null = null
    await waitUntil(patience, async () => {
      const transaction = await db.begin({ isolation })
      try {
        if (await tryLock(transaction, key)) held = transaction
      } finally {
        if (held === null) await transaction.rollback()
      }
      return held !== null
    })
    return new MigrationLock(held)
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

/** Runs `work` in a transaction that has these locks. @throws {MigrationError} when they cannot be had in time. */
export async function inLock<T>(
  connection: Connection,
  keys: readonly string[],
  patience: Patience,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  let done: { readonly value: T } | null = null
  await waitUntil(patience, async () => {
    done = await connection.transaction(
      async (tx) => {
        for (const key of keys) if (!(await tryLock(tx, key))) return null
        return { value: await work(tx) }
      },
      { isolation },
    )
    return done !== null
  })
  return (done as unknown as { readonly value: T }).value
}

async function tryLock(executor: Executor, key: string): Promise<boolean> {
  const got = await executor.scalar<boolean>(toolLock.ofTransaction, [key], unconverted)
  if (got === true) await executor.status(withoutSnapshot)
  return got === true
}

/** The same lock, for the session of this connection: where there is no second one. The function returned gives it back. */
export async function holdForSession(
  connection: Connection,
  key: string,
  patience: Patience,
): Promise<() => Promise<void>> {
  await waitUntil(
    patience,
    async () => (await connection.scalar<boolean>(toolLock.ofSession, [key], unconverted)) === true,
  )
  return async () => {
    // A connection that was lost has lost its locks.
    await connection.status(toolLock.free, [key]).catch(() => {})
  }
}

/**
 * Asks again and again, with pauses.
 *
 * @throws {MigrationError} when the time is up.
 */
export async function waitUntil({ lockTimeoutMs, signal }: Patience, condition: () => Promise<boolean>): Promise<void> {
  const deadline = clock.now() + lockTimeoutMs
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    signal?.throwIfAborted()
    if (await condition()) return
    if (clock.now() >= deadline)
      throw new MigrationError(
        `Another run of migrations has held the lock for longer than lockTimeoutMs (${lockTimeoutMs} ms). Nothing was applied.`,
        { outcome: 'not_started' },
      )
    await sleep(pauseMs)
  }
}
