// Work that a registry waits for, such as the answer of a callback, until it is given up: closing waits no longer than its time.
import { closedBeforeOpen } from '../engine/open/opening.ts'
import { before, deferred } from '../util/clock.ts'

export class Pending<T> {
  /** As the work, or rejects with a PoolClosedError when it is given up. */
  readonly result: Promise<T>
  readonly #over: Promise<boolean>
  readonly #giveUp: (error: Error) => void

  constructor(work: Promise<T>) {
    const { promise, reject } = deferred<never>()
    this.#giveUp = reject
    this.result = Promise.race([work, promise])
    this.#over = this.result.then(
      () => true,
      () => true,
    )
  }

  /** Gives it up when it is not over by then. */
  async endBy(deadline: number): Promise<void> {
    if (!(await before(deadline, this.#over))) this.#giveUp(closedBeforeOpen())
    await this.#over
  }
}
