// The statements of a slot that are on the wire, in the order of their answers, and the fence: while a unit that opens
// a session or a transaction is unanswered, nothing may follow it.
import type { Lease } from '../../pool/lease.ts'
import type { EngineOp } from '../query/op.ts'
import { remove } from './remove.ts'

export class Flight {
  readonly ops: EngineOp[] = []
  /** When the last answer came, monotonic milliseconds. */
  lastAnswer = 0
  #fence: EngineOp | null = null

  get size(): number {
    return this.ops.length
  }

  get head(): EngineOp | undefined {
    return this.ops[0]
  }

  get fenced(): boolean {
    return this.#fence !== null
  }

  add(op: EngineOp, fence: boolean): void {
    this.ops.push(op)
    if (fence) this.#fence = op
  }

  answered(op: EngineOp): void {
    remove(this.ops, op)
    if (this.#fence === op) this.#fence = null
    this.lastAnswer = performance.now()
  }

  /** For messages: how long the connection has been held, and how long nothing was on its wire. */
  describe(lease: Lease | null): string {
    if (lease === null) return ''
    const now = performance.now()
    const idle = this.size > 0 ? '' : `, idle in code ${Math.round(now - this.lastAnswer)} ms`
    return `, held ${Math.round(now - lease.since)} ms${idle}`
  }
}
