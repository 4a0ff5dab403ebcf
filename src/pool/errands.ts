// Errands: work of the engine itself that any connection can do, such as reading the catalogue of functions. An errand runs in the check
// phase of the event loop, on a connection that no waiter wants. It goes before waiters only when it has waited for long, and never
// joins the queue.
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import type { Lease, LeaseHolder } from './lease.ts'

/** An errand lets waiters go first for this time. */
const patienceMs = 20
/** With no waiters: after so many connections that became free and were used again before a check phase, the errand takes one. */
const patience = 4

/** The holder of the connection while the errand runs. It gives the connection back when `quiet` is called. */
export interface Errand extends LeaseHolder {
  readonly ofEngine: true
  /** Since when it waits, monotonic milliseconds. */
  readonly since: number
  begin(lease: Lease): void
  /** The pool is being closed: the errand will not run. */
  dropped(): void
}

export class Errands {
  #next: Errand | null = null
  #passed = 0
  readonly #leaseIdle: (errand: Errand) => Lease | null

  /** `leaseIdle`: an idle connection, if nobody wants it. */
  constructor(leaseIdle: (errand: Errand) => Lease | null) {
    this.#leaseIdle = leaseIdle
  }

  /** Runs the errand as soon as a connection is free. There is one at a time. */
  run(errand: Errand): void {
    this.#next = errand
    this.#passed = 0
    inRoot(() => clock.setImmediate(() => this.#try()))
  }

  #try(): void {
    const errand = this.#next
    if (errand === null) return
    const lease = this.#leaseIdle(errand)
    if (lease !== null) this.#begin(errand, lease)
  }

  #begin(errand: Errand, lease: Lease): void {
    this.#next = null
    errand.begin(lease)
  }

  /**
   * A connection has become free. True: the errand has taken it by `lend`. `wanted`: somebody waits for a connection. With no waiters
   * it takes one after a few: code that goes on by promises alone leaves no connection idle until a check phase.
   */
  takes(wanted: boolean, lend: (errand: Errand) => Lease): boolean {
    const errand = this.#next
    if (errand === null) return false
    const takes = wanted ? clock.now() - errand.since > patienceMs : ++this.#passed > patience
    if (takes) this.#begin(errand, lend(errand))
    else if (!wanted) inRoot(() => clock.setImmediate(() => this.#try()))
    return takes
  }

  get waiting(): boolean {
    return this.#next !== null
  }

  stop(): void {
    this.#next?.dropped()
    this.#next = null
  }
}
