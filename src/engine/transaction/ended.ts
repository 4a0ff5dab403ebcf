// The error messages for code of a transaction, or of a callback, that has ended.
import { noPlace, type Place } from '../../observe/place.ts'
import { type At, hasEnded } from './state.ts'

/** A transaction, as far as it has ended. */
interface Ending {
  readonly at: At
  readonly place: Place
  /** It takes new work, unless one around it does not. */
  readonly taking: boolean
  readonly open: boolean
  /** Its callback has returned. */
  readonly returned: boolean
  /** Where, or with what, it was ended; empty: not by code. */
  readonly endedAt: Place | string
  readonly parent: Ending | null
}

const how = {
  open: 'is open',
  closing: 'is ending',
  ending: 'is ending',
  committed: 'was committed',
  rolled_back: 'was rolled back',
  unknown: 'was lost',
} as const

/** Where it is, in a word. */
export function stateOf({ at, taking, returned }: Ending): keyof typeof how {
  if (hasEnded(at)) return at
  if (taking) return 'open'
  return returned ? 'closing' : 'ending'
}

/** Of the innermost one that is over: it may be one around `record`. */
export function endedMessage(record: Ending): string {
  const { place, taking, endedAt, parent } = record
  if (taking && parent !== null && !parent.open) return endedMessage(parent)
  return (
    `The transaction begun at ${place} ${how[stateOf(record)]}${endedAt === '' || endedAt === noPlace ? '' : ` ${typeof endedAt === 'string' ? '' : 'at '}${endedAt}`}, so nothing more can run in it. ` +
    'Await all its work before it returns, or start work that outlives it with detached().'
  )
}
