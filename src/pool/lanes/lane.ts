// A lane: a connection that several implicit reads share for as long as it has any in flight. It knows what is on its
// wire; who may join is decided by `Lanes`.
import type { RawConnection } from '../../driver/driver.ts'
import type { Member } from '../member.ts'
import type { Seat } from './seat.ts'

export class Lane {
  readonly member: Member
  /** In flight, in the order of their answers. */
  readonly seats: Seat[] = []
  /** When the one at the head began: it was sent, or the one before it answered. Monotonic milliseconds. */
  headSince = 0
  /** How long the one at the head may run until nobody joins any more. */
  patienceMs = 0
  /** Nobody joins: somebody waits for the connection. */
  draining = false
  /** One of its statements is being stopped, which may hit another. */
  cancelling = false

  constructor(member: Member) {
    this.member = member
  }

  get raw(): RawConnection {
    return this.member.raw
  }

  get head(): Seat | undefined {
    return this.seats[0]
  }

  /** Units in flight, whoever counts first. */
  get load(): number {
    return Math.max(this.seats.length, this.raw.inFlight)
  }

  /** Whether anybody may join at all. */
  get open(): boolean {
    const { raw, member } = this
    if (this.draining || this.cancelling || member.outgoing || member.state !== 'serving') return false
    return raw.alive && (raw.inFlight > 0 || raw.status === 'idle')
  }
}
