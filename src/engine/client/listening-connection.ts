// The connection on which an engine listens to channels: one for all of them, outside of the pool. It is pinged and opened again when
// it dies, and its listeners then hear that they may have missed something. A database inside the process has only one connection:
// there the one of the pool listens.
import { type ConnectionHooks, type Failure, OpState, type RawConnection } from '../../driver/driver.ts'
import { notice } from '../../observe/channels.ts'
import { OpenBackoff } from '../../pool/growth.ts'
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { clock, before, deferred } from '../../util/clock.ts'
import { inRoot } from '../../util/context.ts'
import { currentChain } from '../context/chain.ts'
import type { EngineCore } from '../core.ts'
import { InternalOp } from '../internal-op.ts'
import { proofOps } from '../switching.ts'
import { engineStatement } from '../query/engine-statement.ts'
import { type Listener, lossOf } from './listener.ts'

const lost: Failure = { kind: 'timeout', outcome: 'unknown' }

/** Where connections beyond those of the pool come from. */
export interface ConnectionOpener {
  /** Called in the root context. Rejects with a `Failure`. */
  openOutsidePool(hooks: ConnectionHooks, deadline: number): Promise<RawConnection>
  /** SQL with which every reset of the only connection ends, beside what it ends with anyway. */
  keepListening(sql: string): void
}

export class ListeningConnection {
  readonly #engine: EngineCore
  readonly #outlet: ConnectionOpener
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #backoff = new OpenBackoff()
  #raw: RawConnection | null = null
  #closed = false
  /** Since when nobody listens, monotonic milliseconds; null: somebody does. */
  #deafSince: number | null = null
  #told = false
  /** Channels whose listeners have heard of the gap: something came there before all others were listened to again. */
  readonly #gapTold = new Set<string>()
  /** One thing after the other: opening, LISTEN, UNLISTEN, a sign of life. */
  #last: Promise<unknown> = Promise.resolve()
  #beat: NodeJS.Timeout | undefined = undefined
  #beatMs = Infinity

  constructor(engine: EngineCore, outlet: ConnectionOpener) {
    this.#engine = engine
    this.#outlet = outlet
  }

  /** How many connections it has beyond those of the pool. */
  get connections(): number {
    return this.#raw === null ? 0 : 1
  }

  /** Rejects with a `Failure` when the channel cannot be listened to; then the listener hears nothing. */
  async add(listener: Listener, beatMs: number): Promise<void> {
    const { channel } = listener
    const others = this.#listeners.get(channel) ?? new Set<Listener>()
    this.#listeners.set(channel, others.add(listener))
    try {
      await this.#next(() => (this.#embedded ? this.#listenInside(channel) : this.#listenOutside(channel)))
    } catch (failure) {
      await this.remove(listener)
      throw failure
    }
    if (beatMs < this.#beatMs && others.has(listener)) {
      this.#rest()
      this.#beatMs = beatMs
    }
    this.#keepAlive()
  }

