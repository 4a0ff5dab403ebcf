// One PostgreSQL session as a raw connection: one unit in flight, reset, ping, cancel with quarantine, loss. A driver gives
// it a wire that carries bytes and tells it what arrived; how units are written and answered is the exchange's matter.
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import {
  type ConnectionHooks,
  type Failure,
  type Op,
  OpState,
  parseOnly,
  type RawConnection,
  type RefusedStatement,
  type Unit,
} from '../driver.ts'
import { clock } from '../../util/clock.ts'
import { before } from '../../util/deadline.ts'
import { Exchange, type ExchangeHost } from './exchange.ts'
import { unreadable } from './encoding.ts'
import { clientBusy, endedByClient } from './loan.ts'
import { MessageWriter } from './message-writer.ts'
import { NameSpace } from './name-space.ts'
import { type Fields, type Status, statusOf } from './outcome.ts'
import { dropsPrepared, PreparedCache } from './prepared.ts'
import { everything, resetText, silentOp, silentText } from './reset.ts'
import type { Int8 } from './rows/type-table.ts'
import type { TypeBook } from './type-book.ts'
import type { SessionOptions, Wire } from './wire.ts'

const writer = new MessageWriter()
const firstPauseMs = 50

export class Session implements RawConnection, ExchangeHost {
  readonly id: number
  readonly generation: number
  readonly born: number = clock.now()
  readonly maxInFlight: number = 1
  epoch = 0
  dirty = 0
  readonly writer: MessageWriter = writer
  /** How often something was sent. */
  flushes = 0
  readonly names: NameSpace = new NameSpace()
  readonly prepared: PreparedCache
  readonly int8: Int8
  readonly types: TypeBook
  readonly prefix: string
  readonly #wire: Wire
  readonly #hooks: ConnectionHooks
  #exchange: Exchange | null = null
  /** How long a unit waits for the client while it is lent; null: it is not. */
  #lentFor: number | null = null
  /** The client was lent since the last reset: it may have prepared statements. */
  #wasLent = false
  /** The unit that waits for the client. */
  #waiting: Exchange | null = null
  #started = false
  #inFlight = 0
  #status: Status = 'idle'
  #alive = true
  #quarantined = false
  readonly #authorization: string
  #needed = ''
  #baseline = ''

  constructor(wire: Wire, hooks: ConnectionHooks, options: SessionOptions) {
    this.id = options.id
    this.generation = options.generation
    this.int8 = options.int8
    this.types = options.types
    this.prefix = options.prefix
    if (options.searchPath !== undefined) this.names.open(options.searchPath)
    this.#authorization = options.authorization
    this.prepared = new PreparedCache(options.statementCacheSize, this.names)
    this.#wire = wire
    this.#hooks = hooks
  }

