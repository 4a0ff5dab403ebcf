// Work of the engine for which any connection will do, such as reading the catalogue of functions. It is done in the check phase,
// on a connection that nobody wants; before others only where it has waited for long. It never joins the queue.
import { clock } from '../util/clock.ts'
import { inRoot } from '../util/context.ts'
import type { Lease, LeaseHolder } from './lease.ts'

/** So long it lets those who wait go first. */
const patienceMs = 20
/** Where nobody waits: how often code may take the connection that has become free before the next check phase. */
const patience = 4

/** It gives the connection back when it is `quiet`. */
export interface Errand extends LeaseHolder {
  readonly ofEngine: true
  /** Since when it waits, monotonic milliseconds. */
  readonly since: number
  begin(lease: Lease): void
  /** It will not be done: the pool is being closed. */
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

  /** One at a time. */
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
   * A connection has become free. True: it was taken, and lent with `lend`. After many of them one is taken although nobody waits:
   * code that goes on by promises alone leaves no connection idle until a check phase.
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
