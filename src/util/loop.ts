// Loops over what comes in parts, as `for await` takes them.
import { deferred } from './clock.ts'

/** One after another, in the order in which they were asked for. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  next(): { readonly before: Promise<void>; readonly end: () => void } {
    const before = this.#last
    const { promise, resolve } = deferred()
    this.#last = promise
    return { before, end: resolve }
  }
}

/** Answers the calls of a loop in their order, as a generator does, without a function that is suspended. */
abstract class Loop<T> implements AsyncGenerator<T, void, undefined> {
  readonly #turns = new Turns()
  /** Calls that are not answered. */
  #calls = 0

  protected get busy(): boolean {
    return this.#calls > 0
  }

  /** What comes next, or the end. */
  protected abstract pull(): Promise<IteratorResult<T, undefined>>

  /** Nothing comes any more. */
  protected abstract end(): Promise<IteratorResult<T, undefined>>

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(() => this.pull())
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(() => this.end())
  }

  throw(error: unknown): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(async () => {
      await this.end()
      throw error
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #inTurn<V>(work: () => Promise<V>): Promise<V> {
    const { before: earlier, end } = this.#turns.next()
    this.#calls++
    try {
      await earlier
      return await work()
    } finally {
      this.#calls--
      end()
    }
  }
}

/** Lists that are pulled one after another: an empty one is the end. What they come from is closed when the loop is over. */
export class BatchLoop<R> extends Loop<R[]> {
  readonly #pull: () => Promise<R[]>
  readonly #close: () => Promise<void>
  #over = false

  constructor(pull: () => Promise<R[]>, close: () => Promise<void>) {
    super()
    this.#pull = pull
    this.#close = close
  }

  protected async pull(): Promise<IteratorResult<R[], undefined>> {
    if (this.#over) return { value: undefined, done: true }
    try {
      const value = await this.#pull()
      if (value.length > 0) return { value, done: false }
    } catch (thrown) {
      await this.end()
      throw thrown
    }
    return this.end()
  }

  protected async end(): Promise<IteratorResult<R[], undefined>> {
    this.#over = true
    await this.#close()
    return { value: undefined, done: true }
  }
}

/** The same, one after another: one that is here costs one promise, and no async function. */
export class RowLoop<R> extends Loop<R> {
  readonly #batches: BatchLoop<R>
  #rows: readonly R[] = []
  #at = 0

  constructor(batches: BatchLoop<R>) {
    super()
    this.#batches = batches
  }

  override next(): Promise<IteratorResult<R, undefined>> {
    if (!this.busy && this.#at < this.#rows.length)
      return Promise.resolve({ value: this.#rows[this.#at++] as R, done: false })
    return super.next()
  }

  protected async pull(): Promise<IteratorResult<R, undefined>> {
    if (this.#at === this.#rows.length) {
      // Rows that were read are not kept alive by those that come.
      this.#forget()
      const next = await this.#batches.next()
      if (next.done === true) return next
      this.#rows = next.value
    }
    return { value: this.#rows[this.#at++] as R, done: false }
  }

  protected end(): Promise<IteratorResult<R, undefined>> {
    this.#forget()
    return this.#batches.return() as Promise<IteratorResult<R, undefined>>
  }

  #forget(): void {
    this.#rows = []
    this.#at = 0
  }
}
