// The connections of a pool that nobody uses: the one used last is taken first, at once if it was heard of lately, else
// after it has answered.
import type { Failure, Refusal } from '../driver/driver.ts'
import type { ConnectionSource, PoolStats } from './contract.ts'
import { idleChecks, type Member } from './member.ts'
import { clock } from '../util/clock.ts'

// The pool learns from connections that died: one lost socket makes the others suspect, and a server that shut down
// makes all of them useless. This class only decides; the pool acts.

class Health {
  readonly #source: Pick<ConnectionSource, 'explain'>
  #lastShutdown = -Infinity
  /** Connections heard of before this moment are asked whether they still answer. */
  #suspectUntil = -Infinity

  constructor(source: Pick<ConnectionSource, 'explain'>) {
    this.#source = source
  }

  /** How to treat the others after a connection has ended: as before, by asking them first, or by opening all of them again. */
  judge(failure: Failure): 'well' | 'suspect' | 'replace' {
    const { health } = this.#source.explain(failure.fields ?? {})
    if (failure.kind === 'closed' || health === 'session') return 'well'
    const now = clock.now()
    this.#suspectUntil = now
    if (health === 'well') return 'suspect'
    const again = now - this.#lastShutdown < idleChecks.windowMs
    this.#lastShutdown = now
    return again ? 'replace' : 'suspect'
  }

  /** Whether an idle connection may be taken without asking it. */
  fresh(idleSince: number, now: number): boolean {
    return now - idleSince < idleChecks.freshMs && idleSince > this.#suspectUntil
  }
}

export class Idle {
  /** The longest idle first. */
  readonly members: Member[] = []
  readonly #health: Health

  constructor(source: Pick<ConnectionSource, 'explain'>) {
    this.#health = new Health(source)
  }

  get size(): number {
    return this.members.length
  }

  keep(member: Member, since: number): void {
    member.state = 'idle'
    member.idleSince = since
    this.members.push(member)
  }

  /** The one used last, if it needs no question whether it still answers; `clean`: of those without settings of frames. */
  take(clean: boolean, now: number): Member | undefined {
    const last = this.members.length - 1
    const at = clean ? this.members.findLastIndex(({ framed }) => !framed) : last
    const member = at < 0 ? undefined : this.members[at]
    if (member === undefined || !this.#health.fresh(member.idleSince, now)) return undefined
    if (at < last) this.members.splice(at, 1)
    else this.members.pop()
    return member
  }

  /** The one used last, whether it still answers or not. */
  takeAny(): Member | undefined {
    return this.members.pop()
  }

  /** False: it was not here. */
  drop(member: Member): boolean {
    const at = this.members.indexOf(member)
    if (at >= 0) this.members.splice(at, 1)
    return at >= 0
  }

  /** Asks the one used last whether it still answers; it comes back as free, or is closed. False: there is none. */
  ask(): boolean {
    const member = this.members.pop()
    if (member !== undefined) void member.check(false)
    return member !== undefined
  }

  /** Asks all of them, because another one has just died. */
  suspectAll(): void {
    for (const member of this.members.splice(0)) void member.check(true)
  }

  /** As `Health.judge`. */
  judge(failure: Failure): 'well' | 'suspect' | 'replace' {
    return this.#health.judge(failure)
  }
}

/** A connection that is open so soon is there before one that is taken back. */
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

/** How many connections will come back to the queue some time. */
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
