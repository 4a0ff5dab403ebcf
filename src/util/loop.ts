// Async generators over rows that come in parts, for `for await`.
import { deferred } from './clock.ts'

/** Turns, one after another, in the order in which they were asked for. */
export class Turns {
  #last: Promise<void> = Promise.resolve()
  #open = 0

  /** Whether one has not ended. */
  get busy(): boolean {
    return this.#open > 0
  }

  /** `before`: null where there is nobody to wait for. */
  next(): { readonly before: Promise<void> | null; readonly end: () => void } {
    const before = this.busy ? this.#last : null
    const { promise, resolve } = deferred()
    this.#last = promise
    this.hold()
    const end = (): void => {
      this.free()
      resolve()
    }
    return { before, end }
  }

  /** Counts as busy until `free`, without a turn of its own. */
  hold(): void {
    this.#open++
  }

  free(): void {
    this.#open--
  }
}

const over = (): IteratorResult<never, undefined> => ({ value: undefined, done: true })

/** `pull` gives the next rows, none at the end; `close` closes their source; `here` gives rows that have come already, or null. */
export type LoopTerms<R> = readonly [pull: () => Promise<R[]>, close: () => Promise<void>, here?: () => R[] | null]

/**
 * Answers the calls of a loop in their order, as a generator does, without a function that is suspended. The rows are pulled in lists: an
 * empty one is the end. What they come from is closed when the loop is over. Few functions wait here for each other, because the stack
 * of an error names ten, and the caller's is the last one.
 */
abstract class Loop<R, T> implements AsyncGenerator<T, void, undefined> {
  protected readonly pull: () => Promise<R[]>
  readonly #here: () => R[] | null
  readonly #close: () => Promise<void>
  readonly #turns = new Turns()
  /** Calls that are not answered. */
  #calls = 0
  #over = false

  constructor(...[pull, close, here = () => null]: LoopTerms<R>) {
    this.pull = pull
    this.#here = here
    this.#close = close
  }

  protected get busy(): boolean {
    return this.#calls > 0
  }

  /** Code that makes the rows may call the loop again: that call waits. */
  protected here(): R[] | null {
    this.#turns.hold()
    try {
      return this.#here()
    } finally {
      this.#turns.free()
    }
  }

  /** What comes next, or the end. */
  protected abstract take(): Promise<IteratorResult<T, undefined>>

  /** Nothing comes any more. */
  protected forget(): void {}

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(() => (this.#over ? over() : this.take()))
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(over)
  }

  throw(error: unknown): Promise<IteratorResult<T, undefined>> {
    return this.#inTurn(() => {
      throw error
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #inTurn(
    step: () => Promise<IteratorResult<T, undefined>> | IteratorResult<T, undefined>,
  ): Promise<IteratorResult<T, undefined>> {
    const { before, end } = this.#turns.next()
    this.#calls++
    let goesOn = false
    try {
      if (before !== null) await before
      const next = await step()
      goesOn = next.done !== true
      return next
    } finally {
      try {
        if (!goesOn) await this.#end()
      } finally {
        this.#calls--
        end()
      }
    }
  }

  #end(): Promise<void> {
    this.#over = true
    this.forget()
    return this.#close()
  }
}

/** The lists as they come: one that is here costs one promise, and no async function. */
export class BatchLoop<R> extends Loop<R, R[]> {
  override next(): Promise<IteratorResult<R[], undefined>> {
    const value = this.busy ? null : this.here()
    return value !== null && value.length > 0 ? Promise.resolve({ value, done: false }) : super.next()
  }

  protected async take(): Promise<IteratorResult<R[], undefined>> {
    const value = await this.pull()
    return value.length > 0 ? { value, done: false } : over()
  }
}

const given: unknown = undefined

/** Row after row: one that is here costs one promise, and no async function. */
export class RowLoop<R> extends Loop<R, R> {
  #rows: R[] = []
  #at = 0

  override next(): Promise<IteratorResult<R, undefined>> {
    if (!this.busy && (this.#at < this.#rows.length || this.#refills()))
      return Promise.resolve({ value: this.#row(), done: false })
    return super.next()
  }

  #refills(): boolean {
    const rows = this.here()
    if (rows === null || rows.length === 0) return false
    this.#rows = rows
    this.#at = 0
    return true
  }

  protected async take(): Promise<IteratorResult<R, undefined>> {
    if (this.#at === this.#rows.length) {
      // Rows that were read are not kept alive by those that come.
      this.forget()
      this.#rows = await this.pull()
      if (this.#rows.length === 0) return over()
    }
    return { value: this.#row(), done: false }
  }

  /** The next one, which nothing here keeps alive any more. */
  #row(): R {
    const row = this.#rows[this.#at] as R
    this.#rows[this.#at++] = given as R
    return row
  }

  protected override forget(): void {
    this.#rows = []
    this.#at = 0
  }
}
