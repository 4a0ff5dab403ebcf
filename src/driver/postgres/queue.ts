// The units of a session in the order of their answers: those on the wire, then those that wait. It decides which unit the session
// sends next, and sends nothing itself.
import type { Op } from '../driver.ts'
import type { Exchange } from './exchange.ts'
import type { NameResolution } from './name-resolution.ts'
import { commitsAlone, isRepeatable, movesNames, standsFirst, standsLast } from './op-rules.ts'
import type { Status } from './outcome.ts'

const none: readonly Exchange[] = []

export class ExchangeQueue {
  readonly #names: Pick<NameResolution, 'leave'>
  readonly #units: Exchange[] = []
  #sent = 0
  /** Those of the units that wait to be sent once more until what was written behind them was answered, in order. */
  #repeated: Exchange[] = []
  /** The end of a transaction behind which something was written before it was answered. */
  #ending: Exchange | null = null

  constructor(names: Pick<NameResolution, 'leave'>) {
    this.#names = names
  }

  /** How many wait to be sent. */
  get unsent(): number {
    return this.#units.length - this.#sent
  }

  /** What arrives is for it; null: nothing is on the wire. */
  head: Exchange | null = null

  /** Whether anything is on the wire. */
  get onWire(): boolean {
    return this.#sent > 0
  }

  /** What may be sent now: nothing behind a unit that has to be answered first. @param status What is known of the session. */
  next(status: Status): Exchange | null {
    if (this.#repeated.length > 0) {
      if (this.#sent > 0) return null
      this.#repeated = []
    }
    const next = this.#units[this.#sent] ?? null
    if (next === null || this.#sent === 0) return next
    const last = this.#units[this.#sent - 1] as Exchange
    if (this.#blocks(last)) return null
    // Nobody asks the server to stop a COMMIT behind which somebody else has the connection.
    const stoppable = last !== this.#ending && this.behind(status) === 'idle'
    return stoppable && next.ops.some(standsFirst) ? null : next
  }

  /**
   * Whether nothing may be written behind it before it was answered. Whatever the answer to a COMMIT is, no transaction is open behind it:
   * where names mean the same then as now, what comes next can be written.
   */
  #blocks(last: Exchange): boolean {
    if (!last.synced) return true
    if (!commitsAlone(last.ops)) return movesNames(last.steps) || last.ops.some(standsLast)
    if (this.#ending === last) return false
    if (!this.#names.leave()) return true
    for (const step of last.steps) step.names = 0
    this.#ending = last
    return false
  }

  /** What the session is behind an end of a transaction that is on the wire. @param status What is known of it now. */
  behind(status: Status): Status {
    return this.#ending === null ? status : 'idle'
  }

  /** The one that was written last; null: something waits to be written, or nothing was. */
  get last(): Exchange | null {
    return this.#sent === this.#units.length ? (this.#units[this.#sent - 1] ?? null) : null
  }

  /** One of the session's own goes before those that wait. */
  add(exchange: Exchange): void {
    if (exchange.internal) this.#units.splice(this.#sent, 0, exchange)
    else this.#units.push(exchange)
  }

  /**
   * One that was answered has to be sent once more, before what waits. What was written behind it was meant to run after it, so that is
   * answered first; among reads the order is no matter.
   */
  repeat(exchange: Exchange): void {
    const before = this.#repeated.at(-1)
    this.#units.splice(before === undefined ? this.#sent : this.#units.indexOf(before) + 1, 0, exchange)
    const ordered = (each: Exchange, at: number): boolean => at < this.#sent && !mayPass(exchange, each)
    if (before !== undefined || this.#units.some(ordered)) this.#repeated.push(exchange)
  }

  /** Takes out those that were to be sent once more and come too late for that: this one, which has run, was to run after them. */
  overtaken(by: Exchange): readonly Exchange[] {
    if (this.#repeated.length === 0) return none
    const late = this.#repeated.filter((each) => !mayPass(each, by))
    for (const each of late) this.remove(each)
    return late
  }

  /** The next one is on the wire. */
  sent(): void {
    if (this.#sent++ === 0) this.head = this.#units[0] as Exchange
  }

  /** The head was answered: it is out of the queue. */
  answered(): void {
    if (this.#units.shift() === this.#ending) this.#ending = null
    this.head = --this.#sent === 0 ? null : (this.#units[0] as Exchange)
  }

  /** One that is not on the wire. False: it is not here. */
  remove(exchange: Exchange): boolean {
    const at = this.#units.indexOf(exchange, this.#sent)
    if (at >= 0) this.#units.splice(at, 1)
    this.#repeated = this.#repeated.filter((each) => each !== exchange)
    return at >= 0
  }

  of(op: Op): Exchange | undefined {
    return this.#units.find(({ ops }) => ops.includes(op))
  }

  /** Takes all out. */
  clear(): Exchange[] {
    this.#sent = 0
    this.#repeated = []
    this.#ending = null
    this.head = null
    return this.#units.splice(0)
  }
}

/** Whether it makes no difference which of them runs first. */
function mayPass(one: Exchange, other: Exchange): boolean {
  return other.internal || (one.ops.every(isRepeatable) && other.ops.every(isRepeatable))
}
