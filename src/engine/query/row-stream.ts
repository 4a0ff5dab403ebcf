// The rows of one statement, read while they come, where a database has no cursors: the connection is held back while nobody reads
// them, and runs nothing else until the last was read or the server was stopped.
import type { Failure, Op, RowPort } from '../../driver/driver.ts'
import type { Place } from '../../observe/place.ts'
import { before } from '../../util/clock.ts'
import type { Link } from '../context/chain.ts'
import type { Handle } from '../context/frame.ts'
import type { StatementTransaction } from '../transaction/statement-transaction.ts'
import { comesBehindRows } from './failure.ts'

/** The code that asked, and the handle it asked through. */
interface Placed {
  readonly chain: Link | undefined
  readonly handle: Handle | null
}

/** A stream, as what else would use its connection sees it. */
export interface Streaming {
  /** The place of its cursor. */
  readonly place: Place
  readonly op: Placed & { readonly transaction: { isWithin(outer: object): boolean } | null }
  /** Whether this would have to wait for the last row. */
  blocks(item: object): boolean
  end(): void
}

/** Its statement, and the slot that carries it, as far as a stream knows them. */
interface Sent extends Op, Placed {
  port: (RowPort & { stop(): void }) | null
  readonly transaction: Pick<StatementTransaction, 'isWithin' | 'noteFailure'> | null
  /** Why it has failed, or was refused. */
  readonly failure: Failure | null
  wait(): Promise<void>
  abandon(failure: Failure): void
  drop(failure?: Failure): void
}
interface Sender<O extends Sent> {
  stream: Streaming | null
  send(op: O): void
}

export class RowStream<O extends Sent> implements RowPort, Streaming {
  readonly op: O
  readonly place: Place
  readonly #slot: Sender<O>
  readonly #enough: number
  #over = false
  #failure: { readonly thrown: unknown } | null = null
  /** Why the row behind those that are here cannot be read. */
  #unreadable: Failure | null = null
  #wanted = 0
  #paused = false
  #valve: Parameters<RowPort['give']>[0] | null = null
  #wake: (() => void) | null = null

  /** Sends the statement. `enough`: so many rows are kept for whoever reads them. */
  constructor(slot: Sender<O>, op: O, place: Place, enough: number) {
    this.op = op
    this.place = place
    this.#slot = slot
    this.#enough = enough
    op.port = this
    slot.send(op)
    // One that is open already has refused it.
    if (op.failure === null) slot.stream = this
    op.wait().then(
      () => this.#ended(),
      (thrown: unknown) => this.#ended({ thrown }),
    )
  }

  /** The last row has come and was read. */
  get exhausted(): boolean {
    return this.#over && this.#why === null && this.op.rows.length === 0
  }

  /** For as long as the cursor is open, so that it does not depend on the number of rows. */
  blocks(item: object): boolean {
    return item !== this.op && this.op.transaction !== null
  }

  /**
   * Up to so many rows; fewer at the end, and in front of a failure. Rejects with a `Failure`: with that of the server, or of a row which
   * cannot be read, when it is its turn, so that nothing depends on how far the connection reads ahead.
   */
  async read(count: number, until: number): Promise<unknown[]> {
    this.#wanted = count
    while (!this.#over && this.#ready < count) {
      this.#flow()
      const more = new Promise<boolean>((resolve) => (this.#wake = () => resolve(true)))
      if (!(await before(until, more))) this.op.abandon({ kind: 'timeout', outcome: 'unknown' })
    }
    this.#wanted = 0
    const why = this.#why
    if (why !== null && (this.#ready === 0 || !comesBehindRows(why.thrown))) {
      if (this.#unreadable !== null) this.op.transaction?.noteFailure(this.#unreadable, this.op)
      throw why.thrown
    }
    const rows = this.op.rows.splice(0, Math.min(count, this.#ready))
    this.#flow()
    return rows
  }

  get #why(): { readonly thrown: unknown } | null {
    return this.#unreadable === null ? this.#failure : { thrown: this.#unreadable }
  }

  get #ready(): number {
    return this.op.rows.length
  }

  give(valve: Parameters<RowPort['give']>[0]): void {
    this.#valve = valve
  }

  arrived(): void {
    const ready = this.#ready
    if (this.#wanted > 0) {
      if (ready >= this.#wanted) this.#wake?.()
      else return
    }
    if (ready < this.#enough || this.#paused) return
    this.#paused = true
    this.#valve?.pause()
  }

  /** The server is stopped; rows that came before are still there to be read. */
  unreadable(failure: Failure): void {
    this.#unreadable = failure
    this.op.drop(failure)
  }

  #flow(): void {
    if (!this.#paused || (this.#wanted === 0 && this.#ready >= this.#enough)) return
    this.#paused = false
    this.#valve?.resume()
  }

  /** Throws away all rows that come from now on. */
  stop(): void {
    if (this.#unreadable === null) this.op.rows.length = 0
    this.#paused = false
    this.#valve?.resume()
  }

  /** Its cursor is closed: the server is stopped if it is not done, before anything else is sent to it. */
  end(): void {
    if (this.#slot.stream === this) this.#slot.stream = null
    this.op.drop()
    this.op.rows.length = 0
  }

  #ended(failure: { readonly thrown: unknown } | null = null): void {
    this.#over = true
    this.#failure = failure
    this.#wake?.()
  }
}