  async remove(listener: Listener): Promise<void> {
    const { channel } = listener
    const others = this.#listeners.get(channel)
    if (others?.delete(listener) !== true || others.size > 0) return
    this.#listeners.delete(channel)
    const done = this.#next(async () => {
      if (this.#listeners.has(channel) || this.#closed) return
      const { dialect, options } = this.#engine
      const until = clock.now() + options.cancelTimeoutMs
      if (this.#embedded) {
        this.#remember()
        // The reset behind it listens to what others still want.
        await this.#runInside(dialect.channels?.unlisten(dialect.quote(channel)) ?? '', Dirty.listen)
      } else if (this.#listeners.size > 0)
        await this.#run(dialect.channels?.unlisten(dialect.quote(channel)) ?? '', until)
      else await this.#hangUp(until)
    }).catch(() => {})
    // While the connection is lost there is nothing to stop, and it may be away for long.
    if (this.#deafSince === null) await done
    if (this.#listeners.size === 0) this.#rest()
  }

  /** The end of the engine: loops end, and the connection. */
  async close(deadline: number): Promise<void> {
    this.#closed = true
    this.#rest()
    for (const listener of [...this.#listeners.values()].flatMap((each) => [...each])) listener.end()
    this.#listeners.clear()
    await this.#hangUp(deadline)
  }

  /** Another server is the primary now: it listens there. */
  moved(): void {
    this.#raw?.destroy({ kind: 'lost', outcome: 'unknown' })
  }

  /** The connection of a database inside the process has ended. */
  interrupted(): void {
    this.#deafSince ??= clock.now()
    this.#gapTold.clear()
  }

  /** There is another connection, on which all channels are listened to. */
  resumed(): void {
    for (const channel of this.#listeners.keys()) this.#tellGap(channel)
    this.#deafSince = null
  }

  heard(channel: string, payload: string, processId: number): void {
    if (this.#deafSince !== null) this.#tellGap(channel)
    for (const listener of this.#listeners.get(channel) ?? [])
      listener.hear({ gap: false, channel, payload, processId })
  }

  get #embedded(): boolean {
    return this.#engine.options.descriptor.where === 'directory'
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  async #listenOutside(channel: string): Promise<void> {
    const until = clock.now() + this.#engine.options.pool.connectTimeoutMs
    // While it is being opened again, every channel is listened to when that is done.
    if (this.#deafSince !== null) return
    if (this.#raw === null) await this.#open(until)
    await this.#listen(channel, until)
  }

  async #listen(channel: string, until: number): Promise<void> {
    const { dialect } = this.#engine
    await this.#run(dialect.channels?.listen(dialect.quote(channel)) ?? '', until)
  }

  async #open(until: number): Promise<void> {
    const hooks: ConnectionHooks = {
      idle() {},
      room() {},
      notice() {},
      notification: (channel, payload, processId) => this.heard(channel, payload, processId),
      lost: (raw, failure) => this.#lose(raw, failure),
    }
    const raw = await inRoot(() => this.#outlet.openOutsidePool(hooks, until))
    if (this.#closed) {
      raw.destroy({ kind: 'closed', outcome: 'not_started' })
      throw { kind: 'closed', outcome: 'not_started' } satisfies Failure as unknown
    }
    this.#raw = raw
  }

  async #hangUp(deadline: number): Promise<void> {
    const raw = this.#raw
    this.#raw = null
    this.#deafSince = null
    await raw?.close(deadline)
  }

  /** Rejects with a `Failure`. */
  async #run(sql: string, until: number): Promise<void> {
    const raw = this.#raw
    if (raw === null) throw { kind: 'lost', outcome: 'not_started' } satisfies Failure as unknown
    const op = new TextOp(this.#statement(sql))
    raw.submitUnit({ ops: [...proofOps(this.#engine, raw, op), op] })
    if (!(await before(until, op.settled))) raw.destroy(lost)
    if (op.failure !== null || op.state !== OpState.settled) throw (op.prefixFailure ?? op.failure ?? lost) as unknown
  }

  #statement(sql: string): Compiled {
    // It is ours: no session is pinned or reset for it.
    return { ...this.#engine.statements.compile(sql).compiled, dirties: 0, pins: 0 }
  }

  async #listenInside(channel: string): Promise<void> {
    const { dialect } = this.#engine
    this.#remember()
    await this.#runInside(dialect.channels?.listen(dialect.quote(channel)) ?? '')
  }

  /** A reset of the connection ends with them. */
  #remember(): void {
    const { dialect } = this.#engine
    const texts = [...this.#listeners.keys()].map((channel) => dialect.channels?.listen(dialect.quote(channel)) ?? '')
    this.#outlet.keepListening(texts.join('; '))
  }

  async #runInside(sql: string, dirties: number = 0): Promise<void> {
    const engine = this.#engine
    const stmt = { ...this.#statement(sql), dirties }
    const op = engineStatement(engine, stmt, { chain: currentChain() })
    op.begin()
    engine.pool.place(op)
    await op.wait()
  }

  #lose(raw: RawConnection, failure: Failure): void {
    if (raw !== this.#raw || this.#closed) return
    this.#raw = null
    this.#deafSince = clock.now()
    this.#told = false
    this.#gapTold.clear()
    void this.#next(() => this.#reopen(failure))
  }

  /** Until it is open again, or nobody wants to listen any more. */
  async #reopen(first: Failure): Promise<void> {
    let failure = first
    while (!this.#closed && this.#listeners.size > 0) {
      await new Promise<void>((resolve) => {
        if (this.#backoff.ready(resolve)) resolve()
      })
      if (this.#closed || this.#listeners.size === 0) break
      try {
        const until = clock.now() + this.#engine.options.pool.connectTimeoutMs
        await this.#open(until)
        for (const channel of this.#listeners.keys()) await this.#listen(channel, until)
        this.#backoff.succeeded()
        return this.resumed()
      } catch (thrown) {
        failure = thrown as Failure
        this.#raw?.destroy(failure)
        this.#raw = null
        this.#gapTold.clear()
        this.#backoff.refused(failure, false)
        this.#tellTrouble(failure)
      }
    }
    this.#deafSince = null
  }

  /** Once in a gap, before anything that comes behind it. */
  #tellGap(channel: string): void {
    if (this.#gapTold.has(channel)) return
    this.#gapTold.add(channel)
    const gapMs = clock.now() - (this.#deafSince ?? clock.now())
    for (const listener of this.#listeners.get(channel) ?? [])
      listener.hear({ gap: true, channel, payload: undefined, gapMs })
  }

  #tellTrouble(failure: Failure): void {
    if (this.#told) return
    this.#told = true
    notice(
      'listening-interrupted',
      `The connection that listens was lost and cannot be opened again yet (${lossOf(failure)}). It is tried until it can. Then every listener hears a gap.`,
      { engine: this.#engine.name, places: [...this.#listeners.keys()].map((channel) => `channel ${channel}`) },
    )
  }

  /** A timer for whoever listens: it keeps the process alive, and asks the connection whether it lives. */
  #keepAlive(): void {
    if (this.#beat !== undefined || this.#closed || this.#listeners.size === 0) return
    const pauseMs = Math.min(this.#beatMs, 60_000)
    this.#beat = inRoot(() => clock.setTimeout(() => void this.#look(pauseMs), pauseMs))
  }

  async #look(pauseMs: number): Promise<void> {
    this.#beat = undefined
    if (!this.#embedded && this.#beatMs !== Infinity)
      await this.#next(async () => {
        const raw = this.#raw
        if (raw !== null && !(await raw.ping(clock.now() + pauseMs))) raw.destroy(lost)
      })
    this.#keepAlive()
  }

  #rest(): void {
    clock.clearTimeout(this.#beat)
    this.#beat = undefined
    this.#beatMs = Infinity
  }
}

/** A statement of the engine on that connection. */
class TextOp extends InternalOp {
  failure: Failure | null = null
  prefixFailure: Failure | null = null
  readonly #end = deferred<boolean>()
  readonly settled: Promise<boolean> = this.#end.promise

  protected over(failure: Failure | null): void {
    this.failure = failure
    this.#end.resolve(true)
  }
}
