// A lease: exclusive use of one raw connection, given back exactly once. The pool makes it, a slot holds it. A lease
// knows its epoch: once given back it can never touch the connection's next borrower.
import type { CopyPort, Failure, Op, RawConnection } from '../driver/driver.ts'
import { clock } from '../util/clock.ts'

/**
 * The frames, slots and transactions that keep a lease. If code inside of one in `certain` waits, the lease does not come back. If code
 * inside of one in `likely` waits, it does not come back unless other code gives it back.
 */
export interface Blockers {
  readonly certain: readonly object[]
  readonly likely: readonly object[]
  /** Since when code has held it without using it, monotonic milliseconds; null while a statement runs or waits on it. */
  readonly idleSince: number | null
}

/** A COPY, as far as others who want its connection have to know it. */
export interface Copying extends CopyPort {
  /** Whether code of the caller still reads its rows or gives them. */
  readonly open: boolean
  /** The frame in which that code runs; null: it is not known. */
  readonly frame: object | null
  /** Whether that code does something else at the moment. */
  readonly idle: boolean
  /** `copyTo() at src/jobs.ts:12:3`. */
  readonly place: string
}

/** The holder of a lease: it hears of its connection, and the pool asks it whether the connection may go back. */
export interface LeaseHolder {
  /** Fewer than `maxInFlight` units are in flight. */
  room(): void
  /** Nothing is in flight. */
  quiet(): void
  /** The connection is gone; the lease is over. */
  lost(failure: Failure): void
  /** The statements on the wire; the answer of `head` comes next. */
  readonly flight?: { readonly head: Op | undefined }
  /** Whether it holds the connection for a cursor and nothing else. */
  readonly forCursor?: boolean
  /** The engine holds it for itself: nobody has borrowed it. */
  readonly ofEngine?: boolean
  /** The holder in one line, without values, for messages. */
  describe(): string
  /** Nothing runs, waits or is open on the connection, and nothing else keeps it: `recall` may take it back. */
  readonly recallable?: boolean
  /** The only reasons to keep the connection may be over. `ask` asks the server, and calls `noteQuiet` or `noteHeld` with the result. */
  readonly askable?: boolean
  ask?(): void
  /** A counter of everything that was begun on the connection. */
  readonly activity?: number
  /** Since when nothing was on the wire, monotonic milliseconds. */
  readonly quietSince?: number
  /** Gives the connection back for somebody who waits; called only while `recallable`. */
  recall?(): void
  /** The reasons why the connection does not come back by itself; null: there are none that last. */
  blockers?(): Blockers | null
  /** Somebody has been waiting for a connection for a second. */
  keepsOthersWaiting?(): void
}

/** The member of the pool whose connection is lent, as a lease knows it. */
export interface Lent {
  /** Closed as soon as its user is done. */
  outgoing: boolean
  noteQuiet(): void
  noteHeld(): void
  giveBack(): void | Promise<void>
  handOver(end: Op): boolean
}

export class Lease {
  readonly raw: RawConnection
  readonly epoch: number
  readonly holder: LeaseHolder
  /** Monotonic milliseconds. */
  readonly since: number
  /** It was taken back. */
  recalled = false
  /** The last check phase in which its holder was quiet, and the `activity` of the holder then. */
  quietPhase = -1
  quietActivity = -1
  readonly #member: Lent

  constructor(member: Lent, raw: RawConnection, holder: LeaseHolder) {
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
  noteQuiet(): void {
    this.#member.noteQuiet()
  }

  /** Its holder has a new reason to keep it. */
  noteHeld(): void {
    this.#member.noteHeld()
  }

  /** The connection is closed when this lease ends. */
  spoil(): void {
    this.#member.outgoing = true
  }

  /**
   * Gives the connection to the first who waits for one, behind the end of a transaction that is in flight alone. False: nobody waits, or
   * something has to be done before anybody may use it. Whatever its answer is must leave the session as the pool lends it.
   */
  handOver(end: Op): boolean {
    return this.valid && this.#member.handOver(end)
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
