// The end of a transaction's time: its `timeoutMs` or its `signal`. Whoever waits for the callback, or for COMMIT behind
// it, is told at once; the callback itself goes on and finds its transaction ended.
import { AbortedError, TransactionTimeoutError } from '../../errors/index.ts'
import { type Abortable, unwatchSignal, watchSignal } from '../../util/signals.ts'
import type { Expiring } from '../../util/ticker.ts'
import type { TransactionOptions } from '../transaction-options.ts'
import type { TransactionRecord } from './record.ts'
import { clock } from '../../util/clock.ts'

export class Interruption implements Expiring, Abortable {
  deadline: number
  /** Why the transaction was interrupted; null while it was not. */
  error: Error | null = null
  readonly #record: TransactionRecord
  readonly #signal: AbortSignal | null
  #reject: ((error: Error) => void) | null = null

  /** Null when the transaction has neither a timeout nor a signal. */
  static of(options: TransactionOptions, record: TransactionRecord): Interruption | null {
    if (options.timeoutMs === undefined && options.signal === undefined) return null
    return new Interruption(options, record)
  }

  private constructor(options: TransactionOptions, record: TransactionRecord) {
    this.#record = record
    this.deadline = options.timeoutMs === undefined ? Infinity : clock.now() + options.timeoutMs
    this.#signal = options.signal ?? null
    if (this.deadline !== Infinity) record.engine.ticker.add(this)
    if (this.#signal !== null && !this.#signal.aborted) watchSignal(this.#signal, this)
  }

  /** What `running` comes to, or its own error as soon as it interrupts. */
  race<T>(running: Promise<T>): Promise<T> {
    if (this.#signal?.aborted === true) this.abort(this.#signal.reason)
    running.catch(() => {})
    return new Promise<T>((resolve, reject) => {
      if (this.error !== null) {
        reject(this.error)
        return
      }
      this.#reject = reject
      running.then(resolve, reject)
    })
  }

  stop(): void {
    if (this.deadline !== Infinity) this.#record.engine.ticker.remove(this)
    if (this.#signal !== null) unwatchSignal(this.#signal, this)
  }

  expire(): void {
    const { place, options, committing } = this.#record
    const late = `The transaction begun at ${place} took longer than ${String(options.timeoutMs)} ms`
    this.#interrupt(
      committing
        ? new TransactionTimeoutError(`${late}; it was being committed.`, { outcome: 'unknown' })
        : new TransactionTimeoutError(`${late} and was rolled back. Make it shorter, or give it more time.`, {
            outcome: 'rolled_back',
          }),
    )
  }

  abort(reason: unknown): void {
    const { place, committing } = this.#record
    this.#interrupt(
      new AbortedError(
        `The transaction begun at ${place} was aborted by its signal ${committing ? 'while it was being committed' : 'and rolled back'}.`,
        { cause: reason, outcome: committing ? 'unknown' : 'rolled_back' },
      ),
    )
  }

  #interrupt(error: Error): void {
    if (this.error !== null) return
    this.error = error
    this.#record.interrupt(error)
    this.#reject?.(error)
  }
}
