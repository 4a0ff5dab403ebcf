// A statement of the engine's own, beside those of its callers: what it reads, or puts in front of theirs. It is submitted as soon as
// it is made.
import { type Failure, type Op, OpState } from '../driver/driver.ts'
import type { Compiled, RowSpec, Shape } from '../sql/compiled.ts'

const nothing: readonly unknown[] = []

export abstract class OwnOp implements Op {
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
