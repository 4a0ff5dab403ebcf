// One unit of the engine on the shared connection: it waits for its turn, then it runs as a script of
// units. It counts how long it waits, and gives the operations of the engine their results, all at once at its end.
import type { Failure, Op } from '../../driver/driver.ts'
import { EngineOp } from '../../engine/query/op.ts'
import { notice } from '../../observe/channels.ts'
import { Waiting, type WaitPhase } from '../../engine/slot/waiting.ts'
import { deferred } from '../../util/clock.ts'
import type { SharedConnection } from './shared.ts'
import type { View } from './view.ts'
import type { Answer, Step } from './wire/step.ts'

export class Job extends Waiting {
  readonly view: View | null
  readonly ops: readonly Op[]
  /** The statement of the user in it; null for the sandbox's own work. */
  readonly asker: EngineOp | null
  readonly script: (job: Job) => Promise<void>
  /** The unit sent last; null: none yet. */
  unit: readonly Step[] | null = null
  readonly #shared: SharedConnection
  readonly #answers = new Map<Op, Failure | null>()
  readonly #over = deferred<true>()
  #settled = false

  constructor(shared: SharedConnection, view: View | null, ops: readonly Op[], script: (job: Job) => Promise<void>) {
    super(shared.engine, undefined, null, Infinity, null)
    this.#shared = shared
    this.view = view
    this.ops = ops
    const last = ops.at(-1)
    this.asker = last instanceof EngineOp ? last : null
    this.script = script
  }

  /** Transaction control alone. */
  get controls(): boolean {
    return this.ops.every(({ stmt }) => stmt.cls === 'control')
  }

  /** The connections that the code around it holds, the innermost first. */
  get holding(): readonly object[] {
    return Array.from(this.asker?.heldLeases() ?? [], ({ raw }) => raw)
  }

  /** Somebody still waits for it. */
  get awaited(): boolean {
    return !this.#settled && this.ops.every(({ state }) => state < 2)
  }

  /** Notes how an operation ended. The engine hears of it at the end of the job. */
  answer(op: Op, failure: Failure | null): void {
    this.#answers.set(op, failure)
  }

  /** Answers an operation as the server did, or would have; `alone`: it would have been committed. */
  answerBy(op: Op, { tag, count, insertId, failure }: Answer, alone: boolean): void {
    op.tag = tag
    op.count = count
    if (insertId !== 0) op.insertId = insertId
    // It ran, only its answer could not be read.
    const committed = failure !== null && alone && op.stmt.cls !== 'read'
    this.#answers.set(op, committed ? { ...failure, outcome: 'committed' } : failure)
  }

  /** Tells the engine; operations without an answer did not run. Only the first call counts. */
  conclude(): void {
    if (this.#settled) return
    this.#settled = true
    for (const op of this.ops) {
      const failure = this.#answers.get(op)
      if (failure === null) op.done()
      else op.fail(failure ?? { kind: 'skipped', outcome: 'not_started' })
    }
  }

  /** Fails all of it. */
  fail(failure: Failure): void {
    for (const op of this.ops) this.#answers.set(op, failure)
    this.conclude()
  }

  /** It has left the queue or the wire for good. */
  finish(): void {
    this.disarm()
    this.conclude()
    this.#over.resolve(true)
  }

  /** Settles when it is finished. */
  get whenOver(): Promise<true> {
    return this.#over.promise
  }

  /** It stays in the queue. */
  wait(): void {
    if (this.asker !== null && !this.controls && this.phase === null) this.arm('connection')
  }

  override expire(now: number): void {
    this.phase = this.#shared.describeTop() === null ? 'connection' : 'transaction'
    super.expire(now)
  }

  protected override get behind(): string {
    return this.#shared.describeTop() ?? ''
  }

  protected override tell(phase: WaitPhase): void {
    if (phase === 'connection') return
    const { behind } = this
    notice(
      'waiting-for-transaction',
      'A statement has been waiting for a second, because in a sandbox all connections are one and another transaction ' +
        `is open: the ${behind}. If that one waits for this statement, neither can go on.`,
      { engine: this.engine.name, places: [this.describe(), behind] },
    )
  }

  protected override withdraw(): void {
    this.#shared.withdraw(this)
  }

  /** The wait is over. Its statement fails, and what travels with it is skipped. */
  refuse(failure: Failure, op: Op | undefined = this.ops.at(-1)): void {
    if (op !== undefined) this.#answers.set(op, failure)
    this.finish()
    this.view?.answered(this)
  }

  describe(): string {
    return this.asker?.describe() ?? ''
  }
}
