/** What a promise or a function throws, to look at it with more than one `expect`. */

import { type AfterCommitError, type AcquireTimeoutError, type GeneverError, type QueryError } from 'genever'

/** Everything our errors can have; a test reads what it expects. */
export type Caught = Error &
  Partial<GeneverError & QueryError & AcquireTimeoutError & Pick<AfterCommitError, 'result' | 'errors'>>

/** What the promise rejects with; fails when it resolves. */
export async function caught(promise: PromiseLike<unknown>): Promise<Caught> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as Caught
  }
  throw new Error(`resolved with ${JSON.stringify(value) ?? String(value)} instead of rejecting`)
}

/** What the function throws; fails when it returns. */
export function thrownBy(work: () => unknown): Caught {
  try {
    work()
  } catch (error) {
    return error as Caught
  }
  throw new Error('returned instead of throwing')
}
