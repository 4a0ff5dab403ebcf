// Decides which implicit reads share a connection, on drivers that take several statements in flight (pipelining). A lane begins when a
// quick read takes a free connection, and ends when nothing is in flight on it any more. Beyond the limit of lanes, a brief lane takes
// the reads that are next in the queue, and none later. Only reads that are known to be quick share: a connection answers in order, so
// each waits for those in front of it. And only reads that may run twice share: if the connection ends, they are sent again. The pool
// makes this with its first connection that can do so; other drivers have no lanes.
import { type Failure, OpState } from '../driver/driver.ts'
import { inRoot } from '../util/context.ts'
import { cancelOrDestroy, type Member } from './member.ts'
import type { ConnectionSource, PlacedOp, PoolLimits, PoolWaiter } from './contract.ts'
import type { WaitQueue } from './wait-queue.ts'
import { type Batch, Lane, Seat, type SeatOwner } from './lane.ts'
import { type ServiceTime, ServiceTimes } from './service-times.ts'
import { clock } from '../util/clock.ts'
import { LinkedSet } from '../util/linked-list.ts'

/** No read joins when the statement at the head has run for this time, or for four times its usual time. */
const patienceMs = 5
/** The last lane is kept for the reads until a waiter for its connection has waited for this time. */
const lastLaneMs = 50

type Read = PlacedOp & PoolWaiter

/** The pool, as lanes need it. */
export interface LanePool {
  readonly closed: boolean
  /** Those that are free. */
  readonly idle: readonly Member[]
  /** How long a connect takes, in milliseconds. */
  readonly connectMs: number
  /** How many in the queue are not waiting for the answer of an idle connection. */
  readonly unserved: number
  /** Where its connections come from. */
  readonly source: Pick<ConnectionSource, 'explain'>
  /** A free connection that may be used without asking it; `clean`: without settings of frames. */
  takeIdle(clean: boolean, now: number): Member | undefined
  place(op: Read): void
}

/** How long one read of a batch took. The batch took `tookMs` in all. */
function eachOf(batch: Batch, service: ServiceTime, tookMs: number): number {
  if (batch.eachMs < 0) service.noteBatch((batch.eachMs = tookMs / batch.size))
  return batch.eachMs
}

/** The batch of a read that another one has joined. */
function joined(last: Seat): Batch {
  last.batch ??= { size: 1, eachMs: -1 }
  last.batch.size++
  return last.batch
}

export class Lanes implements SeatOwner {
  readonly #pool: LanePool
  readonly #queue: WaitQueue
  readonly #most: number
  readonly #cancelTimeoutMs: number
  readonly #batches: boolean
  /** In the order in which they were opened. There are few of them, and with every statement one may begin and end. */
  readonly #lanes: Lane[] = []
  readonly #services = new ServiceTimes()
  /** How many slow reads may run at once: they leave room for the others. A single connection has room for nothing else anyway. */
  readonly #mostSlow: number
  #slow = 0
  /** Slow reads set aside until one of those has ended. */
  readonly #aside = new LinkedSet<Read>()
  /** Reads that were sent again. They get a connection for themselves, so they are not sent a third time. */
  readonly #again = new WeakSet<PlacedOp>()
  /** Reads of lanes that broke, until the pool knows of it. */
  #stranded: Read[] = []
  #timer: NodeJS.Timeout | null = null

  constructor(pool: LanePool, queue: WaitQueue, { max, shared = 0, batchReads, cancelTimeoutMs }: PoolLimits) {
    this.#pool = pool
    this.#queue = queue
    this.#most = max > 1 ? Math.min(shared, max) : 0
    this.#mostSlow = max > 1 ? max - Math.min(this.#most, max >> 1) : Infinity
    this.#cancelTimeoutMs = cancelTimeoutMs
    this.#batches = batchReads === true
  }

