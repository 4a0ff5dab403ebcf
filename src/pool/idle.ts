// The idle connections of a pool. The one used last is taken first: at once if it answered lately, else after a ping.
import type { Failure } from '../driver/driver.ts'
import type { ConnectionSource } from './contract.ts'
import { idleChecks, type Member } from './member.ts'
import { clock } from '../util/clock.ts'

/**
 * Learns from connections that died: one lost socket makes the others suspect, and a server that shut down makes all of them useless. It
 * only decides; the pool acts.
 */
class Health {
  readonly #source: Pick<ConnectionSource, 'explain'>
  #lastShutdown = -Infinity
  /** Connections that answered last before this moment are pinged before they are used. */
  #suspectUntil = -Infinity

  constructor(source: Pick<ConnectionSource, 'explain'>) {
    this.#source = source
  }

  /** After a connection has ended, the others are used as before (`well`), pinged first (`suspect`), or opened again (`replace`). */
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

  /** Whether an idle connection may be taken without a ping. */
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

  /** The one used last, if it needs no ping; `clean`: of those without settings of frames. */
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

  /** Pings the one used last. It comes back as free, or is closed. False: there is none. */
  ask(): boolean {
    const member = this.members.pop()
    if (member !== undefined) void member.check(false)
    return member !== undefined
  }

  /** Pings all of them, because another one has just died. */
  suspectAll(): void {
    for (const member of this.members.splice(0)) void member.check(true)
  }

  /** As `Health.judge`. */
  judge(failure: Failure): 'well' | 'suspect' | 'replace' {
    return this.#health.judge(failure)
  }
}
