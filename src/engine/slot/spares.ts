// Spare reads: plain reads of a scope that run on other connections while its own is busy with a plain read, so that reads in
// `Promise.all` run side by side. They use only connections that are idle and wanted by nobody. A statement that may change anything
// waits until all of them have been answered. And statements that are issued together with the first one of a transaction, which go out
// in its unit.
import { type Failure, type Op, OpState } from '../../driver/driver.ts'
import { connectTrips } from '../../pool/service-times.ts'
import { StandIn } from '../../pool/lane.ts'
import { cancelOrDestroy } from '../../pool/member.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { clock } from '../../util/clock.ts'
import type { EngineCore } from '../core.ts'
import { EngineOp } from '../query/op.ts'
import type { Holding, Item } from './holding.ts'
import { isDue } from './control.ts'
import { noteReach } from './reach.ts'
import { switchOps } from '../switching.ts'

export function isPlain(item: Item): boolean {
  return item instanceof EngineOp && item.engine.functions.isPlain(item.stmt)
}

/** Sends a statement, and those behind it in the queue that were issued with it. */
export function submit(slot: Holding, op: EngineOp, queue: Item[]): void {
  const { raw } = slot.lease as Lease
  if (op.beside === null || raw.maxInFlight > 1 || raw.join === undefined || !isPlain(op)) return raw.submit(op)
  const ops = [op]
  for (let next = queue[0]; next instanceof EngineOp && travelsWith(slot, op, next); next = queue[0]) {
    queue.shift()
    next.starting(raw)
    raw.dirty |= next.stmt.dirties
    slot.flight.add(next, false)
    ops.push(next)
  }
  raw.submitUnit({ ops })
}

function travelsWith(slot: Holding, op: EngineOp, next: EngineOp): boolean {
  if (op.beside?.includes(next) !== true || !isPlain(next) || slot.reads !== null) return false
  if (next.transaction !== op.transaction || next.transaction?.doomed === true || isDue(slot, next)) return false
  return next.stmt.pins === 0 && noteReach(slot, next.stmt, (slot.lease as Lease).raw) === null
}

/** The slot of reads that may run elsewhere. */
interface Sparing extends Holding {
  spares: Map<EngineOp, Spare> | null
  spareEnded(op: EngineOp): void
}

/** A plain read that takes less than this is quick. */
const quickMs = 5

/** @param tripMs What is known of the trip to the server: a time that is longer by less than that says little. */
function noteTime({ quickReads, slowReads }: EngineCore, stmt: Compiled, ms: number, tripMs: number): void {
  if (ms >= quickMs + tripMs) {
    slowReads.add(stmt)
    quickReads.delete(stmt)
  } else if (ms < quickMs || !slowReads.has(stmt)) {
    slowReads.delete(stmt)
    quickReads.add(stmt)
  }
}

/** Sends a read whose turn has come, while its own connection is busy, on an idle one. False: there is none, or it may not. */
export function sendSpare(slot: Sparing, op: EngineOp): boolean {
  const { engine, flight } = slot
  const { functions, options } = engine
  if (!options.pool.spareReads || slot.closed || !slot.movable || slot.writes > 0 || !functions.isPlain(op.stmt))
    return false
  if (flight.size === 0 || !flight.every(({ stmt }) => functions.isPlain(stmt))) return false
  // A quick one is answered sooner where the settings are than where they have to be set and reset.
  if (op.wanted !== null && !engine.slowReads.has(op.stmt)) return false
  const spare = new Spare(slot, op)
  const lease = slot.pool.leaseIdle(spare, true)
  if (lease === null) return false
  slot.spares ??= new Map()
  slot.spares.set(op, spare)
  spare.send(lease)
  return true
}

/**
 * Where a connection takes several statements at once: a read that may take long, or would stand behind one that may, is sent on an
 * idle connection instead. Quick ones travel one behind the other, at less cost than on several connections.
 */
export function divert(slot: Sparing, op: EngineOp): boolean {
  const { flight, engine } = slot
  if (flight.head === undefined || op.transaction !== null) return false
  if (flight.headSince === 0 && flight.size === 1) {
    flight.headSince = clock.now()
    flight.headTripMs = slot.pool.connectMs / connectTrips
  }
  const { quickReads } = engine
  return !(quickReads.has(op.stmt) && quickReads.has(flight.head.stmt)) && sendSpare(slot, op)
}

