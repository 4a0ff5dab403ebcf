// What code is told that runs in a transaction, or in a callback of it, which has ended.
import { TransactionEndedError } from '../../errors/index.ts'
import type { TransactionRecord, TransactionState } from './record.ts'

const how: Readonly<Record<TransactionState, string>> = {
  open: 'is open',
  closing: 'is ending',
  ending: 'is ending',
  committed: 'was committed',
  rolled_back: 'was rolled back',
  unknown: 'was lost',
}

/** Of the innermost one that is over: it may be one around `record`. */
export function endedMessage(record: TransactionRecord): string {
  const { place, state, endedAt, parent } = record
  if (state === 'open' && parent !== null && !parent.open) return endedMessage(parent)
  return (
    `The transaction begun at ${place} ${how[state]}${endedAt === '' ? '' : ` ${endedAt}`}, so nothing more can run in it. ` +
    'Await all its work before it returns, or start work that outlives it with detached().'
  )
}

/** For code that outlived a `run()` of a transaction which is still open. */
export function runEnded({ place }: TransactionRecord): TransactionEndedError {
  return new TransactionEndedError(
    `The run() that this code belongs to has ended; the transaction begun at ${place} is still open. Await all its work ` +
      'inside of run(), or use the transaction by its handle.',
  )
}
