// Spare reads: plain reads of a scope that run on other connections while its own is busy with a plain read, so that
// `Promise.all` of reads runs side by side. Only connections that are idle and wanted by nobody are taken; what may change
// anything waits until all of them have been answered.
import type { Failure, Op, OpState } from '../../driver/driver.ts'
import { cancelOrDestroy } from '../../pool/cancel.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import { clock } from '../../util/clock.ts'
import type { EngineOp } from '../query/op.ts'
import { settingsOp } from './control.ts'
import type { Slot } from './slot.ts'

/** A plain read that takes less than this is quick. */
const quickMs = 5

/** Sends a read whose turn has come, while its own connection is busy, on an idle one. False: there is none, or it may not. */
export function sendSpare(slot: Slot, op: EngineOp): boolean {
  const { engine, settings, flight } = slot
  if (op.stmt.plain !== true || !engine.options.pool.spareReads || slot.closed || !slot.movable || slot.wrote)
    return false
  if (flight.size === 0 || !flight.ops.every(({ stmt }) => stmt.plain === true)) return false
  // A quick one is answered sooner where the settings are than where they have to be set and reset.
  if (settings !== null && !engine.slowReads.has(op.stmt)) return false
  const spare = new Spare(slot, op)
  const lease = engine.pool.leaseIdle(spare, true)
  if (lease === null) return false
  slot.spares ??= new Map()
  slot.spares.set(op, spare)
  spare.send(lease)
  return true
}

/** A plain read was answered that had begun at the answer before it; those that take long want another connection. */
export function noteTime({ engine, spares, flight, movable, wrote }: Slot, stmt: Compiled, othersWait: boolean): void {
  if (stmt.plain !== true || spares !== null) return
  const { slowReads, pool, options } = engine
  if (clock.now() - flight.lastAnswer < quickMs) slowReads.delete(stmt)
  else {
    slowReads.add(stmt)
    if (othersWait && options.pool.spareReads && movable && !wrote) pool.wantsMore()
  }
}

/** One of them: what the driver gets in place of the statement, and who holds the connection. */
export class Spare implements Op, LeaseHolder {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly rows: unknown[]
  tag = ''
  count = -1
  state: OpState = 1
  readonly #slot: Slot
  readonly #op: EngineOp
  #lease: Lease | null = null

  constructor(slot: Slot, op: EngineOp) {
    this.#slot = slot
    this.#op = op
    this.stmt = op.stmt
    this.params = op.params
    this.spec = op.spec
    this.maxRows = op.maxRows
    this.rows = op.rows
  }

  /** For a pool that is being closed: what to stop. */
  get flight(): { readonly head: Op | undefined } {
    return { head: this.state === 3 ? undefined : this }
  }

  send(lease: Lease): void {
    const { raw } = lease
    const { engine, settings } = this.#slot
    this.#lease = lease
    this.#op.starting(raw)
    raw.dirty |= this.stmt.dirties
    if (settings === null) raw.submit(this)
    else {
      const local = engine.options.pooler !== undefined
      raw.submitUnit({ ops: [settingsOp(engine, raw, settings, this.#op, local), this] })
    }
  }

  done(): void {
    if (this.state === 3) return
    this.state = 3
    this.#op.tag = this.tag
    this.#op.count = this.count
    this.#op.done()
  }

  fail(failure: Failure): void {
    if (this.state === 3) return
    const again = this.state === 1 && failure.kind === 'lost'
    this.state = 3
    if (!again) this.#op.fail(failure)
    else {
      // It was idle for long, and dead: the read goes where it would have gone without it.
      this.#op.again()
      this.#slot.spares?.delete(this.#op)
      this.#slot.resend(this.#op)
    }
  }

  /** Its caller was told already. */
  cancel(): void {
    const { engine } = this.#slot
    const lease = this.#lease
    if (this.state !== 1 || lease === null) return
    this.state = 2
    if (engine.options.pooler !== undefined) lease.spoil()
    void cancelOrDestroy(lease.raw, this, engine.options.cancelTimeoutMs)
  }

  room(): void {}

  quiet(): void {
    void this.#lease?.release()
    this.#slot.spareEnded(this.#op)
  }

  lost(): void {
    this.#slot.spareEnded(this.#op)
  }

  describe(): string {
    return `read beside others of ${this.#slot.describeOwner()}`
  }
}
