// The connections of a pool that nobody uses: the one used last is taken first, at once if it was heard of lately, else
// after it has answered.
import type { Failure } from '../driver/driver.ts'
import { Health } from './health.ts'
import type { Member } from './member.ts'
import { clock } from '../util/clock.ts'

export class Idle {
  /** The longest idle first. */
  readonly members: Member[] = []
  readonly #health = new Health()

  get size(): number {
    return this.members.length
  }

  keep(member: Member): void {
    member.state = 'idle'
    member.idleSince = clock.now()
    this.members.push(member)
  }

  /** The one used last, if it needs no question whether it still answers. */
  take(): Member | undefined {
    const member = this.members[this.members.length - 1]
    if (member === undefined || !this.#health.fresh(member.idleSince, clock.now())) return undefined
    return this.members.pop()
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

  /** What the end of a connection says of these. */
  judge(failure: Failure): 'well' | 'suspect' | 'replace' {
    return this.#health.judge(failure)
  }
}
