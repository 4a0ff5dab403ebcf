// A sandbox from its opening to its end: takes one connection, begins the transaction, puts the pool of views in the
// place of the engine's own, and takes everything back. One engine has at most one.
import type { Failure } from '../../driver/driver.ts'
import { type Link, runInFrame } from '../../engine/context/chain.ts'
import { Frame } from '../../engine/context/frame.ts'
import type { Engine } from '../../engine/engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import { ConnectionLostError, TransactionStateError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import type { CloseReport } from '../../pool/contract.ts'
import type { Lease } from '../../pool/member.ts'
import type { Pool } from '../../pool/pool.ts'
import type { IsolationLevel } from '../../sql/dialect.ts'
import { borrow } from './borrow.ts'
import { SandboxPool } from './pool.ts'
import { translate } from './unit.ts'
import { SharedConnection } from './shared.ts'
import { allOk, firstFailure, refusedWith } from './wire/step.ts'
import { clock, deferred } from '../../util/clock.ts'

export interface LiveOptions {
  readonly isolation: IsolationLevel | undefined
  readonly settleMs: number
}

const live = new WeakMap<Engine, LiveSandbox>()

export class LiveSandbox {
  /** Where it was opened. */
  readonly place: string
  readonly #engine: Engine
  readonly #options: LiveOptions
  readonly #frame: Frame
  readonly #real: Pool
  readonly #shared: SharedConnection
  readonly #pool: SandboxPool
  readonly #over = deferred()
  #lease: Lease | null = null
  #ending: Promise<CloseReport> | null = null

  static of(engine: Engine): LiveSandbox | undefined {
    return live.get(engine)
  }

  constructor(engine: Engine, place: string, options: LiveOptions) {
    this.place = place
    this.#engine = engine
    this.#options = options
    this.#real = engine.pool
    this.#frame = new Frame('orphan', engine, null, null, null, null)
    this.#shared = new SharedConnection(engine, place, translate)
    this.#pool = new SandboxPool(this.#shared, (deadline) => this.#closeEngine(deadline))
    live.set(engine, this)
  }

  /** Settles when its engine is free for another one. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  /** Whether code with this chain runs inside of it. */
  contains(chain: Link | undefined): boolean {
    for (let link = chain; link !== undefined; link = link.next) if (link.frame === this.#frame) return true
    return false
  }

  async run<T>(work: () => Promise<T> | T): Promise<T> {
    const shared = this.#shared
    let result: T
    let failure: Failure | null = null
    try {
      await this.#open()
      result = await runInFrame(this.#frame, work)
      ;({ failure } = shared)
    } finally {
      await this.end()
    }
    // That the connection broke while everything was being taken back anyway is no matter of the work.
    if (shared.failure?.cause instanceof TransactionStateError) throw shared.failure.cause
    if (failure === null) {
      if (shared.leftBehind !== null) throw shared.leftBehind
      return result
    }
    throw new ConnectionLostError(
      `The connection of the sandbox opened at ${this.place} was lost; the server rolled everything back.`,
      { cause: failureError(failure, this.#engine), outcome: 'rolled_back' },
    )
  }

  async #open(): Promise<void> {
    const shared = this.#shared
    this.#lease = await borrow(this.#engine, shared)
    shared.raw = this.#lease.raw
    await shared.run(null, () => this.#begin())
    if (shared.failure !== null) throw failureError(shared.failure, this.#engine)
    await this.#pool.warm()
    this.#engine.pool = this.#pool
  }

  /** The first statements: BEGIN, and what has to be known of the session before anything changes it. */
  async #begin(): Promise<void> {
    const shared = this.#shared
    const { isolation } = this.#options
    const { before, begin } = this.#engine.dialect.begin({ isolation })
    const level = shared.own(shared.words.level)
    const steps = [...before.map((text) => shared.own(text)), shared.own(begin), level]
    await shared.send(steps)
    if (!allOk(steps)) {
      shared.raw.destroy(firstFailure(steps) ?? { kind: 'closed', outcome: 'rolled_back' })
      return
    }
    const [row = {}] = level.rows as Record<string, string>[]
    const found = Object.values(row).at(-1) ?? 'read committed'
    // MySQL says what the session has, not its transaction.
    shared.isolation = isolation ?? found.toLowerCase().replaceAll('-', ' ')
    await shared.session.learn()
  }

  /** Waits for what is lent, rolls everything back and gives the engine its pool again. Idempotent; never rejects. */
  end(deadline: number = clock.now() + this.#options.settleMs): Promise<CloseReport> {
    return (this.#ending ??= this.#end(deadline))
  }

  async #end(deadline: number): Promise<CloseReport> {
    this.#frame.end()
    this.#pool.refusing = refusedWith(
      new TransactionStateError(
        `The sandbox opened at ${this.place} has ended, so this statement was not run. Await all work before its callback ` +
          'returns, and close servers that still handle requests.',
      ),
    )
    const report = await this.#pool.closeViews(deadline)
    if (report.broken.length > 0)
      notice(
        'transaction-outlived-scope',
        'A sandbox ended while connections lent inside of it were still in use; they were closed and rolled back. Await all ' +
          'work, and release every connection, before its callback returns.',
        { engine: this.#engine.name, places: [`sandbox opened at ${this.place}`, ...report.broken] },
      )
    if (this.#lease !== null) await this.#shared.finish(this.#engine.options.cancelTimeoutMs)
    this.#engine.pool = this.#real
    await this.#lease?.release()
    live.delete(this.#engine)
    this.#over.resolve()
    return report
  }

  /** The engine is being closed: everything is rolled back, then its own pool closes. */
  async #closeEngine(deadline: number): Promise<CloseReport> {
    const views = await this.end(deadline)
    const { drained, broken } = await this.#real.close(deadline)
    return { drained, broken: [...views.broken, ...broken] }
  }
}
