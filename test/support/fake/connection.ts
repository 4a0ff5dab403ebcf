/** A connection of the fake driver that checks what its owner does: a broken rule of the contract is recorded and thrown. */

import type { ConnectionHooks, Op, RawConnection, Unit } from '../../../src/driver/driver.ts'
import type { ConnectionHost } from '../../../src/driver/fake/backend.ts'
import { FakeConnection } from '../../../src/driver/fake/connection.ts'
import { Dirty } from '../../../src/sql/compiled.ts'
import type { SqlSession } from './session.ts'

const submitted = new WeakSet<Op>()

/** Whatever is answered, no transaction is open behind it: a connection may be lent to somebody else behind it. */
const isCommit = ({ ops }: { readonly ops: readonly Op[] }): boolean =>
  ops.length === 1 && ops[0]?.stmt.text === 'COMMIT'

export class CheckedConnection extends FakeConnection {
  /** Records a broken rule and throws. */
  readonly #violate: (rule: string) => never
  /** Why nothing may be submitted, beyond the plain rules: a failed reset or cancel. */
  #unusable: string | null = null
  /** A lease ended with something to reset. */
  #unclean = false
  /** What the session holds was just made its baseline. */
  #settled = false

  constructor(session: SqlSession, host: ConnectionHost, hooks: ConnectionHooks, violate: (rule: string) => never) {
    super(session, host, hooks)
    this.#violate = (rule) => violate(`#${this.id}: ${rule}`)
    session.heard = {
      notification: (channel, payload, pid) =>
        host.steps.defer(
          `#${this.id} notification ${channel}`,
          () => this.alive && hooks.notification(channel, payload, pid),
        ),
    }
    let epoch = 0
    Object.defineProperty(this, 'epoch', {
      get: () => epoch,
      set: (next: number) => {
        this.#checkEpoch(epoch, next)
        epoch = next
      },
    })
  }

  override get status(): RawConnection['status'] {
    return this.#unusable === null ? super.status : 'unknown'
  }

  override submitUnit(unit: Unit): void {
    this.#checkUnit(unit.ops)
    for (const op of unit.ops) submitted.add(op)
    super.submitUnit(unit)
  }

  override cancel(op: Op, deadline: number): ReturnType<FakeConnection['cancel']> {
    const flight = this.flights.find(({ ops }) => ops.includes(op))
    if (flight !== undefined && this.alive) {
      if (this.quarantined) this.#violate('cancel during a cancel')
      if (!this.flights.slice(0, this.flights.indexOf(flight)).every(isCommit))
        this.#violate(`cancel of a statement that is not at the head: ${flight.label}`)
    }
    const cancelled = super.cancel(op, deadline)
    void cancelled.then((end) => {
      if (end === 'broken') this.#unusable = 'a cancel that ended broken'
    })
    return cancelled
  }

  override setBaseline(sql: string): void {
    super.setBaseline(sql)
    this.#settled = true
  }

  override async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive) return false
    if (this.flights.length > 0 || this.quarantined) this.#violate('reset while something is in flight')
    const well = await super.reset(dirty, deadline)
    if (well) this.#unclean = false
    else this.#unusable = 'a reset that failed'
    return well
  }

  #checkEpoch(last: number, next: number): void {
    if (next < last) this.#violate(`epoch set back from ${last} to ${next}`)
    const atRest = this.status === 'idle' || (this.flights.length > 0 && this.flights.every(isCommit))
    if (this.alive && (!atRest || ((this.dirty & ~Dirty.framed) !== 0 && !this.#settled))) this.#unclean = true
    this.#settled = false
  }

  #checkUnit(ops: readonly Op[]): void {
    const label = ops.map(({ stmt }) => stmt.text).join('; ')
    if (!this.alive) this.#violate(`submit on a connection that has ended: ${label}`)
    if (this.#unusable !== null) this.#violate(`submit after ${this.#unusable}: ${label}`)
    if (this.quarantined) this.#violate(`submit in quarantine: ${label}`)
    if (this.flights.some(({ phase }) => phase === 'reset')) this.#violate(`submit during a reset: ${label}`)
    if (this.#unclean) this.#violate(`submit for a new lease without a reset in between: ${label}`)
    if (this.inFlight >= this.maxInFlight) this.#violate(`submit beyond ${this.maxInFlight} in flight: ${label}`)
    if (ops.length === 0) this.#violate('submit of an empty unit')
    for (const op of ops) {
      if (op.state >= 2) this.#violate(`submit of a statement that is over: ${op.stmt.text}`)
      if (submitted.has(op)) this.#violate(`submit of a statement for the second time: ${op.stmt.text}`)
    }
  }
}
