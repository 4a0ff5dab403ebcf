// The one connection behind all views, and its turns. A view in a transaction has the floor: the statements of others
// wait in order until it ends, except those of code that runs inside of it. Savepoints of all views are one stack, because the
// server has one, and between two jobs its transaction is never in a failed state. All mutable state is named at the top.
import { type Failure, type Op, OpState, type RawConnection } from '../../driver/driver.ts'
import { currentChain } from '../../engine/context/chain.ts'
import type { EngineCore } from '../../engine/core.ts'
import { failureError } from '../../engine/query/failure.ts'
import { Waiting } from '../../engine/slot/waiting.ts'
import { TransactionStateError } from '../../errors/index.ts'
import type { PoolWaiter, Wait } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import { before, clock, deferred } from '../../util/clock.ts'
import { thrownText } from '../../util/thrown.ts'
import {
  allOk,
  refusedWith,
  type SandboxView,
  type Savepoint,
  type SharedSession,
  Step,
  type Words,
  type WordsClass,
} from './contract.ts'
import { Job } from './job.ts'

/** The savepoint of whatever is taken back as a whole. Nothing else is opened inside of it. */
export const guard = 'genever_sandbox'
export const abortedMessage = 'current transaction is aborted, commands ignored until end of transaction block'
const goneMessage =
  'this transaction was rolled back with the one around it: in a sandbox, reuse: false is a savepoint of that'
const lostFailure: Failure = { kind: 'lost', outcome: 'rolled_back' }

let savepointsMade = 0

export class SharedConnection extends Waiting implements LeaseHolder, PoolWaiter, SharedSession {
  readonly op: null = null
  readonly holder: this = this
  readonly recalledAt: number = 0
  queueing: Wait | null = null
  /** Where the sandbox was opened, for messages. */
  readonly place: string
  readonly views: Set<SandboxView> = new Set()
  readonly words: Words
  /** Known before anything runs. */
  raw!: RawConnection
  /** The isolation level all transactions inside have; empty before it has begun. */
  isolation = ''
  /** Why nothing can run any more. */
  failure: Failure | null = null
  /** Says that the ROLLBACK at the end could not take back everything. */
  leftBehind: TransactionStateError | null = null
  last: SandboxView | null = null
  /** The savepoints that are open, of all views: the view of the innermost has the floor. */
  stack: Savepoint[] = []
  readonly #lease = deferred<Lease>()
  readonly #queue: Job[] = []
  #current: Job | null = null
  /** Goes on with the script whose unit was answered. */
  #goOn: () => void = () => {}
  #ending = false

  constructor(engine: EngineCore, place: string, words: WordsClass) {
    super(engine, currentChain(), null, Infinity, null)
    this.place = place
    this.words = new words(this)
  }

  /** Waits for a connection as long as everybody may, and takes back what frames of an earlier user have set. */
  async borrow(): Promise<Lease> {
    const idle = this.pool.leaseIdle(this)
    if (idle === null) this.pool.request(this)
    else this.granted(idle)
    const lease = await this.#lease.promise
    const { raw } = lease
    if (raw.dirty !== 0 && !(await raw.reset(raw.dirty, clock.now() + this.engine.options.resetTimeoutMs))) {
      raw.destroy(lostFailure)
      throw { ...lostFailure, outcome: 'not_started' } as unknown
    }
    raw.dirty = 0
    raw.inForce.clear()
    return lease
  }

  queued(now: number): void {
    this.arm('connection', '', now)
  }

  granted(lease: Lease): void {
    this.disarm()
    this.raw = lease.raw
    this.#lease.resolve(lease)
  }

  refuse(failure: Failure): void {
    this.disarm()
    this.#lease.reject(failure)
  }

