// One unit of the engine on the shared connection: it waits for its turn, then it runs as a script of
// units. It counts how long it waits, and gives the operations of the engine their results, all at once at its end.
import { type Failure, type Op, OpState } from '../../driver/driver.ts'
import { EngineOp } from '../../engine/query/op.ts'
import { Slot } from '../../engine/slot/slot.ts'
import { Waiting, type WaitPhase } from '../../engine/slot/waiting.ts'
import { notice } from '../../observe/channels.ts'
import { deferred, type Deferred } from '../../util/clock.ts'
import type { Answer, SandboxView, SharedSession, Step } from './contract.ts'

export class Job extends Waiting {
  readonly view: SandboxView | null
  readonly ops: readonly Op[]
  /** The statement of the user in it; null for the sandbox's own work. */
  readonly asker: EngineOp | null
  readonly script: (job: Job) => Promise<void>
  /** The unit sent last. */
  unit: readonly Step[] = []
  /** Its promise settles when it is finished. */
  readonly over: Deferred<true> = deferred()
  readonly #shared: SharedSession
  readonly #answers = new Map<Op, Failure | null>()
  #settled = false

  constructor(
    shared: SharedSession,
    view: SandboxView | null,
    ops: readonly Op[],
    script: (job: Job) => Promise<void>,
  ) {
    super(shared.engine, undefined, null, Infinity, null)
    this.#shared = shared
    this.view = view
    this.ops = ops
    const last = ops.at(-1)
    this.asker = last instanceof EngineOp ? last : null
    this.script = script
  }

  /** Whether it may run while `top` has the floor. The sandbox's own work and what ends a transaction wait for nobody. */
  mayRun(top: SandboxView | undefined): boolean {
    return top === undefined || top === this.view || !this.#waits || this.holding.includes(top)
  }

  get #waits(): boolean {
    return this.asker !== null && (!this.view?.transaction || this.ops.some(({ stmt }) => stmt.cls !== 'control'))
  }

  /** The connections that the code around it holds, the innermost first, and behind them those of code that awaits it. */
  get holding(): readonly object[] {
    const around = this.asker?.around() ?? []
    return around.flatMap((each) => (each instanceof Slot && each.lease !== null ? [each.lease.raw] : []))
  }

  /** Somebody still waits for it. */
  get awaited(): boolean {
    return !this.#settled && this.ops.every(({ state }) => state < OpState.abandoned)
  }

  /** Notes how an operation ended. The engine hears of it at the end of the job. */
  answer(op: Op, failure: Failure | null): void {
    this.#answers.set(op, failure)
  }

  /** Answers an operation as the server did, or would have; `alone`: it would have been committed. */
  answerBy(op: Op, { tag, count, shape, insertId, failure }: Answer, alone: boolean): void {
    Object.assign(op, { tag, count, shape })
    if (insertId !== 0) op.insertId = insertId
    // It ran, only its answer could not be read.
    const committed = failure !== null && alone && op.stmt.cls !== 'read'
    this.#answers.set(op, committed ? { ...failure, outcome: 'committed' } : failure)
  }

  /** Tells the engine; operations without an answer did not run. `failure`: that of all. Only the first call counts. */
  conclude(failure: Failure | null = null): void {
    if (this.#settled) return
    this.#settled = true
    for (const op of this.ops) {
      const answer = failure ?? this.#answers.get(op)
      if (answer === null) op.done()
      else op.fail(answer ?? { kind: 'skipped', outcome: 'not_started' })
    }
  }

  /** It has left the queue or the wire for good. */
  finish(failure: Failure | null = null): void {
    this.disarm()
    this.conclude(failure)
    this.over.resolve(true)
    this.view?.answered(this)
  }

  /** It stays in the queue, while `top` has the floor. */
  wait(top: SandboxView | undefined): void {
    if (this.#waits) this.arm(top === undefined ? 'connection' : 'transaction', top?.describe())
  }

  protected override tell(phase: WaitPhase): void {
    if (phase === 'connection') return
    notice(
      'waiting-for-transaction',
      'A statement has been waiting for a second, because in a sandbox all connections are one and another transaction ' +
        `is open: the ${this.behind}. If that one waits for this statement, neither can go on.`,
      { engine: this.engine.name, places: [this.describe(), this.behind] },
    )
  }

  protected override withdraw(): void {
    this.#shared.remove(this)
  }

  /** The wait is over. Its statement fails, and what travels with it is skipped. */
  refuse(failure: Failure, op: Op | undefined = this.ops.at(-1)): void {
    if (op !== undefined) this.answer(op, failure)
    this.finish()
  }

  describe(): string {
    return this.asker?.describe() ?? ''
  }
}
