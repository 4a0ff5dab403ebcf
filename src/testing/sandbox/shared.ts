// The one connection behind all views, and its turns. A view in a transaction has the floor: the statements of others
// wait in order until it ends, except those of code that runs inside of it. Savepoints of all views are one stack, and
// between two jobs the server's transaction is never in a failed state. All mutable state is named at the top.
import type { Failure, Op, RawConnection } from '../../driver/driver.ts'
import type { Engine } from '../../engine/engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import { TransactionStateError } from '../../errors/index.ts'
import type { LeaseHolder } from '../../pool/member.ts'
import { Job } from './job.ts'
import { before, clock } from '../../util/clock.ts'
import { thrownText } from '../../util/thrown.ts'
import type { View } from './view.ts'
import type { SandboxWords, Savepoint, SessionWire, SharedSession } from './contract.ts'
import { wordsOf } from './words.ts'
import { Savepoints } from './wire/savepoints.ts'
import { guard, refusedWith, Step } from './wire/step.ts'

/** Runs a unit of a view. */
type Translate = (shared: SharedConnection, view: View, job: Job) => Promise<void>

export class SharedConnection implements LeaseHolder, SessionWire {
  readonly engine: Engine
  /** Where the sandbox was opened, for messages. */
  readonly place: string
  readonly views: Set<View> = new Set()
  readonly savepoints: Savepoints = new Savepoints()
  readonly words: SandboxWords
  readonly session: SharedSession
  /** Known before anything runs. */
  raw!: RawConnection
  /** The isolation level all transactions inside have; empty before it has begun. */
  isolation = ''
  /** How many views have lent the driver's own object. */
  lenders = 0
  /** Why nothing can run any more. */
  failure: Failure | null = null
  /** Says that the ROLLBACK at the end could not take back everything. */
  leftBehind: TransactionStateError | null = null
  /** Whose statement was the last that the server ran; null: one of the sandbox's own. */
  last: View | null = null
  readonly #translate: Translate
  readonly #queue: Job[] = []
  #current: Job | null = null
  /** Goes on with the script whose unit was answered. */
  #goOn: () => void = () => {}
  #ending = false

  constructor(engine: Engine, place: string, translate: Translate) {
    this.engine = engine
    this.#translate = translate
    this.place = place
    this.words = wordsOf(engine.dialect.family) as SandboxWords
    this.session = this.words.session(this)
  }

  /** A statement of the sandbox's own. */
  own(text: string, params?: readonly unknown[]): Step {
    return new Step(this.engine.statements.compileInternal(text), null, params)
  }

  /** Takes back what was done since a savepoint, which is gone then. */
  undo(name: string): Step[] {
    return [this.own(`ROLLBACK TO SAVEPOINT ${name}`), this.own(`RELEASE SAVEPOINT ${name}`)]
  }

  /** Sends a unit of the job that runs; settles when it was answered. Without a connection nothing goes on. */
  async send(steps: readonly Step[]): Promise<void> {
    const job = this.#current
    if (steps.length === 0) return
    await new Promise<void>((resolve) => {
      if (job === null) return
      this.#goOn = resolve
      job.unit = steps
      this.last = (steps.at(-1)?.of ?? null) === null ? null : job.view
      this.raw.submitUnit({ ops: steps })
    })
  }

  /** Runs steps all or nothing; false when one of them failed. */
  async guarded(steps: readonly Step[]): Promise<boolean> {
    const save = this.own(`SAVEPOINT ${guard}`)
    const release = this.own(`RELEASE SAVEPOINT ${guard}`)
    await this.send([save, ...steps, release])
    if (save.ok && !release.ok) await this.send(this.undo(guard))
    return release.ok
  }

  /** Takes a unit of a view. */
  enqueue(view: View, ops: readonly Op[]): Job {
    const job = new Job(this, view, ops, (self) => this.#translate(this, view, self))
    this.#queue.push(job)
    this.#pump()
    return job
  }

  /** Runs work of the sandbox's own before everything that waits. */
  run(view: View | null, script: () => Promise<void>): Promise<true> {
    const job = new Job(this, view, [], script)
    this.#queue.unshift(job)
    this.#pump()
    return job.whenOver
  }

  /** Rolls back the transaction of a view. */
  rollBack(view: View): Promise<true> {
    return this.run(view, async () => {
      const { transaction } = view
      view.transaction = null
      await this.closeCursor(transaction?.cursor ?? '')
      const savepoint = this.savepoints.find(view, transaction?.savepoint ?? '')
      if (savepoint === undefined) return
      await this.send(this.undo(savepoint.known))
      this.wentBack(savepoint, false)
    })
  }

  async closeCursor(name: string): Promise<void> {
    if (name !== '') await this.guarded([this.own(`CLOSE ${name}`)])
  }

  withdraw(job: Job): boolean {
    const at = this.#queue.indexOf(job)
    if (at >= 0) this.#queue.splice(at, 1)
    return at >= 0
  }

  /** A view has ended: its waiting statements go, the running one is stopped, its transaction is rolled back. */
  leave(view: View, job: Job | null): void {
    this.views.delete(view)
    if (this.failure !== null) return
    if (job !== null && !this.withdraw(job)) void this.#stop(job, clock.now() + this.engine.options.cancelTimeoutMs)
    this.session.forget(view, view.dirty)
    if (!this.#ending) void this.rollBack(view)
  }

  async cancel(job: Job, op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.withdraw(job)) return this.#stop(job, deadline)
    await Promise.resolve()
    // Only the end of the sandbox stops a statement whose caller still waits for it.
    job.refuse({ kind: 'closed', outcome: 'not_started' }, op)
    this.#pump()
    return 'cancelled'
  }

  async #stop(job: Job, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    const step = job.unit?.find(({ of }) => of !== null)
    let end: 'cancelled' | 'completed' | 'broken' = 'completed'
    if (step !== undefined) end = await this.raw.cancel(step, deadline)
    if (end !== 'broken' && (await before(deadline, job.whenOver))) return end
    this.raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
    return 'broken'
  }

