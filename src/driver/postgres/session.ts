// One PostgreSQL session as a raw connection: a queue of units in flight, reset, ping, cancel with quarantine, loss. A driver
// gives it a wire that carries bytes, and the messages that arrive; how units are written and answered is the exchange's matter.
import { type Compiled, Dirty } from '../../sql/compiled.ts'
import { InForce } from '../../sql/settings.ts'
import { OpState } from '../driver.ts'
import type { ConnectionHooks, Failure, Op, Proof, RawConnection, RefusedStatement, Unit } from '../driver.ts'
import { interrupt } from '../interrupt.ts'
import { clock, before } from '../../util/clock.ts'
import { ProtocolError } from '../../errors/index.ts'
import { Baseline } from './baseline.ts'
import { Exchange } from './exchange.ts'
import { Message, type Receiver } from './inbox.ts'
import { unreadable } from '../../postgres/encoding.ts'
import { clientBusy, endedByClient } from './loan.ts'
import { type AsyncReceiver, isAsync, readResponse, readStatus, receive, receiveAsync } from './message-reader.ts'
import { MessageWriter } from './message-writer.ts'
import { NameResolution } from './name-resolution.ts'
import { type Fields, type Status, statusOf } from './outcome.ts'
import { PreparedCache } from './prepared/prepared-cache.ts'
import { ExchangeQueue } from './queue.ts'
import { prepareAll, silentText } from './reset.ts'
import type { TypeBook } from '../../postgres/types/book.ts'
import { asksNames, lookUpNames, Unsettled } from './type-lookup.ts'
import type { Carrier, ExchangeHost, SessionOptions, Wire } from './wire.ts'

const changesText = Dirty.settings | Dirty.unknown

export class Session implements RawConnection, ExchangeHost, Receiver {
  readonly id: number
  readonly born: number = clock.now()
  readonly maxInFlight: number
  readonly portals: boolean = true
  readonly dropped: string[] = []
  readonly carrier: Carrier | null
  readonly lends: boolean
  epoch = 0
  dirty = 0
  inFlight = 0
  alive = true
  quarantined = false
  keepsServer = false
  proof: Proof | null = null
  readonly inForce: InForce = new InForce()
  readonly writer: MessageWriter = new MessageWriter()
  /** How often something was sent. */
  flushes = 0
  readonly names: NameResolution
  readonly prepared: PreparedCache
  readonly types: TypeBook
  readonly prefix: string
  readonly #wire: Wire
  readonly #hooks: ConnectionHooks
  readonly #aside: AsyncReceiver
  readonly #binary: boolean
  readonly #queue: ExchangeQueue
  readonly #unsettled: Unsettled = new Unsettled(this)
  /** How long a unit, `#waiting`, waits for the client while it is lent; null: it is not. */
  #lentFor: number | null = null
  #waiting: Exchange | null = null
  /** The first ErrorResponse while nothing was in flight: the server says why it ends the connection. A pooler says so behind it. */
  #lastError: Fields | null = null
  lostBy: Failure | null = null
  #status: Status = 'idle'
  /** What the server is asked to stop. */
  #stopping: Exchange | null = null
  readonly baseline: Baseline

