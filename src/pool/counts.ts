// How many connections of a pool are in which state, counted when somebody asks.
import { clock } from '../util/clock.ts'
import type { PoolStats } from './contract.ts'
import type { Member } from './member.ts'

/** A connection that will be open within this time arrives before one that would be recalled. */
const soonMs = 1

/** The counts that the pool keeps itself. */
type Known = Pick<PoolStats, 'max' | 'idle' | 'opening' | 'waiting' | 'recalls'>

export function statsOf(members: ReadonlySet<Member>, { max, idle, opening, waiting, recalls }: Known): PoolStats {
  let reserved = 0
  let serving = 0
  let draining = 0
  for (const { state, lease } of members) {
    if (state === 'serving' || lease?.holder.ofEngine === true) serving++
    else if (state === 'leased') reserved++
    else if (state === 'checking' || state === 'resetting' || state === 'closing') draining++
  }
  return {
    open: members.size - opening,
    max,
    idle,
    reserved,
    serving,
    draining,
    opening,
    waiting,
    listening: 0,
    recalls,
  }
}

/** How many idle connections are being asked whether they answer, and may well do. */
export function checking(members: ReadonlySet<Member>): number {
  let count = 0
  for (const { state, suspect } of members) if (state === 'checking' && !suspect) count++
  return count
}

/** How many connections are open and will serve the queue again. */
export function returning(members: ReadonlySet<Member>): number {
  let count = 0
  for (const { state } of members) if (state !== 'opening' && state !== 'closing') count++
  return count
}

/** How many connections are being asked or reset, or are about to be open. */
export function coming(members: ReadonlySet<Member>, connectMs: number): number {
  const now = clock.now()
  let count = 0
  for (const { state, suspect, openingSince } of members)
    if (state === 'resetting' || (state === 'checking' && !suspect)) count++
    else if (state === 'opening' && Math.abs(now - openingSince - connectMs) < soonMs) count++
  return count
}
