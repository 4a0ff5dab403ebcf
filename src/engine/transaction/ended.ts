// The messages for code that runs in a transaction, or in a callback of it, which has ended.
import { noPlace } from '../../observe/place.ts'
import type { TransactionRecord } from './record.ts'
import { hasEnded } from './state.ts'

const how = {
  open: 'is open',
  closing: 'is ending',
  ending: 'is ending',
  committed: 'was committed',
  rolled_back: 'was rolled back',
  unknown: 'was lost',
} as const

/** Where it is, in a word. */
export function stateOf({ at, taking, returned }: TransactionRecord): keyof typeof how {
  if (hasEnded(at)) return at
  if (taking) return 'open'
  return returned ? 'closing' : 'ending'
}

/** Of the innermost one that is over: it may be one around `record`. */
export function endedMessage(record: TransactionRecord): string {
  const { place, taking, endedAt, parent } = record
  if (taking && parent !== null && !parent.open) return endedMessage(parent)
  return (
    `The transaction begun at ${place} ${how[stateOf(record)]}${endedAt === '' || endedAt === noPlace ? '' : ` ${typeof endedAt === 'string' ? '' : 'at '}${endedAt}`}, so nothing more can run in it. ` +
    'Await all its work before it returns, or start work that outlives it with detached().'
  )
}
