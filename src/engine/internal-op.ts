// An operation of the engine itself that is submitted to a connection directly, beside those of callers or in front of them. See
// `query/engine-statement.ts` for those that wait in a queue.
import { type Failure, type Op, OpState } from '../driver/driver.ts'
import type { Compiled, RowSpec, Shape } from '../sql/compiled.ts'

const nothing: readonly unknown[] = []

export abstract class InternalOp implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number = 0
  readonly rows: unknown[] = []
  tag = ''
  count = -1
  shape: Shape | null = null
  state: OpState = OpState.sent

  constructor(stmt: Compiled, params: readonly unknown[] = nothing, spec: RowSpec | null = null) {
    this.stmt = stmt
    this.params = params
    this.spec = spec
  }

  done(): void {
    if (this.state === OpState.settled) return
    this.state = OpState.settled
    this.over(null)
  }

  fail(failure: Failure): void {
    if (this.state === OpState.settled) return
    this.state = OpState.settled
    this.over(failure)
  }

  /** Called once. Null: it ran. */
  protected abstract over(failure: Failure | null): void
}