/** A statement was answered: a plain read that takes long wants another connection than those issued with it. */
export function noteDuration(
  { engine, spares, flight, lease, movable, writes, pool }: Sparing,
  op: EngineOp,
  waits: boolean,
): void {
  if (spares?.has(op) === true) return
  const { headSince: since, headTripMs } = flight
  const more = op.transaction === null && (waits || (flight.size > 1 && (lease?.raw.maxInFlight ?? 1) > 1))
  if (since === 0 && !more) return
  const now = clock.now()
  flight.headSince = more ? now : 0
  flight.headTripMs = 0
  if (since === 0 || op.stmt.plain !== true) return
  noteTime(engine, op.stmt, now - since, headTripMs)
  if (more && engine.options.pool.spareReads && movable && writes === 0 && engine.slowReads.has(op.stmt))
    pool.openForReads()
}

/** One of them: the operation that the driver gets in place of the statement, and the holder of the connection. */
export class Spare extends StandIn<EngineOp> implements LeaseHolder {
  readonly #slot: Sparing
  #lease: Lease | null = null
  #sentAt = 0

  constructor(slot: Sparing, op: EngineOp) {
    super(op)
    this.#slot = slot
  }

  /** The statement to stop, for a pool that is being closed. */
  get flight(): { readonly head: Op | undefined } {
    return { head: this.state === OpState.settled ? undefined : this }
  }

  send(lease: Lease): void {
    const { raw } = lease
    const { engine } = this.#slot
    const { op } = this
    this.#lease = lease
    this.#sentAt = clock.now()
    op.starting(raw)
    raw.dirty |= this.stmt.dirties
    const first = raw.inForce.now === op.wanted ? null : switchOps(engine, raw, op.wanted, op, true)
    if (first === null) raw.submit(this)
    else raw.submitUnit({ ops: [...first, this] })
  }

  done(): void {
    const { engine, pool } = this.#slot
    noteTime(engine, this.stmt, clock.now() - this.#sentAt, pool.connectMs / connectTrips)
    this.answer()
  }

  fail(failure: Failure): void {
    if (this.state === OpState.settled) return
    const again = this.state === OpState.sent && failure.kind === 'lost'
    this.state = OpState.settled
    if (!again) this.op.fail(failure)
    else {
      // It was idle for long, and dead: the read goes where it would have gone without it.
      this.op.again()
      this.#slot.spares?.delete(this.op)
      this.#slot.sendAgain(this.op)
    }
  }

  /** Its caller has its error already. */
  cancel(): void {
    const { engine } = this.#slot
    const lease = this.#lease
    if (this.state !== OpState.sent || lease === null) return
    this.state = OpState.abandoned
    if (engine.options.pooler !== undefined) lease.spoil()
    void cancelOrDestroy(lease.raw, this, engine.options.cancelTimeoutMs)
  }

  room(): void {}

  quiet(): void {
    void this.#lease?.release()
    this.#slot.spareEnded(this.op)
  }

  lost(): void {
    this.#slot.spareEnded(this.op)
  }

  describe(): string {
    return `read beside others of ${this.#slot.describeOwner()}`
  }
}

/**
 * Puts a statement into the unit that opens its transaction, as long as nothing of that unit has gone out. So statements that
 * are issued together take one trip, and none of them runs when BEGIN fails. False: it has to wait for the answer.
 */
export function joinsOpening(slot: Holding, op: EngineOp): boolean {
  const { transaction, stmt } = op
  const { fence } = slot.flight
  if (transaction === null || fence?.transaction !== transaction || transaction.doomed) return false
  if (stmt.pins !== 0 || stmt.hasControl || isDue(slot, op)) return false
  const { raw } = slot.lease as Lease
  if (!raw.alive || raw.quarantined || noteReach(slot, stmt, raw) !== null || raw.join?.(op, true) !== true)
    return false
  op.starting(raw)
  slot.flight.add(op, false)
  return true
}
