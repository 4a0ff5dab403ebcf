// A sandbox from its opening to its end: it takes one connection, begins the transaction, and takes everything back. In between it is
// the pool of its engine: an ordinary pool whose connections are views, with the limits of the real one, so that what runs out of
// connections there does so here. One engine has at most one.
import type { Failure, Op } from '../../driver/driver.ts'
import { type Link, runInFrame } from '../../engine/context/chain.ts'
import { Frame } from '../../engine/context/frame.ts'
import type { Engine } from '../../engine/engine.ts'
import { limitsOf } from '../../engine/open/make-engine.ts'
import { failureError } from '../../engine/query/failure.ts'
import { ConnectionLostError, TransactionStateError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import type { CloseReport, ConnectionSource, PlacedOp, PoolWaiter } from '../../pool/contract.ts'
import type { Lease, LeaseHolder } from '../../pool/lease.ts'
import { Pool } from '../../pool/pool.ts'
import { Dirty } from '../../sql/compiled.ts'
import type { IsolationLevel } from '../../sql/dialect.ts'
import { clock, deferred, type Deferred } from '../../util/clock.ts'
import { allOk, firstFailure, refusedWith, type WordsClass } from './contract.ts'
import { SharedConnection } from './shared.ts'
import { View } from './view.ts'

export interface ResolvedOptions {
  readonly isolation: IsolationLevel | undefined
  readonly settleMs: number
}

const live = new WeakMap<Engine, Sandbox>()

export class Sandbox extends Pool {
  readonly #engine: Engine
  readonly #options: ResolvedOptions
  readonly #frame: Frame
  readonly #real: Pool
  readonly connection: SharedConnection
  /** Its promise settles when its engine is free for another one. */
  readonly over: Deferred<void> = deferred()
  /** Why it lends nothing any more, although it is not closed. */
  #refusing: Failure | null = null
  #lease: Lease | null = null
  #ending: Promise<CloseReport> | null = null

  static of(engine: Engine): Sandbox | undefined {
    return live.get(engine)
  }

  constructor(engine: Engine, place: string, words: WordsClass, options: ResolvedOptions) {
    const shared = new SharedConnection(engine, place, words)
    const views = { min: 0, shared: 0, pooled: false, idleTimeoutMs: Infinity, maxLifetimeMs: Infinity }
    super(viewsOf(shared), { ...limitsOf(engine.options), ...views })
    this.#engine = engine
    this.#options = options
    this.#real = engine.pool
    this.#frame = new Frame('orphan', engine, null, null, null, null)
    this.connection = shared
    live.set(engine, this)
  }

  /** Whether code with this chain runs inside of it. */
  contains(chain: Link | undefined): boolean {
    for (let link = chain; link !== undefined; link = link.next) if (link.frame === this.#frame) return true
    return false
  }

  async run<T>(work: () => Promise<T> | T): Promise<T> {
    const shared = this.connection
    let result: T
    let failure: Failure | null = null
    try {
      await this.#open()
      result = await runInFrame(this.#frame, work)
      ;({ failure } = shared)
    } finally {
      await this.#end(clock.now() + this.#options.settleMs)
    }
    // That the connection broke while everything was being taken back anyway is no matter of the work.
    if (shared.failure?.cause instanceof TransactionStateError) throw shared.failure.cause
    if (shared.leftBehind !== null) throw shared.leftBehind
    if (failure === null) return result
    throw new ConnectionLostError(
      `The connection of the sandbox opened at ${this.connection.place} was lost; the server rolled everything back.`,
      { cause: failureError(failure, this.#engine), outcome: 'rolled_back' },
    )
  }

  async #open(): Promise<void> {
    const shared = this.connection
    try {
      this.#lease = await shared.borrow()
      await shared.run(() => this.#begin())
      if (shared.failure !== null) throw shared.failure as unknown
    } catch (failure) {
      throw failureError(failure as Failure, this.#engine)
    }
    await this.warm()
    this.#engine.pool = this
  }

  /** The first statements: BEGIN, and what has to be known of the session before anything changes it. */
  async #begin(): Promise<void> {
    const shared = this.connection
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
    await shared.words.learn()
  }

  /** Waits for what is lent, rolls everything back and gives the engine its pool again. Idempotent; never rejects. */
  #end(deadline: number, closing = false): Promise<CloseReport> {
    return (this.#ending ??= this.#finish(deadline, closing))
  }

  async #finish(deadline: number, closing: boolean): Promise<CloseReport> {
    this.#frame.end()
    this.#refusing = refusedWith(
      new TransactionStateError(
        `The sandbox opened at ${this.connection.place} has ended, so this statement was not run. Await all work before its callback ` +
          'returns, and close servers that still handle requests.',
      ),
    )
    if (!closing) this.whenClosed = this.#refusing
    const report = await super.close(deadline)
    if (report.broken.length > 0)
      notice(
        'transaction-outlived-scope',
        'A sandbox ended while connections lent inside of it were still in use; they were closed and rolled back. Await all ' +
          'work, and release every connection, before its callback returns.',
        { engine: this.#engine.name, places: [`sandbox opened at ${this.connection.place}`, ...report.broken] },
      )
    if (this.#lease !== null) await this.connection.finish(this.#engine.options.cancelTimeoutMs)
    this.#engine.pool = this.#real
    // A LISTEN of the only connection was taken back with all else; its reset listens again.
    if (this.#engine.options.descriptor.where === 'directory' && this.#lease !== null)
      this.#lease.raw.dirty |= Dirty.listen
    await this.#lease?.release()
    live.delete(this.#engine)
    this.over.resolve()
    return report
  }

  /** The engine is being closed: everything is rolled back, then its own pool closes. */
  override async close(deadline: number): Promise<CloseReport> {
    const views = await this.#end(deadline, true)
    const { drained, broken } = await this.#real.close(deadline)
    return { drained, broken: [...views.broken, ...broken] }
  }

  override place(op: PlacedOp & PoolWaiter): void {
    if (!this.#refuses(op)) super.place(op)
  }

  override request(waiter: PoolWaiter): void {
    if (!this.#refuses(waiter)) super.request(waiter)
  }

  #refuses(waiter: PoolWaiter): boolean {
    const failure = this.connection.failure ?? this.#refusing
    if (failure !== null) waiter.refuse(failure)
    return failure !== null
  }

  override noteHeld(review = false): void {
    super.noteHeld(review)
    if (review) this.connection.reconsider()
  }

  /** Nothing runs side by side on one connection. */
  override leaseIdle(holder: LeaseHolder, spare = false): Lease | null {
    return (this.connection.failure ?? this.#refusing) === null && !spare ? super.leaseIdle(holder) : null
  }

  /** A statement may have been queued before the sandbox began. */
  override withdraw(waiter: PoolWaiter): void {
    super.withdraw(waiter)
    this.#real.withdraw(waiter)
  }

  override abandon(op: Op): void {
    super.abandon(op)
    this.#real.abandon(op)
  }
}

/** Views in the place of connections. All else is as the engine's own source says it. */
function viewsOf(shared: SharedConnection): ConnectionSource {
  const { engine, place } = shared
  const { source } = engine.pool
  return {
    async open(member) {
      if (shared.failure !== null) throw shared.failure as unknown
      return new View(shared, member)
    },
    classify: () => 'config',
    explain: (error) => source.explain(error),
    closed() {},
    oneSession: true,
    get observed() {
      return source.observed
    },
    lent: (raw, event, waitMs, useMs, recalled) => source.lent(raw, event, waitMs, useMs, recalled),
    leftOpen: () =>
      notice('connection-closed-dirty', 'A connection came back with an open transaction; it was rolled back.', {
        engine: engine.name,
        places: [`sandbox opened at ${place}`],
      }),
  }
}
