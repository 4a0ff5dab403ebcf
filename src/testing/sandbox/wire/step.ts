// One operation on the shared connection: a statement of the engine passed on, or one of the sandbox's own. It only
// keeps what the server answered; scripts read it when the unit is answered, and the job tells the engine.
import type { CopyPort, Failure, Op, OpState, StatementResult } from '../../../driver/driver.ts'
import type { Compiled, RowSpec } from '../../../sql/compiled.ts'

export type Answer = Pick<Step, 'tag' | 'count' | 'insertId' | 'failure'>

export class Step implements Op {
  readonly stmt: Compiled
  readonly params: readonly unknown[]
  readonly spec: RowSpec | null
  readonly maxRows: number
  readonly rows: unknown[]
  tag = ''
  count = -1
  insertId: bigint | number = 0
  readonly results: StatementResult[] | null
  readonly copy: CopyPort | null
  /** The server has answered. */
  ended = false
  failure: Failure | null = null
  /** The engine's operation it stands for. */
  readonly of: Op | null
  #state: OpState = 0

  constructor(stmt: Compiled, of: Op | null, params: readonly unknown[] = of?.params ?? []) {
    this.stmt = stmt
    this.of = of
    this.params = params
    this.spec = of?.spec ?? null
    this.maxRows = of?.maxRows ?? 0
    this.rows = of?.rows ?? []
    this.results = of?.results ?? null
    this.copy = of?.copy ?? null
  }

  /** Abandoned as soon as the engine's operation is: its rows are thrown away. */
  get state(): OpState {
    return this.of?.state === 2 && this.#state !== 3 ? 2 : this.#state
  }

  set state(state: OpState) {
    this.#state = state
  }

  get ok(): boolean {
    return this.ended && this.failure === null
  }

  done(): void {
    this.ended = true
    this.#state = 3
  }

  fail(failure: Failure): void {
    if (this.ended) return
    this.ended = true
    this.#state = 3
    this.failure = failure
  }
}

/** The savepoint of whatever is taken back as a whole. Nothing else is opened inside of it. */
export const guard = 'genever_sandbox'

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

/** BEGIN, in whatever form. */
export function opens({ stmt }: Op): boolean {
  return stmt.cls === 'control' && stmt.control === 'begin'
}