  /** A statement of the sandbox's own. */
  own(text: string, params?: readonly unknown[]): Step {
    return new Step(this.engine.statements.compileInternal(text), null, params)
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

  async guarded(steps: readonly Step[]): Promise<boolean> {
    const [save, release] = [this.own(`SAVEPOINT ${guard}`), this.own(`RELEASE SAVEPOINT ${guard}`)]
    await this.send([save, ...steps, release])
    if (save.ok && !release.ok) await this.send(this.undo(guard))
    return release.ok
  }

  /** Takes back what was done since a savepoint, which is gone then. */
  undo(name: string): Step[] {
    return [this.own(`ROLLBACK TO SAVEPOINT ${name}`), this.own(`RELEASE SAVEPOINT ${name}`)]
  }

  get top(): SandboxView | undefined {
    return this.stack.at(-1)?.view
  }

  /** A savepoint of a view where the session is now. It is not on the stack. */
  savepoint(view: SandboxView, name = '', known = `${guard}_${++savepointsMade}`): Savepoint {
    return { view, name, known, settings: view.settings.length, inForce: this.words.inForce }
  }

  /** The innermost of a view, or that it calls by a name. */
  find(view: SandboxView, name?: string): Savepoint | undefined {
    return this.stack.findLast((each) => each.view === view && (name === undefined || each.name === name))
  }

  /** Its view is done with it and what it had opened inside. Where another view has something open inside, it stays on the server. */
  async release(savepoint: Savepoint, check: readonly Step[] = []): Promise<Step[]> {
    const { view, known } = savepoint
    const at = this.stack.indexOf(savepoint)
    const covered = this.stack.some((each, index) => index > at && each.view !== view)
    const steps = [...check, ...(covered ? [] : [this.own(`RELEASE SAVEPOINT ${known}`)])]
    await this.send(steps)
    if (allOk(steps)) this.stack = this.stack.filter((each, index) => index < at || each.view !== view)
    return steps
  }

  /** The server goes back to a savepoint, which stays if `kept`: settings come back, and what others had opened inside is gone. */
  async goBack(savepoint: Savepoint, kept: boolean): Promise<void> {
    const { view, known } = savepoint
    await this.send(this.undo(known).slice(0, kept ? 1 : 2))
    const at = this.stack.indexOf(savepoint)
    const gone = at < 0 ? [] : this.stack.splice(kept ? at + 1 : at).toReversed()
    for (const each of gone) {
      this.words.restore(each)
      const { transaction } = each.view
      if (each.view === view || transaction === null) continue
      transaction.failed = transaction.savepoint === each ? goneMessage : abortedMessage
      if (transaction.savepoint === each) transaction.savepoint = null
    }
    this.words.restore(savepoint)
  }

  /** Takes a unit of a view. */
  enqueue(job: Job): void {
    this.#queue.push(job)
    this.#pump()
  }

  /** Runs work of the sandbox's own before everything that waits. */
  run(script: () => Promise<void>): Promise<true> {
    const job = new Job(this, null, [], script)
    this.#queue.unshift(job)
    this.#pump()
    return job.over.promise
  }

  /** Rolls back the transaction of a view. */
  rollBack(view: SandboxView): Promise<true> {
    return this.run(async () => {
      const { transaction } = view
      view.transaction = null
      if (transaction === null) return
      await this.closeCursor(transaction.cursor)
      if (transaction.savepoint !== null) await this.goBack(transaction.savepoint, false)
    })
  }

  async closeCursor(name: string): Promise<void> {
    if (name !== '') await this.guarded([this.own(`CLOSE ${name}`)])
  }

  remove(job: object): boolean {
    const at = this.#queue.findIndex((each) => each === job)
    if (at >= 0) this.#queue.splice(at, 1)
    return at >= 0
  }

  /** A view has ended: its waiting statements go, the running one is stopped, its transaction is rolled back. */
  dismiss(view: SandboxView, job: Job | null): void {
    this.views.delete(view)
    if (this.failure !== null) return
    if (job !== null && !this.remove(job)) void this.#stop(job, clock.now() + this.engine.options.cancelTimeoutMs)
    this.words.forget(view, view.dirty)
    if (!this.#ending) void this.rollBack(view)
  }

  async cancel(job: Job, op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.remove(job)) return this.#stop(job, deadline)
    await Promise.resolve()
    // Only the end of the sandbox stops a statement whose caller still waits for it.
    job.refuse({ kind: 'closed', outcome: 'not_started' }, op)
    this.#pump()
    return 'cancelled'
  }

  async #stop(job: Job, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    const step = job.unit.find(({ of }) => of !== null)
    if (step?.of?.state === OpState.abandoned && !step.ended) step.state = OpState.abandoned
    const end = step === undefined ? 'completed' : await this.raw.cancel(step, deadline)
    if (end !== 'broken' && (await before(deadline, job.over.promise))) return end
    this.raw.destroy(lostFailure)
    return 'broken'
  }