  get native(): unknown {
    return this.#wire.native
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get status(): Status {
    return this.#inFlight > 0 ? 'unknown' : this.#status
  }

  get alive(): boolean {
    return this.#alive
  }

  get quarantined(): boolean {
    return this.#quarantined
  }

  /** The unit in flight, for the wire to report what arrived. */
  get exchange(): Exchange | null {
    return this.#exchange
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit(unit: Unit): void {
    if (!this.#alive || this.#quarantined || this.#inFlight > 0) {
      const cause = this.#alive ? 'submitted to a connection that is busy or quarantined' : undefined
      clock.queueMicrotask(() => {
        for (const op of unit.ops) op.fail({ kind: 'closed', outcome: 'not_started', cause })
      })
      return
    }
    const exchange = new Exchange(this, unit.ops, false)
    this.#inFlight = 1
    if (this.#lentFor === null) this.#launch(exchange)
    else this.#awaitClient(exchange, this.#lentFor)
  }

  /** Sends a unit. False: it could not be written. */
  #launch(exchange: Exchange): boolean {
    const { ops } = exchange
    if (exchange.plan()) {
      for (const op of ops) {
        this.dirty |= op.stmt.dirties
        if (op.state === OpState.queued) op.state = OpState.sent
      }
      this.#send(exchange)
      return true
    }
    clock.queueMicrotask(() => {
      this.#inFlight = 0
      exchange.settle(this.#status)
      this.#tellFree()
    })
    return false
  }

  /** Neither side sends while the other has anything in flight. */
  #awaitClient(exchange: Exchange, waitMs: number): void {
    const status = this.#status
    const tooLate = (): void => this.#callOff(exchange, clientBusy(waitMs))
    const timer = waitMs === Infinity ? undefined : clock.setTimeout(tooLate, waitMs)
    this.#waiting = exchange
    this.#wire.enter(() => {
      clock.clearTimeout(timer)
      if (this.#waiting !== exchange) return false
      if (status === 'idle' || this.#status !== 'idle') {
        this.#waiting = null
        return this.#launch(exchange)
      }
      clock.queueMicrotask(() => this.#callOff(exchange, endedByClient()))
      return false
    })
  }

  #callOff(exchange: Exchange, failure: Failure): void {
    if (this.#waiting !== exchange) return
    this.#waiting = null
    this.#inFlight = 0
    for (const op of exchange.ops) op.fail(failure)
    this.#tellFree()
  }

  async cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.#alive) return 'broken'
    if (this.#waiting?.ops.includes(op) === true) {
      this.#callOff(this.#waiting, { kind: 'aborted', outcome: 'not_started' })
      return 'cancelled'
    }
    const exchange = this.#exchange
    if (exchange === null || !exchange.ops.includes(op)) return 'completed'
    this.#quarantined = true
    const fenced = this.#stop(exchange, deadline)
    if (!(await before(deadline, fenced))) return 'broken'
    this.#quarantined = false
    this.#tellFree()
    return exchange.wasCancelled(op) ? 'cancelled' : 'completed'
  }

  /** Sets what the driver was asked to set in every session, now and at the end of every reset. */
  async establish(sql: string, deadline: number): Promise<Failure | null> {
    const op = silentText(sql)
    const done = await before(deadline, this.#run([op]))
    if (!done) return op.failure ?? { kind: 'timeout', outcome: 'not_started' }
    this.#needed = sql
    return null
  }

  /** Asks for rows of text before anybody uses the session. Null: there was no answer in time. */
  async ask(sql: string, deadline: number): Promise<readonly Readonly<Record<string, unknown>>[] | null> {
    const op = silentText(sql)
    return (await before(deadline, this.#run([op]))) ? op.rows : null
  }

  /** SQL that makes a bare session this one. */
  get baseline(): string {
    return [this.#needed, this.#baseline].filter((sql) => sql !== '').join('; ')
  }

  async prepare(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null> {
    const refused: RefusedStatement[] = []
    let rest = this.prepared.unknown(statements)
    while (rest.length > 0) {
      const ops = rest.map((stmt) => silentOp(stmt, parseOnly))
      if (await before(deadline, this.#run(ops))) break
      const at = ops.findIndex(({ failure }) => failure?.kind === 'server')
      const stmt = rest[at]
      if (stmt === undefined || !this.#alive) return null
      refused.push({ stmt, failure: ops[at]?.failure as Failure })
      // What stood before it is prepared: an error takes back no Parse.
      rest = rest.slice(at + 1)
    }
    return refused
  }

  setBaseline(sql: string): void {
    this.#baseline = sql
    this.names.rebase()
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    const whole = (dirty & Dirty.unknown) !== 0 || (dirty === 0 && this.#status === 'idle')
    const bits = whole ? everything | dirty : dirty
    const undo = silentText(resetText(this.#status, bits, this.#authorization, this.baseline, this.#wasLent))
    if (!(await before(deadline, this.#run([undo])))) return false
    const foreign = whole ? this.#foreign(undo.rows).map((name) => `DEALLOCATE "${name.replaceAll('"', '""')}"`) : []
    if (foreign.length > 0 && !(await before(deadline, this.#run([silentText(foreign.join('; '))])))) return false
    this.names.reset((this.dirty & (Dirty.temp | Dirty.unknown)) !== 0)
    this.dirty = 0
    return true
  }

  /** The statements that others have prepared here. Ours that are gone are forgotten. */
  #foreign(listed: readonly Record<string, unknown>[]): string[] {
    const names = new Set(listed.map(({ name }) => String(name)))
    // A prefix says that others have theirs on the same session of the server.
    const byClient = this.#wasLent && this.prefix === ''
    if (this.#wasLent) this.prepared.keep(names)
    this.#wasLent = false
    const known = new Set(this.prepared.names())
    return listed.flatMap(({ name, from_sql }) =>
      from_sql === true || (byClient && !known.has(String(name))) ? [String(name)] : [],
    )
  }

  get lent(): boolean {
    return this.#lentFor !== null
  }

  async lend(waitMs: number): Promise<unknown> {
    this.#lentFor = waitMs
    this.#wasLent = true
    this.names.lose()
    await this.#wire.lend()
    return this.#wire.native
  }

  async reclaim(deadline: number): Promise<boolean> {
    if (this.#lentFor === null) return this.#alive
    const back = await before(deadline, this.#wire.reclaim())
    this.#lentFor = null
    return back && this.#alive
  }

  async ping(deadline: number): Promise<boolean> {
    if (!this.#alive || this.#inFlight > 0) return false
    return before(deadline, this.#run([]))
  }

  async close(deadline: number): Promise<void> {
    if (!this.#alive) return
    const ended = this.#inFlight === 0 ? this.#wire.end().then(() => true) : Promise.resolve(true)
    this.#lose({ kind: 'closed', outcome: 'unknown' }, false)
    await before(deadline, ended)
    this.#wire.destroy()
  }

  destroy(cause: Failure): void {
    this.#lose(cause, true)
  }

  /** For the wire: it broke. */
  lost(cause: unknown, fields: Fields | null): void {
    const failure: Failure = { kind: 'lost', outcome: 'unknown', cause }
    const last = fields ?? this.#exchange?.error ?? null
    this.#lose(last === null ? failure : { ...failure, fields: last }, true)
  }

  /** For the wire: what arrived cannot be understood. */
  garbled(cause: unknown): void {
    this.#lose({ kind: 'protocol', outcome: 'unknown', cause }, true)
  }

  /** For the wire: the client it lent has had an answer. */
  clientReady(byte: string): void {
    this.#status = statusOf(byte)
    if (this.#inFlight === 0) this.#tellFree()
  }

  /** For the wire: a command of the client it lent has ended. */
  noteClient(tag: string): void {
    if (dropsPrepared(tag)) this.prepared.clear()
  }

  /** For the wire: the server has announced a parameter. */
  parameter(name: string, value: string): void {
    this.#hooks.parameter(name, value)
    if (name === 'search_path') this.names.report(value)
    const refusal = unreadable(name, value)
    if (refusal !== null) this.garbled(refusal)
  }

  /** For the wire: ReadyForQuery with its status byte. */
  readyForQuery(byte: string): void {
    const exchange = this.#exchange
    this.#status = statusOf(byte)
    if (exchange === null) return
    this.#started = false
    if (!exchange.ready(this.#status)) return
    this.#exchange = null
    this.#inFlight = 0
    this.#wire.hold(false)
    exchange.settle(this.#status)
    if (!exchange.internal && !this.#quarantined) this.#tellFree()
  }

  /** For the exchange: what the writer holds goes out. */
  flush(): void {
    this.flushes++
    const bytes = writer.take()
    if (this.#started) this.#wire.more(bytes)
    else {
      this.#started = true
      this.#wire.start(bytes)
    }
  }

  #send(exchange: Exchange): void {
    this.#exchange = exchange
    this.#wire.hold(true)
    exchange.begin(this.#status)
  }

  /** A unit of the session's own. True: it ended without an error. */
  #run(ops: readonly Op[]): Promise<boolean> {
    if (!this.#alive) return Promise.resolve(false)
    const exchange = new Exchange(this, ops, true)
    this.#inFlight = 1
    return new Promise((resolve) => {
      exchange.whenSettled(() => resolve(this.#alive && !exchange.failed))
      const begin = (): boolean => {
        if (!this.#alive) return false
        exchange.plan()
        this.#send(exchange)
        return true
      }
      if (this.#lentFor === null) begin()
      else this.#wire.enter(begin)
    })
  }

  /** True: the unit was answered, and so was a fence behind all that was asked of the server. */
  async #stop(exchange: Exchange, deadline: number): Promise<boolean> {
    const settled = new Promise<true>((resolve) => exchange.whenSettled(() => resolve(true)))
    // A request may overtake the statement it is meant for, and is then without effect: it is repeated.
    for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
      const interruption = await this.#wire.interrupt(deadline)
      if (interruption === 'failed') return false
      if (interruption === 'unsent') return settled
      if (await before(clock.now() + pauseMs, settled)) break
      if (clock.now() >= deadline) return false
    }
    return this.#alive && this.#run([])
  }

  #tellFree(): void {
    if (this.#alive && this.#inFlight < this.maxInFlight) this.#hooks.room(this)
    if (this.#alive && this.#inFlight === 0 && !this.#quarantined) this.#hooks.idle(this)
  }

  #lose(failure: Failure, destroyed: boolean): void {
    if (!this.#alive) return
    this.#alive = false
    this.#status = 'unknown'
    const exchange = this.#exchange ?? this.#waiting
    this.#exchange = null
    this.#waiting = null
    this.#started = false
    if (destroyed) this.#wire.destroy()
    clock.queueMicrotask(() => {
      this.#inFlight = 0
      exchange?.lose(failure)
      this.#hooks.lost(this, failure)
    })
  }
}
