// The service time of each statement text, that is how long it keeps its connection busy, learned from its answers: a moving mean. And an
// estimate of the round trip to the server, without which every statement of a distant database would look slow.
import type { Compiled } from '../sql/compiled.ts'

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
/** … where reads share a Sync: so many are tried, to learn the cost of each. */
const leastShared = 2
/** The number of runs after a failure in which a statement shares its Sync with no other, which would have to be sent again. */
const runsApart = 64

export class ServiceTime {
  runs = 0
  meanMs = 0
  /** The shortest recent time of a run that shared a Sync: the shortest has the least of other load in it. */
  sharedMs: number = Infinity
  /** Until it has run so often it shares no Sync. */
  apartUntil = 0

  get quick(): boolean {
    return this.runs >= knownRuns && this.meanMs < quickMs
  }

  get slow(): boolean {
    return this.runs >= knownRuns && this.meanMs > slowMs
  }

  /** Each run of a batch that shared a Sync took so long. */
  noteBatch(eachMs: number): void {
    this.sharedMs = eachMs < this.sharedMs ? eachMs : this.sharedMs + (eachMs - this.sharedMs) * forgettingShared
  }

  /** It has failed, and others that shared its Sync with it. */
  setApart(): void {
    this.apartUntil = this.runs + runsApart
  }
}

export class ServiceTimes {
  readonly #known = new WeakMap<Compiled, ServiceTime>()
  #shortestMs = Infinity

  of(stmt: Compiled): ServiceTime {
    let service = this.#known.get(stmt)
    if (service === undefined) this.#known.set(stmt, (service = new ServiceTime()))
    return service
  }

  /** The round trip to the server. The time of a connect bounds it, so a slow statement that is the only one is not taken for a long way. */
  tripMs(connectMs: number): number {
    return Math.min(this.#shortestMs, connectMs / connectTrips)
  }

  /**
   * How many statements like this may be in flight on one connection: as many as keep it busy, and little more. `batches`: they
   * may share a Sync there, and no other connection is free.
   */
  depth({ meanMs, sharedMs }: ServiceTime, tripMs: number, batches: boolean): number {
    const eachMs = Math.max(Math.min(meanMs, sharedMs), leastMs)
    return Math.min(mostDepth, Math.max(batches ? leastShared : 1, Math.ceil((tripMs + aheadMs) / eachMs)))
  }

  /**
   * A statement was answered `elapsedMs` after it was sent and `behindMs` after the answer before it on the same
   * connection; for one that was alone these are equal.
   */
  note(service: ServiceTime, elapsedMs: number, behindMs: number, connectMs: number): void {
    if (behindMs >= elapsedMs)
      this.#shortestMs =
        elapsedMs < this.#shortestMs ? elapsedMs : this.#shortestMs + (elapsedMs - this.#shortestMs) * forgetting
    const tookMs = Math.max(leastMs, Math.min(elapsedMs - this.tripMs(connectMs), behindMs))
    service.meanMs += (tookMs - service.meanMs) / Math.min(++service.runs, remembered)
  }
}
