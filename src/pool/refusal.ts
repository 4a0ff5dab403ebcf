// The reasons for which a waiter gets no connection, as failures.
import type { Failure, Refusal } from '../driver/driver.ts'
import type { PoolStats } from './contract.ts'
import type { Member } from './member.ts'

export const closedFailure: Failure = refused({ reason: 'pool-closed' })

export function refused(refusal: Refusal): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal }
}

/** The failure of a waiter whose connection could not be opened. */
export function notConnected(failure: Failure): Failure {
  return { ...failure, ...refused({ reason: 'connect' }) }
}

/** The refusal of a waiter that gave up; `connect`: a connection cannot be opened, or is being opened. */
export function refusalOf(members: ReadonlySet<Member>, connect: boolean, waitedMs: number, stats: PoolStats): Refusal {
  const cursors = members.size > 0 && [...members].every(({ lease }) => lease?.holder.forCursor === true)
  const phase = connect ? 'connect' : cursors ? 'cursor' : 'connection'
  return { reason: 'acquire-timeout', phase, waitedMs, holders: holdersOf(members), stats: { ...stats } }
}

export function holdersOf(members: ReadonlySet<Member>): string[] {
  const lines: string[] = []
  for (const { lease, op } of members)
    if (lease !== null) lines.push(lease.holder.describe())
    else if (op?.copy) lines.push(op.copy.place)
  return lines
}
