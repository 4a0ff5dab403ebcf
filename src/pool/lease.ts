// A lease: exclusive use of one raw connection, given back exactly once. The pool makes it, a slot holds it. A lease
// knows its epoch: once given back it can never touch the connection's next borrower.
import type { Failure, Op, RawConnection } from '../driver/driver.ts'
import type { Ties } from './deadlock.ts'
import type { Member } from './member.ts'
import { clock } from '../util/clock.ts'

/** What the holder of a lease is told about its connection. */
export interface LeaseHolder {
  /** Fewer than `maxInFlight` units are in flight. */
  room(): void
  /** Nothing is in flight. */
  quiet(): void
  /** The connection is gone; the lease is over. */
  lost(failure: Failure): void
  /** What is on the wire; `head` is the statement whose answer comes next. */
  readonly flight?: { readonly head: Op | undefined }
  /** Whether it holds the connection for a cursor and nothing else. */
  readonly forCursor?: boolean
  /** For messages: what holds the connection, in one line, without values. */
  describe(): string
  /** Nothing runs, waits or is open on the connection, and nothing else keeps it: `recall` may take it back. */
  readonly recallable?: boolean
  /** Changes with everything that is begun on the connection. */
  readonly stirs?: number
  /** Since when nothing was on the wire, monotonic milliseconds. */
  readonly quietSince?: number
  /** Gives the connection back for somebody who waits; called only while `recallable`. */
  recall?(): void
  /** What keeps the connection from coming back by itself; null: nothing, or only what will be over. */
  ties?(): Ties | null
  /** Somebody has been waiting for a connection for a second. */
  keepsOthersWaiting?(): void
}

export class Lease {
  readonly raw: RawConnection
  readonly epoch: number
  readonly holder: LeaseHolder
  /** Monotonic milliseconds. */
  readonly since: number
  /** It was taken back. */
  recalled = false
  /** The last check phase in which its holder was quiet, and how much had been begun until then. */
  quietIn = -1
  quietAt = -1
  readonly #member: Member

  constructor(member: Member, raw: RawConnection, holder: LeaseHolder) {
    this.#member = member
    this.raw = raw
    this.epoch = raw.epoch
    this.holder = holder
    this.since = clock.now()
  }

  /** False once given back, lost or taken away. */
  get valid(): boolean {
    return this.raw.epoch === this.epoch
  }

  /** Its holder may have become quiet. */
  eased(): void {
    this.#member.eased()
  }

  /** Its holder keeps it from now on, whatever it does with it. */
  tied(): void {
    this.#member.tied()
  }

  /** Nobody is to use the connection after this one. */
  spoil(): void {
    this.#member.outgoing = true
  }

  /**
   * Gives the connection back; idempotent. At once when it is clean; otherwise the promise settles after the reset,
   * or after the connection was closed because the reset failed. Never rejects.
   */
  release(): void | Promise<void> {
    if (this.raw.epoch !== this.epoch) return
    return this.#member.giveBack()
  }
}