  /** True: the statement was sent on a lane, or set aside because enough slow reads run. */
  place(op: Read): boolean {
    if (op.stmt.cls !== 'read' || this.#pool.closed) return false
    const service = this.#services.of(op.stmt)
    if (this.#shares(op, service)) return this.#queue.sharing === 0 && this.#join(op, service)
    if (!service.slow || this.#slow < this.#mostSlow) return false
    this.#aside.add(op)
    op.queued(clock.now())
    return true
  }

  /** Whether somebody in the queue could share a connection. */
  canShare({ op }: PoolWaiter): boolean {
    return op !== null && op.stmt.cls === 'read' && this.#shares(op, this.#services.of(op.stmt))
  }

  /** The one in the queue to be served next by a free connection. */
  next(): PoolWaiter | undefined {
    for (let waiter = this.#queue.first(); ; waiter = this.#queue.first()) {
      const op = waiter?.op ?? null
      if (op === null || this.#slow < this.#mostSlow || !this.#isSlow(op)) return waiter
      this.#queue.delete(op as Read)
      this.#aside.add(op as Read)
    }
  }

  /** Sends a statement on a free connection: the first of a lane, or alone. */
  serve(member: Member, op: PlacedOp): void {
    if (op.stmt.cls !== 'read') {
      op.starting(member.raw)
      member.serve(op)
      return
    }
    const service = this.#services.of(op.stmt)
    const isBrief = this.#lanes.length >= this.#most
    if (this.#shares(op, service) && (!isBrief || this.#nextShares() !== null)) {
      const now = clock.now()
      const lane = this.#open(member, isBrief)
      this.#send(lane, op, service, now)
      if (isBrief) this.#fill(lane, now)
      return
    }
    op.starting(member.raw)
    const seat = new Seat(this, op, null, clock.now())
    seat.slow = service.slow
    if (seat.slow) this.#slow++
    member.serve(seat)
  }

  /** Whether every lane has so much to do that another connection is wanted. */
  get saturated(): boolean {
    if (this.#lanes.length === 0 || this.#lanes.length >= this.#most) return false
    for (const { load, head } of this.#lanes)
      if (head !== undefined && load * 2 < this.#depth(this.#services.of(head.stmt))) return false
    return true
  }

  /** The reads in flight on a connection that is shared, the one at the head first. */
  readsOn(member: Member): readonly Seat[] {
    return this.#lanes.find((lane) => lane.member === member)?.seats ?? []
  }

  /** How many stand aside. */
  get aside(): number {
    return this.#aside.size
  }

  /** The caller has its error already; true: the statement is in flight on a lane. */
  abandon(op: unknown): boolean {
    for (const lane of this.#lanes) {
      const seat = lane.seats.find((each) => each.op === op)
      if (seat === undefined) continue
      seat.state = OpState.abandoned
      this.#cancelHead(lane)
      return true
    }
    return false
  }

  /** Somebody gave up waiting. */
  withdrawn(waiter: PoolWaiter): void {
    if (!this.#aside.delete(waiter as Read)) this.changed()
  }

  /** A connection has nothing in flight any more, or is gone. Gives the time of its last answer if it was a lane, else 0. */
  ended(member: Member): number {
    const lanes = this.#lanes
    let at = lanes.length - 1
    while (at >= 0 && lanes[at]?.member !== member) at--
    if (at < 0) return 0
    const { leftAt } = lanes[at] as Lane
    if (at === lanes.length - 1) lanes.pop()
    else lanes.splice(at, 1)
    return leftAt
  }

  /** A connection is gone: the reads that were in flight on it are sent again, elsewhere and alone. */
  rescue(): void {
    const stranded = this.#stranded
    if (stranded.length === 0) return
    this.#stranded = []
    for (const op of stranded) if (op.state === OpState.queued) this.#pool.place(op)
  }

  /** Takes out those who stand aside, to be refused. */
  clear(): Read[] {
    if (this.#timer !== null) clock.clearTimeout(this.#timer)
    this.#timer = null
    const all = [...this.#aside]
    this.#aside.clear()
    return all
  }

  /** Something has changed for those in the queue: reads join lanes, or lanes end for those who want a connection. */
  changed(): void {
    if (this.#lanes.length === 0 || this.#queue.size === 0 || this.#pool.closed) return
    this.#drain()
    if (this.#queue.sharing === 0) return
    for (const waiter of this.#queue.sharers()) {
      const op = waiter as Read
      const service = this.#services.of(op.stmt)
      const now = clock.now()
      const lane = this.#freest(service, now)
      if (lane === null) return
      this.#queue.delete(waiter)
      this.#send(lane, op, service, now)
      this.#drain()
    }
  }

  left(seat: Seat, ran: boolean): void {
    const { lane, sentAt, batch } = seat
    const now = clock.now()
    if (ran) {
      const since = lane === null ? sentAt : lane.headSince
      const service = this.#services.of(seat.stmt)
      const tookMs = batch === null ? now - since : eachOf(batch, service, now - since)
      this.#services.note(service, now - sentAt, tookMs, this.#pool.connectMs)
    }
    if (lane !== null) this.#leftLane(lane, seat, now)
    if (seat.slow) this.#slowEnded()
  }

  rescues(seat: Seat, failure: Failure): boolean {
    const { lane, op } = seat
    if (lane === null || this.#pool.closed) return false
    const stopped =
      lane.cancelling &&
      failure.kind === 'server' &&
      this.#pool.source.explain(failure.fields ?? {}).kind === 'cancelled'
    const innocent = stopped || failure.kind === 'skipped'
    if (!innocent && failure.kind !== 'lost') {
      if (seat.batch !== null) this.#services.of(seat.stmt).setApart()
      return false
    }
    // The catalogue of functions may have changed since it was sent.
    if (failure.kind !== 'skipped' && !op.mayRepeat) return false
    this.#again.add(op)
    op.again()
    this.#stranded.push(op as Read)
    if (innocent) clock.queueMicrotask(() => this.rescue())
    return true
  }

  #shares(op: PlacedOp, service: ServiceTime): boolean {
    const { dirties, pins } = op.stmt
    const quick = service.quick && dirties === 0 && pins === 0
    return quick && !this.#again.has(op) && op.mayShare && op.mayRepeat
  }

  #isSlow({ stmt }: PlacedOp): boolean {
    return stmt.cls === 'read' && this.#services.of(stmt).slow
  }

  #depth(service: ServiceTime): number {
    const { connectMs, idle } = this.#pool
    return this.#services.depth(service, this.#services.tripMs(connectMs), this.#batches && idle.length === 0)
  }

  /** The least loaded lane, a free connection being the best. */
  #join(op: Read, service: ServiceTime): boolean {
    // Connections that were to serve those who wait may have turned out dead since.
    if (this.#queue.size > 0) this.#drain()
    const now = clock.now()
    const member =
      this.#queue.size === 0 && this.#lanes.length < this.#most ? this.#pool.takeIdle(true, now) : undefined
    const lane = member === undefined ? this.#freest(service, now) : this.#open(member)
    if (lane === null) return false
    this.#send(lane, op, service, now)
    return true
  }

  /** The least loaded lane that such a statement may join; null: none, or somebody waits for one to end. */
  #freest(service: ServiceTime, now: number): Lane | null {
    const head = this.#queue.first()
    const behind = head !== undefined && !this.#queue.shares(head)
    let least = this.#depth(service)
    let freest: Lane | null = null
    for (const lane of this.#lanes) {
      // Nobody overtakes a waiter for whom a lane ends; and a lane with nothing in flight belongs to the first in the queue.
      if (behind && lane.draining) return null
      if (lane.seats.length >= least || !lane.open) continue
      const { load } = lane
      if (load >= least || load >= lane.raw.maxInFlight || (behind && load === 0)) continue
      if (lane.seats.length > 0 && now - lane.headSince >= lane.patienceMs) continue
      freest = lane
      least = load
    }
    return freest
  }

  /** The first in the queue, if it can share a connection. */
  #nextShares(): Read | null {
    const next = this.#queue.first()
    return next !== undefined && this.#queue.shares(next) ? (next as Read) : null
  }

  /** Those who are next in the queue join a lane that nobody joins later. */
  #fill(lane: Lane, now: number): void {
    for (let op = this.#nextShares(); op !== null; op = this.#nextShares()) {
      const service = this.#services.of(op.stmt)
      if (lane.load >= Math.min(this.#depth(service), lane.raw.maxInFlight)) return
      this.#queue.take(op)
      this.#send(lane, op, service, now)
    }
  }

  #open(member: Member, isBrief = false): Lane {
    const lane = new Lane(member, isBrief)
    this.#lanes.push(lane)
    member.share()
    return lane
  }

  #send(lane: Lane, op: PlacedOp, service: ServiceTime, now: number): void {
    const { raw, seats } = lane
    op.starting(raw)
    const seat = new Seat(this, op, lane, now)
    const joins = seats.length > 0 && this.#batches && service.runs >= service.apartUntil
    const last = joins ? seats[seats.length - 1] : undefined
    seats.push(seat)
    if (seats.length === 1) this.#begin(lane, service, now)
    if (last?.stmt === seat.stmt && raw.join?.(seat) === true) seat.batch = joined(last)
    else raw.submit(seat)
  }

  /** The one at the head begins. */
  #begin(lane: Lane, { meanMs }: ServiceTime, now: number): void {
    lane.headSince = now
    lane.patienceMs = this.#services.tripMs(this.#pool.connectMs) + Math.max(patienceMs, 4 * meanMs)
  }

  #leftLane(lane: Lane, seat: Seat, now: number): void {
    const { seats } = lane
    lane.leftAt = now
    if (seats[0] === seat) seats.shift()
    else {
      const at = seats.indexOf(seat)
      if (at >= 0) seats.splice(at, 1)
    }
    const { head } = lane
    if (head !== undefined) {
      this.#begin(lane, this.#services.of(head.stmt), now)
      if (head.state === OpState.abandoned) clock.queueMicrotask(() => this.#cancelHead(lane))
    }
    this.changed()
  }

  /** Stops the statement at the head if its caller has given up; those behind may be hit, and are sent again. */
  #cancelHead(lane: Lane): void {
    const { head, raw } = lane
    if (head?.state !== OpState.abandoned || lane.cancelling || !raw.alive) return
    lane.cancelling = true
    void cancelOrDestroy(raw, head, this.#cancelTimeoutMs).then(() => {
      lane.cancelling = false
      this.#cancelHead(lane)
      this.changed()
    })
  }

  #slowEnded(): void {
    this.#slow--
    const aside = [...this.#aside]
    this.#aside.clear()
    for (const op of aside) this.#pool.place(op)
  }

  /** Lets lanes end for those at the head of the queue who want a connection for themselves, one for each. */
  #drain(): void {
    const head = this.#queue.first()
    if (head === undefined || this.#queue.shares(head)) {
      for (const lane of this.#lanes) lane.draining = false
      return
    }
    let missing = Math.min(this.#queue.size - this.#queue.sharing, this.#pool.unserved)
    const going: Lane[] = []
    for (const lane of this.#lanes)
      if (lane.draining) missing--
      else if (lane.open) going.push(lane)
    going.sort((a, b) => b.load - a.load)
    for (; missing > 0 && going.length > 0; missing--) {
      if (going.length === 1 && this.#keepsLast()) return
      ;(going.pop() as Lane).draining = true
    }
  }

  /** Whether the last lane is kept for now; asks again by itself. */
  #keepsLast(): boolean {
    const left = (this.#queue.since(0) ?? 0) + lastLaneMs - clock.now()
    if (left <= 0) return false
    this.#timer ??= inRoot(() =>
      clock.setTimeout(() => {
        this.#timer = null
        this.changed()
      }, Math.ceil(left)),
    )
    return true
  }
}
