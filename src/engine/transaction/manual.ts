// A transaction that its holder ends by hand: `begin()`. It is not ambient; only statements through its handle, or
// inside `tx.run(work)`, run in it.
import { TransactionStateError } from '../../errors/index.ts'
import { capturePlace } from '../../observe/place.ts'
import { quietAmbientFrame } from '../context/chain.ts'
import type { Engine } from '../engine.ts'
import type { Cursor, CursorWait } from '../query/cursor.ts'
import { thrownError } from '../query/failure.ts'
import type { Handle } from '../handle.ts'
import type { Slot } from '../slot/slot.ts'
import { commit, enter, finish, hooksFailed, rollback } from './ending.ts'
import type { TransactionOptions, TransactionPlace } from '../transaction-options.ts'
import { readAgain } from '../../util/options.ts'
import { TransactionRecord } from './record.ts'
import { Transaction } from './transaction.ts'
import { clock } from '../../util/clock.ts'

/**
 * A transaction ended by `commit()`, `rollback()` or disposal (which rolls back what nobody decided).
 * (GINO: `tx = await conn.transaction()`.)
 */
export class ManualTransaction extends Transaction implements AsyncDisposable {
  readonly #record: TransactionRecord
  readonly #own: boolean

  /** @internal */
  constructor(record: TransactionRecord, own: boolean) {
    super(record)
    this.#record = record
    this.#own = own
  }

  /**
   * Commits.
   * @throws {TransactionStateError} when it has ended, or something opened inside is still open.
   * @throws {TransactionAbortedError} when a statement inside had failed: it was rolled back.
   * @throws {CommitOutcomeUnknownError} when the connection was lost meanwhile, or it took longer than `query.timeoutMs`,
   * and the server could not be asked what became of it (`resolveCommitMs`).
   * @throws {AfterCommitError} when it was committed and an `afterCommit` hook failed.
   */
  async commit(): Promise<void> {
    const record = this.#record
    this.#checkOpen('commit')
    const { stack } = record.slot
    const inside = stack[stack.indexOf(record) + 1]
    if (stack.includes(record) && inside?.leaving === false)
      throw new TransactionStateError(
        `commit(): the ${inside.describe()} is still open inside. End it first: savepoints end in reverse order.`,
      )
    record.endedAt = `at ${capturePlace()}`
    try {
      await commit(record)
    } catch (thrown) {
      throw thrownError(thrown, null)
    } finally {
      await this.#finish()
    }
  }

  /**
   * Rolls back, with all that is open inside, after what ran out of time inside has been stopped.
   * @throws {TransactionStateError} when it has ended.
   */
  async rollback(): Promise<void> {
    this.#checkOpen('rollback')
    this.#record.endedAt = `at ${capturePlace()}`
    await rollback(this.#record)
    await this.#finish()
  }

  /** Rolls back what nobody decided; of an end that is on its way it waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    const record = this.#record
    if (record.state === 'open') await this.rollback()
    else if (record.slot.stack.includes(record)) await record.whenLeft()
  }

  #checkOpen(method: string): void {
    const record = this.#record
    if (record.state !== 'open') throw new TransactionStateError(`${method}(): ${record.endedMessage()}`)
  }

  async #finish(): Promise<void> {
    const record = this.#record
    const errors = await finish(record, this.#own)
    if (errors.length > 0) throw hooksFailed(record, errors)
  }
}

export async function beginManual(
  engine: Engine,
  where: TransactionPlace,
  options: TransactionOptions,
): Promise<ManualTransaction> {
  const place = capturePlace(beginManual)
  const own = where.slot === null
  const slot = where.slot ?? engine.openSlot(where.chain, false, () => `manual transaction begun at ${place}`)
  const record = new TransactionRecord(
    engine,
    slot,
    where.chain,
    options,
    place,
    true,
    (self) => new ManualTransaction(self, own),
  )
  record.enteredBy = where.handle
  record.owner = where.handle
  record.bornIn = quietAmbientFrame(engine, where.chain)
  try {
    await enter(record, options.timeoutMs === undefined ? Infinity : clock.now() + options.timeoutMs)
  } catch (thrown) {
    if (own) void slot.close()
    throw thrownError(thrown, null)
  }
  if (record.bornIn !== null) record.bornIn.manual = { place, warned: false }
  return record.handle as ManualTransaction
}

/** A transaction that a cursor opens for itself; `finish` ends it. */
export async function openForCursor(
  engine: Engine,
  shared: Slot | null,
  handle: Handle | null,
  cursor: Cursor<unknown>,
  { until, signal }: CursorWait,
): Promise<{ record: TransactionRecord; finish: (well: boolean) => Promise<void> }> {
  const { chain } = cursor
  const slot = shared ?? engine.openSlot(chain, false, () => `cursor opened at ${cursor.place}`)
  if (shared === null) slot.forCursor = true
  const record = new TransactionRecord(
    engine,
    slot,
    chain,
    readAgain<TransactionOptions>({ signal }),
    cursor.place,
    true,
    (self) => new ManualTransaction(self, shared === null),
  )
  record.cursor = cursor
  record.enteredBy = handle
  try {
    await enter(record, until)
  } catch (thrown) {
    if (shared === null) void slot.close()
    throw thrownError(thrown, null)
  }
  const handleOf = record.handle as ManualTransaction
  const end = async (well: boolean): Promise<void> => {
    if (record.state === 'open') await (well ? handleOf.commit() : handleOf.rollback())
  }
  return { record, finish: end }
}
