// The stack of transactions that are open on a slot, each a savepoint of the one below it. One enters on top, and leaves with all that
// is open inside of it.
import type { Failure } from '../../driver/driver.ts'
import type { Link } from '../context/chain.ts'
import type { Handle, Holder } from '../context/frame.ts'
import type { TransactionRecord } from '../transaction/record.ts'

export class Stack<S extends Holder = Holder> {
  #top: TransactionRecord<S> | null = null

  /** The innermost. */
  get top(): TransactionRecord<S> | null {
    return this.#top
  }

  get outermost(): TransactionRecord<S> | null {
    return this.#top === null ? null : this.#top.outermost
  }

  /** The outermost first. */
  get all(): readonly TransactionRecord<S>[] {
    const all: TransactionRecord<S>[] = []
    for (let each = this.outermost; each !== null; each = each.inner) all.push(each)
    return all
  }

  /** Whether any of them is open on the server. */
  get begun(): boolean {
    for (let each = this.#top; each !== null; each = each.parent) if (each.begun) return true
    return false
  }

  enter(record: TransactionRecord<S>): void {
    record.entered(this.#top)
    this.#top = record
  }

  /** False: it has left already. */
  pop(record: TransactionRecord<S>): boolean {
    if (!record.onStack) return false
    const top = this.#top
    const { parent } = record
    this.#top = parent
    for (let each = top; each !== null && each !== parent; each = each.parent) each.leave()
    for (let each = top; each !== null && each !== parent; each = each.parent) each.left()
    return true
  }

  /** The innermost in which code with this chain runs, or that a statement through `handle` runs in. */
  innermost(chain: Link | undefined, handle: Handle | null): TransactionRecord<S> | null {
    for (let each = this.#top; each !== null; each = each.parent) if (each.admitsFrom(chain, handle)) return each
    return null
  }

  /** Their connection is gone. */
  lose(failure: Failure): void {
    for (let each = this.#top; each !== null; each = each.parent) each.lose(failure)
  }

  /** The server says that none is open. */
  endedByServer(): void {
    for (let each = this.outermost; each !== null; each = each.inner) each.endedByServer()
  }
}
