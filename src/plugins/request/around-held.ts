// A handler of a framework in its transaction, where it may also write the response itself: what it writes is held until the COMMIT.
// For frameworks whose middlewares learn how the handler ended, and whose handlers can reach the response of `node:http`.
import type { ServerResponse } from 'node:http'
import { HeldResponse } from './hold.ts'
import type { RequestTransaction } from './transaction.ts'

/**
 * As `around` of the transaction. Rejects with the error of the COMMIT also when `work` has written the answer itself: nothing of that
 * answer was sent then.
 * @param response Null where there is none of `node:http`.
 * @param statusOf As of `around`; null: what `work` began will write the answer later, or nobody will.
 * @param failed Is given the error of the COMMIT of an answer that was written later.
 */
export async function aroundHeld<T>(
  transaction: RequestTransaction,
  response: ServerResponse | null,
  work: () => T | Promise<T>,
  statusOf: (value: T) => number | null,
  failed: (error: unknown) => void,
): Promise<T> {
  if (response === null) return transaction.around(work, statusOf)
  let settled = false
  let failure: { readonly error: unknown } | null = null
  let decision: Promise<void> | null = null
  const decide = (status: number): Promise<void> => (decision = transaction.answering(status))
  const held = new HeldResponse(response, decide, (error) => {
    failure = { error }
    if (settled) failed(error)
  })
  let later = false
  const toAnswer = (value: T): number | null => {
    if (held.answered) return null
    const status = statusOf(value)
    later = status === null
    return status
  }
  try {
    const value = await transaction.around(work, toAnswer)
    await outcome()
    return value
  } finally {
    settled = true
    if (later) held.onUnanswered(() => void transaction.rollBack())
    else if (!held.answered) held.release()
  }

  /** Whoever holds the answer waits for the same decision, and before this. */
  async function outcome(): Promise<void> {
    await decision?.catch(() => {})
    if (failure !== null) throw failure.error
  }
}

/** Answers by 500 where no framework does it any more. */
export function refuse(response: ServerResponse): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = JSON.stringify({ statusCode: 500, message: 'Internal server error' })
  response.writeHead(500, { 'content-type': 'application/json' }).end(body)
}
