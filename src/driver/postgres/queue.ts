// The units of a session in the order of their answers: those on the wire, then those that wait until what is there was answered.
// The session asks it who is next. It sends nothing.
import type { Op } from '../driver.ts'
import type { Exchange } from './exchange.ts'
import { standsFirst } from './op-rules.ts'
import type { Status } from './outcome.ts'

export class ExchangeQueue {
  readonly #units: Exchange[] = []
  #sent = 0

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
    const next = this.#units[this.#sent] ?? null
    if (next === null || this.#sent === 0) return next
    const waits = (this.#units[this.#sent - 1] as Exchange).bars || (status === 'idle' && next.ops.some(standsFirst))
    return waits ? null : next
  }

  /** The one that was written last; null: something waits to be written, or nothing was. */
  get last(): Exchange | null {
    return this.#sent === this.#units.length ? (this.#units[this.#sent - 1] ?? null) : null
  }

  /** @param first Before those that wait. */
  add(exchange: Exchange, first: boolean): void {
    if (first) this.#units.splice(this.#sent, 0, exchange)
    else this.#units.push(exchange)
  }

  /** The next one is on the wire. */
  sent(): void {
    if (this.#sent++ === 0) this.head = this.#units[0] as Exchange
  }

  /** The head was answered: it is out of the queue. */
  answered(): void {
    this.#units.shift()
    this.head = --this.#sent === 0 ? null : (this.#units[0] as Exchange)
  }

  /** One that is not on the wire. False: it is not here. */
  remove(exchange: Exchange): boolean {
    const at = this.#units.indexOf(exchange, this.#sent)
    if (at >= 0) this.#units.splice(at, 1)
    return at >= 0
  }

  of(op: Op): Exchange | undefined {
    return this.#units.find(({ ops }) => ops.includes(op))
  }

  /** Takes all out. */
  clear(): Exchange[] {
    this.#sent = 0
    this.head = null
    return this.#units.splice(0)
  }
}
