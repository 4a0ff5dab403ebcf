// One sending of an implicit read: what the driver gets in place of the statement. It measures how long that took, and
// lets a read whose lane was hit be sent again, because a driver takes no operation twice.
import type { Failure, Op, OpState } from '../../driver/driver.ts'
import type { Compiled, RowSpec } from '../../sql/compiled.ts'
import type { PlacedOp } from '../contract.ts'
import type { Lane } from './lane.ts'

export interface SeatOwner {
  /** It is over; `ran`: it had its time on the server, be it that it was answered or that its caller gave it up. */
  left(seat: Seat, ran: boolean): void
  /** Whether the statement is sent again instead of failing. */
  rescues(seat: Seat, failure: Failure): boolean
}

export class Seat implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly rows: unknown[]
  tag = ''
  count = -1
  state: OpState = 1
  readonly op: PlacedOp
  /** Null: it has its connection for itself. */
  readonly lane: Lane | null
  /** Monotonic milliseconds. */
  readonly sentAt: number
  /** It counts among the slow ones. */
  slow = false
  readonly #owner: SeatOwner

  constructor(owner: SeatOwner, op: PlacedOp, lane: Lane | null, sentAt: number) {
    this.#owner = owner
    this.op = op
    this.lane = lane
    this.sentAt = sentAt
    this.stmt = op.stmt
    this.params = op.params
    this.spec = op.spec
    this.maxRows = op.maxRows
    this.rows = op.rows
  }

  done(): void {
    if (this.state === 3) return
    this.state = 3
    const { op } = this
    op.tag = this.tag
    op.count = this.count
    op.done()
    this.#owner.left(this, true)
  }

  fail(failure: Failure): void {
    if (this.state === 3) return
    const givenUp = this.state === 2
    const rescued = !givenUp && this.#owner.rescues(this, failure)
    this.state = 3
    if (!rescued) this.op.fail(failure)
    this.#owner.left(this, givenUp)
  }
}