  /** Ends the transaction of the sandbox. The views have been closed. */
  async finish(timeoutMs: number): Promise<void> {
    if (this.raw.status === 'idle' && this.#begun) this.#endedByOthers()
    this.#ending = true
    if (!this.raw.alive) return
    const rolledBack = this.run(async () => {
      const left = await this.words.rollBack()
      const text = `The sandbox opened at ${this.place} could not take all back. ${left}`
      if (left !== null) this.leftBehind = new TransactionStateError(text, { outcome: 'committed' })
    })
    if (!(await before(clock.now() + timeoutMs, rolledBack))) this.raw.destroy(lostFailure)
  }

  /** Somebody awaits code that may wait here. */
  reconsider(): void {
    this.#pump()
  }

  #pump(): void {
    const { alive, quarantined, inFlight } = this.raw
    if (this.#current === null && this.failure === null && alive && !quarantined && inFlight === 0) {
      const job = this.#queue.find((each) => each.mayRun(this.top))
      if (job !== undefined) void this.#perform(job)
    }
    for (const job of this.#queue) job.wait(this.top)
  }

  async #perform(job: Job): Promise<void> {
    this.remove(job)
    job.disarm()
    this.#current = job
    try {
      await job.script(job)
    } catch (error) {
      this.#fault(job, error)
    }
    // No savepoint was left to go back to: a cancel has hit the very SAVEPOINT.
    if (this.raw.status === 'failed') this.raw.destroy(lostFailure)
    if (this.#current !== job) return
    this.#current = null
    job.finish()
    this.#pump()
  }

  /** A fault of a script ends its job. Behind what was sent nobody knows what the server has, so all of it ends. */
  #fault(job: Job, error: unknown): void {
    const sent = job.unit.length > 0
    const outcome = sent ? 'rolled_back' : 'not_started'
    const text = `A fault inside of the sandbox opened at ${this.place}: ${thrownText(error)}.`
    const cause = new TransactionStateError(text, { outcome, cause: error })
    job.conclude({ ...refusedWith(cause), outcome })
    if (sent) this.raw.destroy({ kind: 'protocol', outcome, cause })
  }

  /** A view gives the driver's own object back, which others may still have. */
  async reclaim(deadline: number): Promise<boolean> {
    return [...this.views].some(({ lent }) => lent) || this.raw.reclaim(deadline)
  }

  room(): void {}

  quiet(): void {
    const unit = this.#current?.unit ?? []
    if (unit.length === 0) this.#pump()
    else if (unit.every(({ ended }) => ended)) {
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
    const { dialect } = this.engine
    const ends = ({ failure }: Step): boolean => dialect.explain(failure?.fields ?? {}).transaction === 'ended'
    const failure = this.#current?.unit.find(ends)?.failure ?? null
    const outcome = failure === null ? 'unknown' : 'rolled_back'
    const text =
      failure === null
        ? `The transaction of the sandbox opened at ${this.place} was ended on the server by something else, such as COMMIT ` +
          'on the object from rawConnection(). Its changes may have been committed.'
        : `An error made the server roll back all of the transaction of the sandbox opened at ${this.place}. Another session works on ` +
          'the same rows: give the test a database for it alone.'
    const cause = failure === null ? undefined : failureError(failure, this.engine)
    this.raw.destroy({ kind: 'protocol', outcome, cause: new TransactionStateError(text, { outcome, cause }) })
  }

  lost(failure: Failure): void {
    const told: Failure = failure.kind === 'protocol' ? failure : { ...failure, outcome: 'rolled_back' }
    this.failure = told
    const jobs = [this.#current, ...this.#queue.splice(0)]
    this.#current = null
    for (const job of jobs) job?.finish(told)
    for (const view of [...this.views]) view.destroy(told)
  }

  describe(): string {
    return `sandbox opened at ${this.place}`
  }
}
