// A lane: a connection that several implicit reads share for as long as it has any in flight. It knows the reads on its
// wire; `Lanes` decides which reads may join.
import { type Failure, type Op, OpState, type RawConnection } from '../driver/driver.ts'
import type { Member } from './member.ts'
import type { Compiled, RowSpec, Shape } from '../sql/compiled.ts'
import type { PlacedOp } from './contract.ts'

export class Lane {
  readonly member: Member
  /** Beyond the number of lanes: it takes some of those who wait, and nobody joins it later. */
  readonly isBrief: boolean
  /** In flight, in the order of their answers. */
  readonly seats: Seat[] = []
  /** When the one at the head began: it was sent, or the one before it answered. Monotonic milliseconds. */
  headSince = 0
  /** When the last answer came. */
  leftAt = 0
  /** How long the one at the head may run until nobody joins any more. */
  patienceMs = 0
  /** Nobody joins: somebody waits for the connection. */
  draining = false
  /** One of its statements is being stopped, which may hit another. */
  cancelling = false

  constructor(member: Member, isBrief: boolean) {
    this.member = member
    this.isBrief = isBrief
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
    if (this.draining || this.isBrief || this.cancelling || member.outgoing || member.state !== 'serving') return false
    return raw.alive && (raw.inFlight > 0 || raw.status === 'idle')
  }
}

/** Reads of one lane with one Sync. */
export interface Batch {
  size: number
  /** How long one of them took, in milliseconds; negative until it was answered. */
  eachMs: number
}

/** An operation that stands for a statement: the driver gets it instead. So the statement can be sent again; a driver takes no operation twice. */
export abstract class StandIn<O extends Op> implements Op {
  readonly op: O
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly rows: unknown[]
  tag = ''
  count = -1
  shape: Shape | null = null
  state: OpState = OpState.sent

  constructor(op: O) {
    this.op = op
    this.stmt = op.stmt
    this.params = op.params
    this.spec = op.spec
    this.maxRows = op.maxRows
    this.rows = op.rows
  }

  abstract done(): void
  abstract fail(failure: Failure): void

  /** Gives the answer to the statement. False: it has one already. */
  protected answer(): boolean {
    if (this.state === OpState.settled) return false
    this.state = OpState.settled
    const { op } = this
    op.tag = this.tag
    op.count = this.count
    op.shape = this.shape
    op.done()
    return true
  }
}

/** The lanes, as a seat knows them. They measure how long a read took, and send a read again whose lane broke. */
export interface SeatOwner {
  /** The read is over; `ran`: the server has run it, and answered or was told to stop because the caller gave up. */
  left(seat: Seat, ran: boolean): void
  /** Whether the statement is sent again instead of failing. */
  rescues(seat: Seat, failure: Failure): boolean
}

/** What its caller sent, of what a connection was given. */
export function userOf(sent: Op): Op {
  return sent instanceof Seat ? sent.op : sent
}

/** One implicit read on its way. It has a place in a lane, or a connection for itself. */
export class Seat extends StandIn<PlacedOp> {
  /** Null: it has its connection for itself. */
  readonly lane: Lane | null
  /** Monotonic milliseconds. */
  readonly sentAt: number
  /** It counts as a slow read. */
  slow = false
  /** Those it shares its Sync with; null: it has one for itself. */
  batch: Batch | null = null
  readonly #owner: SeatOwner

  constructor(owner: SeatOwner, op: PlacedOp, lane: Lane | null, sentAt: number) {
    super(op)
    this.#owner = owner
    this.lane = lane
    this.sentAt = sentAt
  }

  done(): void {
    if (this.answer()) this.#owner.left(this, true)
  }

  fail(failure: Failure): void {
    if (this.state === OpState.settled) return
    const givenUp = this.state === OpState.abandoned
    const rescued = !givenUp && this.#owner.rescues(this, failure)
    this.state = OpState.settled
    if (!rescued) this.op.fail(failure)
    this.#owner.left(this, givenUp)
  }
}