  constructor(wire: Wire, hooks: ConnectionHooks, options: SessionOptions) {
    this.id = options.id
    this.#binary = options.binary ?? false
    this.types = options.types
    this.prefix = options.prefix
    this.names = new NameResolution(options.version)
    this.#queue = new ExchangeQueue(this.names)
    if (options.announced !== undefined) this.names.open(options.announced)
    this.prepared = new PreparedCache(options, this.names, hooks)
    this.baseline = new Baseline(this, wire, options.authorization)
    this.#wire = wire
    this.maxInFlight = wire.maxInFlight
    this.carrier = wire.carrier
    this.lends = wire.lends
    this.#hooks = hooks
    this.#aside = {
      notice: (fields) => hooks.notice(fields),
      notification: (...told) => (wire.notification === undefined ? hooks : wire).notification?.(...told),
      parameter: (name, value) => this.parameter(name, value),
    }
  }

  get native(): unknown {
    return this.#wire.native
  }

  /** Columns are asked for as text once settings may have been changed by which the server writes it: then all runs answer alike. */
  get binary(): boolean {
    return this.#binary && (this.dirty & changesText) === 0 && !this.baseline.changesText
  }

  get status(): Status {
    return this.inFlight > 0 ? 'unknown' : this.#status
  }

  /** The unit at the head of the wire: what arrives is for it. */
  get exchange(): Exchange | null {
    return this.#queue.head
  }

  submit(op: Op): void {
    this.#submit([op])
  }

  submitUnit({ ops }: Unit): void {
    this.#submit(ops)
  }

  join(op: Op, opening = false): boolean {
    const free = this.alive && !this.quarantined && this.#lentFor === null && !asksNames(op, this.types)
    return free && this.#queue.last?.join(op, opening) === true
  }

  #submit(ops: readonly Op[]): void {
    if (!this.alive || this.quarantined || this.inFlight >= this.maxInFlight) {
      const cause = this.alive ? 'submitted to a connection that is busy or quarantined' : undefined
      return clock.queueMicrotask(() => {
        for (const op of ops) op.fail({ kind: 'closed', outcome: 'not_started', cause })
      })
    }
    lookUpNames(ops, this, (message) => this.#hooks.untyped?.(message))
    this.#enqueue(new Exchange(this, ops, 'caller'))
  }

  #enqueue(exchange: Exchange): void {
    if (this.inFlight++ === 0) this.#wire.hold(true)
    // What waits behind a unit that is being stopped waits for the fence too.
    this.#queue.add(exchange)
    this.#pump()
  }

  #pump(): void {
    while (this.#queue.unsent > 0) {
      const next = this.#queue.next(this.#status)
      if (next === null || (this.quarantined && !next.internal)) return
      if (this.#lentFor === null) this.#launch(next)
      else if (this.#queue.onWire || this.#waiting !== null) return
      else return this.#awaitClient(next, this.#lentFor)
    }
  }

  /** Sends the next unit. False: it could not be written. */
  #launch(exchange: Exchange): boolean {
    exchange.renew()
    if (!exchange.plan()) {
      this.#queue.remove(exchange)
      clock.queueMicrotask(() => {
        this.#over()
        exchange.settle(this.#status)
        this.tellFree()
      })
      return false
    }
    const { ops } = exchange
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i] as Op
      this.dirty |= op.stmt.dirties
      if (op.state === OpState.queued) op.state = OpState.sent
    }
    this.#queue.sent()
    exchange.begin(this.#queue.behind(this.#status))
    return true
  }

  /** A unit is not in flight any more. */
  #over(): void {
    if (--this.inFlight === 0 && this.alive) this.#wire.hold(false)
  }

  /** Neither side sends while the other has anything in flight. */
  #awaitClient(exchange: Exchange, waitMs: number): void {
    const status = this.#status
    const tooLate = (): void => this.#callOff(exchange, clientBusy(waitMs))
    const timer = waitMs === Infinity || exchange.internal ? undefined : clock.setTimeout(tooLate, waitMs)
    this.#waiting = exchange
    this.#wire.enter(() => {
      clock.clearTimeout(timer)
      if (this.#waiting !== exchange) return false
      if (exchange.internal || status === 'idle' || this.#status !== 'idle') {
        this.#waiting = null
        return this.#launch(exchange)
      }
      clock.queueMicrotask(() => this.#callOff(exchange, endedByClient()))
      return false
    })
  }

  #callOff(exchange: Exchange, failure: Failure): void {
    if (!this.#queue.remove(exchange)) return
    this.#over()
    if (this.#waiting === exchange) this.#waiting = null
    for (const op of exchange.ops) op.fail(failure)
    this.#pump()
    this.tellFree()
  }

  async cancel(op: Op, deadline: number): Promise<'cancelled' | 'completed' | 'broken'> {
    if (!this.alive) return 'broken'
    const exchange = this.#queue.of(op)
    if (exchange === undefined) return 'completed'
    if (!exchange.sent) {
      this.#callOff(exchange, { kind: 'aborted', outcome: 'not_started' })
      return 'cancelled'
    }
    this.quarantined = true
    this.#stopping = exchange
    const fenced = this.#stop(exchange, deadline)
    if (!(await before(deadline, fenced))) return 'broken'
    this.quarantined = false
    this.#pump()
    this.tellFree()
    return exchange.wasCancelled(op) ? 'cancelled' : 'completed'
  }

  /** Sets what the driver was asked to set in every session, now and at the end of every reset. */
  establish(sql: string, deadline: number): Promise<Failure | null> {
    return this.baseline.establish(sql, deadline)
  }

  /** Asks for rows of text before anybody uses the session. Null: there was no answer in time. */
  async ask(sql: string, deadline: number): Promise<readonly Readonly<Record<string, unknown>>[] | null> {
    const op = silentText(sql)
    return (await this.run([op], deadline)) ? op.rows : null
  }

  prepare(statements: readonly Compiled[], deadline: number): Promise<readonly RefusedStatement[] | null> {
    return prepareAll(this.prepared.unknown(statements), (ops) => this.run(ops, deadline))
  }

  setBaseline(settings: string, channels: string = ''): void {
    this.baseline.settle(settings, channels)
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive || this.inFlight > 0 || !(await this.baseline.restore(dirty, deadline))) return false
    this.dirty = 0
    return true
  }

  get lent(): boolean {
    return this.#lentFor !== null
  }

  async lend(waitMs: number): Promise<unknown> {
    this.#lentFor = waitMs
    this.baseline.wasLent = true
    this.names.lose()
    await this.#wire.lend()
    return this.#wire.native
  }

  async reclaim(deadline: number): Promise<boolean> {
    if (this.#lentFor === null) return this.alive
    const back = await before(deadline, this.#wire.reclaim())
    this.#lentFor = null
    return back && this.alive
  }

  async ping(deadline: number): Promise<boolean> {
    return this.alive && this.inFlight === 0 && this.run([], deadline)
  }

  async close(deadline: number): Promise<void> {
    if (!this.alive) return
    const ended = this.inFlight === 0 ? this.#wire.end().then(() => true) : Promise.resolve(true)
    this.#lose({ kind: 'closed', outcome: 'unknown' }, false)
    await before(deadline, ended)
    this.#wire.destroy()
  }

  destroy(cause: Failure): void {
    this.#lose(cause, true)
  }

  /** For the wire: it broke. */
  lost(cause: unknown, fields: Fields | null): void {
    const last = fields ?? this.exchange?.farewell ?? this.#lastError
    this.#lose({ kind: 'lost', outcome: 'unknown', cause, ...(last === null ? {} : { fields: last }) }, true)
  }

  /** For the wire: what arrived cannot be understood. */
  garbled(cause: unknown): void {
    this.#lose({ kind: 'protocol', outcome: 'unknown', cause }, true)
  }

  /** For the wire: the client it lent has had an answer. */
  clientReady(byte: string): void {
    this.#status = statusOf(byte)
    if (this.inFlight === 0) this.tellFree()
  }

  /** For the wire: the server has announced a parameter. */
  parameter(name: string, value: string): void {
    this.names.report(name, value)
    const refusal = unreadable(name, value)
    if (refusal !== null) this.garbled(refusal)
  }

  /** For the wire: a message of the server. @throws {ProtocolError} when it may not come now. */
  message(type: number, bytes: Buffer, at: number, end: number): void {
    if (!this.alive) return
    const exchange = this.#queue.head
    if (type === Message.readyForQuery && exchange !== null) {
      const status = readStatus(bytes, at, end)
      exchange.checkReady(statusOf(status))
      this.readyForQuery(status)
    } else if (isAsync(type)) receiveAsync(type, bytes, at, end, this.#aside)
    else if (exchange !== null) receive(type, bytes, at, end, exchange)
    else if (type === Message.errorResponse) this.#lastError ??= readResponse(bytes, at, end)
    else throw new ProtocolError('an answer to nothing')
  }

  /** For the wire: a DataRow, and those behind it. Gives where what follows them begins; `from`: nothing is read so. */
  rows(bytes: Buffer, from: number, to: number): number {
    const exchange = this.#queue.head
    return this.alive && exchange !== null ? exchange.dataRows(bytes, from, to) : from
  }

  /** For the wire: ReadyForQuery with its status byte, after all that the unit at the head had to be answered. */
  readyForQuery(byte: string): void {
    const exchange = this.#queue.head
    const status = (this.#status = statusOf(byte))
    if (exchange === null) return
    this.#queue.answered()
    const over = exchange.ready(status, this.quarantined && exchange !== this.#stopping)
    // Behind what is on the wire, which was written for the session as it was.
    if (over) this.#over()
    else this.#queue.repeat(exchange)
    const late = over ? this.#queue.overtaken(exchange) : []
    this.#queue.head?.lead(status)
    this.#pump()
    if (!over) return
    for (const each of late) {
      this.#over()
      this.#unsettled.settle(each, status)
    }
    if (this.#unsettled.settle(exchange, status) && !exchange.internal && !this.quarantined) this.tellFree()
  }

  /** For the exchange: what the writer holds goes out. */
  flush(): void {
    this.flushes++
    this.#wire.flush(this.writer, this.inFlight === 1)
  }

  /** A unit of the session's own. `settled` learns whether it ended without an error. */
  work(ops: readonly Op[], settled: (well: boolean) => void): void {
    if (!this.alive) return settled(false)
    const exchange = new Exchange(this, ops, 'session')
    exchange.whenSettled(() => settled(this.alive && !exchange.failed))
    this.#enqueue(exchange)
  }

  /** False: it did not end well, or not in time. */
  run(ops: readonly Op[], deadline: number): Promise<boolean> {
    return before(deadline, new Promise<boolean>((resolve) => this.work(ops, resolve)))
  }

  /** True: the unit was answered, and so was a fence behind all that was asked of the server. */
  async #stop(exchange: Exchange, deadline: number): Promise<boolean> {
    const settled = new Promise<true>((resolve) => exchange.whenSettled(() => resolve(true)))
    // What is sent to the server stops what runs there.
    if (this.exchange !== exchange)
      await Promise.race([settled, new Promise<void>((resolve) => (exchange.leading = resolve))])
    const stopped = await interrupt((until) => this.#wire.interrupt(until), settled, deadline)
    if (stopped !== 'served') return stopped === 'unsent' ? settled : false
    return this.alive && this.run([], deadline)
  }

  /** The pool and the slots are told what they may send. */
  tellFree(): void {
    if (this.alive && this.inFlight < this.maxInFlight) this.#hooks.room(this)
    if (this.alive && this.inFlight === 0 && !this.quarantined) this.#hooks.idle(this)
  }

  #lose(failure: Failure, destroyed: boolean): void {
    if (!this.alive) return
    this.alive = false
    this.lostBy = failure
    this.#status = 'unknown'
    this.names.close()
    const lost = this.#queue.clear()
    this.#waiting = null
    if (destroyed) this.#wire.destroy()
    clock.queueMicrotask(() => {
      this.inFlight -= lost.length
      for (const exchange of lost) exchange.lose(failure)
      this.#hooks.lost(this, failure)
    })
  }
}