  /** Ends the transaction of the sandbox. The views have been closed. */
  async finish(timeoutMs: number): Promise<void> {
    if (this.raw.status === 'idle' && this.#begun) this.#endedByOthers()
    this.#ending = true
    if (!this.raw.alive) return
    const deadline = clock.now() + timeoutMs
    const rolledBack = this.run(null, async () => {
      const left = await this.words.rollBack(this)
      if (left === null) return
      const text = `The sandbox opened at ${this.place} could not take all back. ${left}`
      this.leftBehind = new TransactionStateError(text, { outcome: 'committed' })
    })
    if (!(await before(deadline, rolledBack))) this.raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
  }

  /** The holder of the floor, in words; null when nobody has it. */
  describeTop(): string | null {
    return this.savepoints.top?.view.describe() ?? null
  }

  /** The sandbox's own work and the end of transactions wait for nobody; statements for whoever has the floor. */
  #mayRun({ view, asker, controls, holding }: Job): boolean {
    const { top } = this.savepoints
    return top === undefined || top.view === view || asker === null || controls || holding.includes(top.view)
  }

  /** The server went back to a savepoint: settings come back with it, and what others had opened inside is gone. */
  wentBack(savepoint: Savepoint, kept: boolean): void {
    const { view } = savepoint
    for (const gone of this.savepoints.goBack(savepoint, kept)) {
      this.session.restore(gone)
      if (gone.view !== view && !gone.over && gone.view.transaction !== null) gone.view.transaction.failed = true
    }
    this.session.restore(savepoint)
  }

  #pump(): void {
    if (this.#current === null && this.failure === null && this.#free) {
      const job = this.#queue.find((each) => this.#mayRun(each))
      if (job !== undefined) void this.#perform(job)
    }
    for (const job of this.#queue) job.wait()
  }

  get #free(): boolean {
    const { alive, quarantined, inFlight } = this.raw
    return alive && !quarantined && inFlight === 0
  }

  async #perform(job: Job): Promise<void> {
    this.withdraw(job)
    job.disarm()
    this.#current = job
    try {
      await job.script(job)
    } catch (error) {
      this.#fault(job, error)
    }
    // No savepoint was left to go back to: a cancel has hit the very SAVEPOINT.
    if (this.raw.status === 'failed') this.raw.destroy({ kind: 'lost', outcome: 'rolled_back' })
    if (this.#current !== job) return
    this.#current = null
    job.finish()
    job.view?.answered(job)
    this.#pump()
  }

  /** A fault of a script ends its job. Behind what was sent nobody knows what the server has, so all of it ends. */
  #fault(job: Job, error: unknown): void {
    const sent = job.unit !== null
    const outcome = sent ? 'rolled_back' : 'not_started'
    const text = `A fault inside of the sandbox opened at ${this.place}: ${thrownText(error)}.`
    const cause = new TransactionStateError(text, { outcome, cause: error })
    job.fail({ ...refusedWith(cause), outcome })
    if (sent) this.raw.destroy({ kind: 'protocol', outcome, cause })
  }

  room(): void {}

  quiet(): void {
    const job = this.#current
    if (job === null || job.unit === null) this.#pump()
    else if (job.unit.every(({ ended }) => ended)) {
      if (this.raw.status === 'idle' && this.#begun) this.#endedByOthers()
      else this.#goOn()
    }
  }

  /** The transaction should be open. */
  get #begun(): boolean {
    return this.isolation !== '' && !this.#ending && this.failure === null
  }

  /**
   * The transaction is no more, which cannot be undone: text on the driver's own object or a procedure has ended it, or an error of
   * the server has taken all of it back, as a deadlock with a session outside does.
   */
  #endedByOthers(): void {
    const failure = this.#current?.unit?.find((step) => this.#ends(step))?.failure ?? null
    const outcome = failure === null ? 'unknown' : 'rolled_back'
    const text =
      failure === null
        ? `The transaction of the sandbox opened at ${this.place} was ended on the server by something else, such as COMMIT ` +
          'on the object from rawConnection(). Its changes may have been committed.'
        : `An error made the server roll back all of the transaction of the sandbox opened at ${this.place}. Another session works on ` +
          'the same rows: give the test a database for it alone.'
    const cause = failure === null ? {} : { cause: failureError(failure, this.engine) }
    this.raw.destroy({ kind: 'protocol', outcome, cause: new TransactionStateError(text, { outcome, ...cause }) })
  }

  #ends({ failure }: Step): boolean {
    return failure?.kind === 'server' && this.engine.dialect.explain(failure.fields ?? {}).transaction === 'ended'
  }

  lost(failure: Failure): void {
    const told: Failure = failure.kind === 'protocol' ? failure : { ...failure, outcome: 'rolled_back' }
    this.failure = told
    const jobs = [...(this.#current === null ? [] : [this.#current]), ...this.#queue.splice(0)]
    this.#current = null
    for (const job of jobs) {
      job.fail(told)
      job.finish()
    }
    for (const view of [...this.views]) view.destroy(told)
  }

  describe(): string {
    return `sandbox opened at ${this.place}`
  }
}
