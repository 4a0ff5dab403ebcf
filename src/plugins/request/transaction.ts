// The transaction around a request. It begins before the handler and is ended by whoever first knows how the request went:
// the framework when the head of the response is about to be sent, or when the handler threw. So a response is never sent
// before its COMMIT, and a handler that answered early finds its transaction ended.
import { deferred } from '../../util/clock.ts'
import type { Db } from '../../db/db.ts'
import type { Transaction } from '../../engine/transaction/transaction.ts'
import type { RequestTransactionOptions } from '../options.ts'
import type { RequestScope } from './scope.ts'

/** An answer of this status or above rolls back. */
const failingStatus = 400

export class RequestTransaction {
  readonly #db: Db
  readonly #scope: RequestScope | null
  readonly #options: RequestTransactionOptions
  readonly #verdict = deferred<boolean>()
  #ended: Promise<void> | null = null
  #transaction: Promise<void> | null = null

  /** @param scope That of the request, whose cancellation rolls back too. */
  constructor(db: Db, options: RequestTransactionOptions, scope: RequestScope | null) {
    const cancel = scope?.signal
    const signal =
      cancel === undefined || options.signal === undefined
        ? (cancel ?? options.signal)
        : AbortSignal.any([cancel, options.signal])
    this.#db = db
    this.#scope = scope
    this.#options = { ...options, signal }
  }

  /** Whether it was told to end. */
  get ended(): boolean {
    return this.#ended !== null
  }

  /**
   * Runs `work` inside and settles as it does, while the transaction stays open until it is told to end. Borrows with the
   * first statement. Rejects with the transaction's own error when it cannot begin, or ends by itself before.
   */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const inside = async (tx: Transaction): Promise<void> => {
        // Also when it throws at once: whoever called decides what that means for the transaction.
        void (async () => work())().then(resolve, reject)
        if (!(await this.#verdict.promise)) tx.raiseRollback()
      }
      this.#transaction = this.#db.transaction(inside, { ...this.#options, lazy: true })
      const failed: (error: unknown) => void = reject
      this.#transaction.catch((error: unknown) => this.#ended === null && failed(error))
    })
  }

  /**
   * Runs `work` inside and ends the transaction with it: settles as `work` does, but with the COMMIT's error when that fails.
   * @param statusOf The status of the answer, by what `work` gave; null when that decides elsewhere, or later.
   * @param statusOfError As if it had been answered, for what is thrown where nothing went wrong; null: it rolls back.
   */
  async around<T>(
    work: () => T | Promise<T>,
    statusOf: (value: T) => number | null,
    statusOfError: (error: unknown) => number | null = () => null,
  ): Promise<T> {
    let value: T
    try {
      value = await this.run(work)
    } catch (error) {
      const status = statusOfError(error)
      await (status === null ? this.rollBack() : this.answering(status))
      throw error
    }
    const status = statusOf(value)
    if (status !== null) await this.answering(status)
    return value
  }

  /** An answer is about to be sent. Resolves when it may be; rejects when the transaction could not be committed. */
  answering(statusCode: number): Promise<void> {
    // A network error, which is no answer, has the status 0.
    return statusCode > 0 && statusCode < failingStatus ? this.#end(true) : this.rollBack()
  }

  /** Never rejects: who rolls back answers with an error of its own, or not at all. Of no effect after an answer. */
  async rollBack(): Promise<void> {
    await this.#end(false).catch(() => {})
  }

  #end(well: boolean): Promise<void> {
    if (well) this.#scope?.answers()
    this.#verdict.resolve(well)
    this.#ended ??= this.#transaction ?? Promise.resolve()
    return this.#ended
  }
}
