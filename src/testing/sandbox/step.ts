// One operation on the shared connection: a statement of the engine passed on, or one of the sandbox's own. It only
// keeps what the server answered; scripts read it when the unit is answered, and the job tells the engine.
import type { CopyPort, Failure, Op, StatementResult } from '../../driver/driver.ts'
import { OwnOp } from '../../engine/own-op.ts'
import type { Compiled } from '../../sql/compiled.ts'

export type Answer = Pick<Step, 'tag' | 'count' | 'insertId' | 'failure'>

export class Step extends OwnOp {
  override readonly maxRows: number
  override readonly rows: unknown[]
  readonly results: StatementResult[] | null
  readonly copy: CopyPort | null
  insertId: bigint | number = 0
  failure: Failure | null = null
  /** The engine's operation it stands for. */
  readonly of: Op | null

  constructor(stmt: Compiled, of: Op | null, params: readonly unknown[] = of?.params ?? []) {
    super(stmt, params, of?.spec)
    this.of = of
    this.maxRows = of?.maxRows ?? 0
    this.rows = of?.rows ?? []
    this.results = of?.results ?? null
    this.copy = of?.copy ?? null
  }

  /** The server has answered. */
  get ended(): boolean {
    return this.state === 3
  }

  get ok(): boolean {
    return this.ended && this.failure === null
  }

  protected over(failure: Failure | null): void {
    this.failure = failure
  }
}

export function allOk(steps: readonly Step[]): boolean {
  return steps.every(({ ok }) => ok)
}

/** The first failure that is a reason, not a consequence of another. */
export function firstFailure(steps: readonly Step[]): Failure | null {
  return steps.find(({ failure }) => failure !== null && failure.kind !== 'skipped')?.failure ?? null
}

/** The failure as a server would have given it. */
export function serverError(code: string, message: string, sqlState?: string): Failure {
  const fields = { severity: 'ERROR', code, message, ...(sqlState === undefined ? {} : { sqlState }) }
  return { kind: 'server', outcome: 'rolled_back', fields }
}

/** It is not sent. */
export function refusedWith(error: unknown): Failure {
  return { kind: 'refused', outcome: 'not_started', refusal: { reason: 'usage' }, cause: error }
}
