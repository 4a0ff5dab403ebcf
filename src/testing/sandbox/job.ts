// What a view asks of the shared connection: one unit of the engine, waiting for its turn or running as a script of
// units. It counts how long it waits, and tells the engine's operations what became of them, all at once at its end.
import type { Failure, Op, Refusal } from '../../driver/driver.ts'
import { EngineOp } from '../../engine/query/op.ts'
import { notice } from '../../observe/channels.ts'
import { type Expiring, clock, deferred } from '../../util/clock.ts'
import type { SharedConnection } from './shared.ts'
import type { View } from './view.ts'
import type { Script, Step } from './wire/step.ts'

/** How long a wait for another transaction stays silent. */
const tellAfterMs = 1_000

export class Job implements Expiring {
  deadline: number = Infinity
  readonly view: View | null
  readonly ops: readonly Op[]
  /** The statement of the user in it; null for the sandbox's own work. */
  readonly asker: EngineOp | null
  readonly script: Script
  /** What is on the wire. */
  unit: readonly Step[] | null = null
  readonly #shared: SharedConnection
  readonly #answers = new Map<Op, Failure | null>()
  readonly #over = deferred<true>()
  #settled = false
  #since = 0
  #until: number = Infinity
  #told = false

  constructor(shared: SharedConnection, view: View | null, ops: readonly Op[], script: (job: Job) => Script) {
    this.#shared = shared
    this.view = view
    this.ops = ops
    const last = ops.at(-1)
    this.asker = last instanceof EngineOp ? last : null
    this.script = script(this)
  }

  /** Transaction control alone. */
  get controls(): boolean {
    return this.ops.every(({ stmt }) => stmt.cls === 'control')
  }

  /** Somebody still waits for it. */
  get wanted(): boolean {
    return !this.#settled && this.ops.every(({ state }) => state < 2)
  }

  /** Says how an operation ended; told to the engine at the end of the job. */
  answer(op: Op, failure: Failure | null): void {
    this.#answers.set(op, failure)
  }

  /** Answers an operation as the server would have. */
  answerTag(op: Op, tag: string, count = -1): void {
    op.tag = tag
    op.count = count
    this.#answers.set(op, null)
  }

  /** Tells the engine; what was given no answer did not run. Only the first call counts. */
  settle(): void {
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
    this.settle()
  }

  /** Fails its statement; what travels with it is skipped. */
  refuse(failure: Failure): void {
    const last = this.ops.at(-1)
    if (last !== undefined) this.#answers.set(last, failure)
    this.settle()
  }

  /** It has left the queue or the wire for good. */
  finish(): void {
    this.disarm()
    this.settle()
    this.#over.resolve(true)
  }

  /** Settles when it is finished. */
  get whenOver(): Promise<true> {
    return this.#over.promise
  }

  /** It has to wait: starts the clock once. */
  arm(): void {
    if (this.#since !== 0 || this.asker === null) return
    const now = clock.now()
    this.#since = now
    if (!this.controls) this.#until = now + this.#shared.engine.options.pool.acquireTimeoutMs
    this.deadline = Math.min(now + tellAfterMs, this.#until)
    this.#shared.engine.ticker.add(this)
  }

  disarm(): void {
    if (this.deadline === Infinity) return
    this.deadline = Infinity
    this.#shared.engine.ticker.remove(this)
  }

  expire(now: number): void {
    this.deadline = Infinity
    if (now >= this.#until) {
      this.#shared.withdraw(this)
      this.refuse({ kind: 'refused', outcome: 'not_started', refusal: this.#refusal(now) })
      this.finish()
      this.view?.answered(this)
      return
    }
    if (!this.#told) this.#tell()
    this.deadline = this.#until
    if (this.deadline !== Infinity) this.#shared.engine.ticker.add(this)
  }

  #tell(): void {
    this.#told = true
    const behind = this.#shared.describeTop()
    if (behind === null) return
    notice(
      'waiting-for-transaction',
      'A statement has been waiting for a second, because in a sandbox all connections are one and another transaction ' +
        `is open: the ${behind}. If that one waits for this statement, neither can go on.`,
      { engine: this.#shared.engine.name, places: [this.asker?.describe() ?? '', behind] },
    )
  }

  #refusal(now: number): Refusal {
    const behind = this.#shared.describeTop()
    return {
      reason: 'acquire-timeout',
      phase: behind === null ? 'connection' : 'transaction',
      waitedMs: Math.round(now - this.#since),
      holders: behind === null ? [] : [behind],
      stats: { ...this.#shared.engine.pool.stats() },
    }
  }
}
