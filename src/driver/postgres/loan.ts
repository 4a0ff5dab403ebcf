// A stand-in for the driver's own object, which users get by `rawConnection()`. It works from the moment it is lent until it is given
// back, so whoever kept it cannot reach the connection of the next borrower. A wire makes one for each loan.
import { AcquireTimeoutError, ReleasedConnectionError, TransactionStateError, UsageError } from '../../errors/index.ts'
import type { Failure } from '../driver.ts'

export class Loan<T extends object> {
  /** What users get; it is of the same class. */
  readonly object: T
  state: 'due' | 'lent' | 'over' = 'due'

  constructor(target: T) {
    const guards = new Map<unknown, unknown>()
    this.object = new Proxy(target, {
      get: (_target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function' || key === 'constructor') return value
        let guard = guards.get(value)
        if (guard === undefined) {
          guard = (...args: unknown[]): unknown => {
            this.#check()
            const result: unknown = Reflect.apply(value, target, args)
            return result === target ? this.object : result
          }
          guards.set(value, guard)
        }
        return guard
      },
      set: (_target, key, value) => {
        this.#check()
        return Reflect.set(target, key, value, target)
      },
    })
  }

  #check(): void {
    if (this.state === 'due')
      throw new UsageError("Ask for the driver's own object by `await connection.rawConnection()` before using it.")
    if (this.state === 'over')
      throw new ReleasedConnectionError(
        "The connection has been released, so the driver's own object that came from rawConnection() can no longer be used. " +
          'Ask for it again on the connection that you hold.',
      )
  }
}

/** Why a statement did not run: the object that was lent had something in flight for too long. */
export function clientBusy(waitMs: number): Failure {
  return refused(
    new AcquireTimeoutError(
      `Waited ${waitMs} ms for the driver's own object from rawConnection(), which has a query or cursor in flight on this ` +
        'connection. Await its queries and close its cursors before using the connection.',
      { phase: 'connection', timeoutMs: waitMs },
    ),
  )
}

/** … it ended the transaction of the statement. */
export function endedByClient(): Failure {
  return refused(
    new TransactionStateError(
      "The transaction of this statement was ended by the driver's own object from rawConnection(), so the statement did not run.",
    ),
  )
}

function refused(cause: Error): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause }
}
