// A lane: a connection that several implicit reads share for as long as it has any in flight. It knows the reads on its
// wire; `Lanes` decides which reads may join.
import type { RawConnection, Failure, Op, OpState } from '../driver/driver.ts'
import type { Member } from './member.ts'
import type { Compiled, RowSpec, Shape } from '../sql/compiled.ts'
import type { PlacedOp } from './contract.ts'

export class Lane {
  readonly member: Member
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

/** Reads of one lane with one Sync. */
export interface Batch {
  size: number
  /** How long one of them took, in milliseconds; negative until it was answered. */
  eachMs: number
}

/** The operation that a driver gets in place of a statement. So the statement can be sent again: a driver takes no operation twice. */
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
  state: OpState = 1

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

  /** The statement has this answer. Not again: false. */
  protected answer(): boolean {
    if (this.state === 3) return false
    this.state = 3
    const { op } = this
    op.tag = this.tag
    op.count = this.count
    op.shape = this.shape
    op.done()
    return true
  }
}

// An implicit read has one that measures how long it took; a read whose lane was hit is sent again.
export interface SeatOwner {
  /** It is over; `ran`: it had its time on the server, be it that it was answered or that its caller gave it up. */
  left(seat: Seat, ran: boolean): void
  /** Whether the statement is sent again instead of failing. */
  rescues(seat: Seat, failure: Failure): boolean
}

export class Seat extends StandIn<PlacedOp> {
  /** Null: it has its connection for itself. */
  readonly lane: Lane | null
  /** Monotonic milliseconds. */
  readonly sentAt: number
  /** It counts among the slow ones. */
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
    if (this.state === 3) return
    const givenUp = this.state === 2
    const rescued = !givenUp && this.#owner.rescues(this, failure)
    this.state = 3
    if (!rescued) this.op.fail(failure)
    this.#owner.left(this, givenUp)
  }
}

// How long each statement text keeps its connection busy, learned from its answers. A mean that forgets, and an
// estimate of the way to the server and back, without which every statement of a distant database would look slow.

/** A statement is known after so many runs. */
const knownRuns = 3
/** … quick below this time, … */
const quickMs = 5
/** … and, above this one, so slow that it may not take all connections. */
const slowMs = 20
/** How many runs the mean remembers. */
const remembered = 8
/** The least that is believed: answers that arrived together took no time. */
const leastMs = 0.01
/** A connect takes at least so many trips to the server. */
export const connectTrips = 3
/** How fast the shortest time seen is forgotten: the way to a server may grow longer. */
const forgetting = 1 / 256
const forgettingShared = 1 / 64
/** How much work may be on its way beyond what the trip hides. */
const aheadMs = 1
const mostDepth = 32
/** … where reads share a Sync: as many are tried, to find out what each of them costs. */
const leastShared = 2
/** The number of runs after a failure in which a statement shares its Sync with no other, which would have to be sent again. */
const runsApart = 64

export class Service {
  runs = 0
  meanMs = 0
  /** The shortest recent time of a run that shared a Sync. The shortest one holds the least of other work of the machines. */
  sharedMs: number = Infinity
  /** Until it has run so often it shares no Sync. */
  apartUntil = 0

  get quick(): boolean {
    return this.runs >= knownRuns && this.meanMs < quickMs
  }

  get slow(): boolean {
    return this.runs >= knownRuns && this.meanMs > slowMs
  }

  /** So many shared a Sync, and were answered in that time. */
  noteBatch(eachMs: number): void {
    this.sharedMs = eachMs < this.sharedMs ? eachMs : this.sharedMs + (eachMs - this.sharedMs) * forgettingShared
  }

  /** It has failed, and others that shared its Sync with it. */
  setApart(): void {
    this.apartUntil = this.runs + runsApart
  }
}

export class Services {
  readonly #known = new WeakMap<Compiled, Service>()
  #shortestMs = Infinity

  of(stmt: Compiled): Service {
    let service = this.#known.get(stmt)
    if (service === undefined) this.#known.set(stmt, (service = new Service()))
    return service
  }

  /** The way to the server and back; a slow statement that is the only one ever run is not taken for a long way. */
  tripMs(connectMs: number): number {
    return Math.min(this.#shortestMs, connectMs / connectTrips)
  }

  /**
   * How many statements like this may be in flight on one connection: as many as keep it busy, and little more. `batches`: they
   * may share a Sync there, and no other connection is free.
   */
  depth({ meanMs, sharedMs }: Service, tripMs: number, batches: boolean): number {
    const eachMs = Math.max(Math.min(meanMs, sharedMs), leastMs)
    return Math.min(mostDepth, Math.max(batches ? leastShared : 1, Math.ceil((tripMs + aheadMs) / eachMs)))
  }

  /**
   * A statement was answered `elapsedMs` after it was sent and `behindMs` after the answer before it on the same
   * connection; for one that was alone these are equal.
   */
  note(service: Service, elapsedMs: number, behindMs: number, connectMs: number): void {
    if (behindMs >= elapsedMs)
      this.#shortestMs =
        elapsedMs < this.#shortestMs ? elapsedMs : this.#shortestMs + (elapsedMs - this.#shortestMs) * forgetting
    const tookMs = Math.max(leastMs, Math.min(elapsedMs - this.tripMs(connectMs), behindMs))
    service.meanMs += (tookMs - service.meanMs) / Math.min(++service.runs, remembered)
  }
}
