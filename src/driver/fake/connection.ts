// The client's end of one fake connection: the contract of `RawConnection`, kept to the letter. What the server does with
// what is sent here is in backend.ts.
import { type ConnectionHooks, type Failure, type Op, OpState, type RawConnection, type Unit } from '../driver.ts'
import { inRoot } from '../../util/context.ts'
import { Dirty } from '../../sql/compiled.ts'
import { InForce } from '../../sql/settings.ts'
import type { Status } from '../postgres/outcome.ts'
import { type ConnectionHost, FakeBackend, Flight, lossOf } from './backend.ts'
import { TimeLine, type Fault, type FaultPhase } from './scenario.ts'
import type { FakeSession } from './session.ts'
import { settleAnswered, settleLost, settleUnsent } from './settle.ts'
import { clock, type Deferred, deferred } from '../../util/clock.ts'
import { Printable } from '../../util/thrown.ts'

type CancelEnd = 'cancelled' | 'completed' | 'broken'

interface PendingCancel {
  readonly flight: Flight
  /** The request has reached the server. */
  delivered: boolean
  settle(end: CancelEnd): void
}

export class FakeConnection extends Printable implements RawConnection {
  readonly id: number
  readonly born: number = clock.now()
  readonly lent: boolean = false
  readonly native: FakeSession
  readonly maxInFlight: number
  dirty = 0
  epoch = 0
  readonly inForce: InForce = new InForce()
  readonly #host: ConnectionHost
  readonly #hooks: ConnectionHooks
  readonly #line: TimeLine
  readonly #backend: FakeBackend
  /** Submitted and not yet answered, in order; resets and pings too. */
  protected readonly flights: Flight[] = []
  #status: Status = 'idle'
  #baseline = ''
  #ended = false
  #flushing = false
  #cancel: PendingCancel | null = null
  /** Its owner is to be told of room. */
  #full = false
  #closing: Deferred<void> | null = null

  constructor(session: FakeSession, host: ConnectionHost, hooks: ConnectionHooks) {
    super()
    this.id = session.id
    this.native = session
    this.maxInFlight = host.maxInFlight
    this.#host = host
    this.#hooks = hooks
    this.#line = new TimeLine(host.steps, `#${session.id} `)
    this.#backend = new FakeBackend(session, host, this.#line, {
      answered: (flight) => this.#answered(flight),
      lost: (failure) => this.#end(failure)?.(),
    })
    session.listener = {
      notice: (fields) => this.alive && hooks.notice(fields),
      killed: (fields) => this.#backend.lose({ kind: 'lost', outcome: 'unknown', fields }),
    }
  }

  get inFlight(): number {
    return this.flights.reduce((count, { phase }) => count + Number(phase === 'send'), 0)
  }

  get status(): Status {
    return !this.alive || this.flights.length > 0 ? 'unknown' : this.#status
  }

  get alive(): boolean {
    return !this.#ended && this.#closing === null
  }

  get quarantined(): boolean {
    return this.#cancel !== null
  }

  submit(op: Op): void {
    this.submitUnit({ ops: [op] })
  }

  submitUnit(unit: Unit): void {
    this.flights.push(new Flight(unit.ops))
    this.#full ||= this.inFlight >= this.maxInFlight
    if (this.#flushing) return
    this.#flushing = true
    clock.queueMicrotask(() => this.#flush())
  }

  cancel(op: Op, deadline: number): Promise<CancelEnd> {
    const flight = this.flights.find(({ ops }) => ops.includes(op))
    if (flight === undefined || !this.alive) return Promise.resolve(this.alive ? 'completed' : 'broken')
    this.#host.log.push(`${this.id}: <cancel>`)
    const fault = this.#host.faults.take('cancel', this.id, op.stmt.text)
    const { promise, resolve } = deferred<CancelEnd>()
    const settle = (end: CancelEnd): void => {
      if (this.#cancel !== cancel) return
      this.#cancel = null
      disarm()
      resolve(end)
      if (end !== 'broken') this.#tell()
    }
    const cancel: PendingCancel = { flight, delivered: false, settle }
    this.#cancel = cancel
    this.#backend.expectCancel()
    const disarm = this.#line.arm('cancel', deadline, () => settle('broken'))
    this.#send(fault, 'cancel', () => {
      if (this.#ended || this.#cancel !== cancel) return
      if (fault !== undefined && 'cancel' in fault && fault.cancel === 'broken') settle('broken')
      else {
        cancel.delivered = true
        if (fault === undefined || 'delayMs' in fault) this.#backend.cancel(op)
        this.#backend.recheck()
        this.#tell()
      }
    })
    return promise
  }

  lend(): Promise<unknown> {
    return Promise.resolve(this.native)
  }

  reclaim(): Promise<boolean> {
    return Promise.resolve(true)
  }

  setBaseline(sql: string): void {
    this.#baseline = sql
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive) return false
    // Asked for nothing on a clean session, a reset undoes everything.
    const undo = dirty === 0 && this.#status === 'idle' ? Dirty.unknown : dirty
    const line = ['reset', ...Object.entries(Dirty).flatMap(([name, bit]) => ((dirty & bit) === 0 ? [] : [name]))]
    if (this.#status !== 'idle') line.push('+ rollback')
    if (this.#baseline !== '') line.push('+', this.#baseline)
    const work = (): void => this.native.reset(undo, this.#baseline)
    const ok = await this.#exchange(new Flight([], 'reset', work), line.join(' '), deadline)
    if (ok) this.dirty &= (undo & Dirty.unknown) === 0 ? ~undo : 0
    return ok
  }

  async ping(deadline: number): Promise<boolean> {
    return this.alive && this.#exchange(new Flight([], 'ping'), 'ping', deadline)
  }

  close(deadline: number): Promise<void> {
    if (this.#closing !== null || this.#ended) return this.#closing?.promise ?? Promise.resolve()
    this.#closing = deferred()
    const { promise } = this.#closing
    this.#host.log.push(`${this.id}: <close>`)
    const end = (): void => this.#end({ kind: 'closed', outcome: 'unknown' })?.()
    void promise.then(this.#line.arm('close', deadline, end))
    this.#send(this.#host.faults.take('close', this.id), 'close', end)
    return promise
  }

  destroy(cause: Failure): void {
    const mourn = this.#end(cause)
    if (mourn !== null) clock.queueMicrotask(() => inRoot(mourn))
  }

  /** Writes what was submitted in this tick. Nothing of a unit is sent when one of its parameters cannot be written. */
  #flush(): void {
    this.#flushing = false
    if (this.#ended) return
    for (const flight of this.flights.filter(({ sent, phase }) => !sent && phase === 'send')) {
      const failure = this.#encode(flight)
      if (failure === null) {
        flight.sent = true
        for (const op of flight.ops) {
          this.dirty |= op.stmt.dirties
          if (op.state === OpState.queued) op.state = OpState.sent
        }
        this.#host.log.push(`${this.id}: ${flight.label}`)
        this.#backend.receive(flight)
      } else {
        this.flights.splice(this.flights.indexOf(flight), 1)
        inRoot(() => {
          settleUnsent(flight, failure.op, failure.cause)
          this.#tell()
        })
      }
    }
  }

  #encode({ ops }: Flight): { readonly op: Op; readonly cause: unknown } | null {
    for (const op of ops) {
      const fault = this.#host.faults.take('encode', this.id, op.stmt.text)
      if (fault !== undefined && 'encode' in fault) return { op, cause: fault.encode }
      const odd = op.params.findIndex((value) => /^(?:function|symbol|undefined)$/.test(typeof value))
      if (odd >= 0) return { op, cause: `parameter $${odd + 1} is a ${typeof op.params[odd]}` }
    }
    return null
  }

  #answered(flight: Flight): void {
    const before = this.#status
    this.flights.shift()
    this.#status = flight.status
    if (flight.phase === 'send') {
      settleAnswered(flight, before)
      this.#tell()
    } else flight.reply?.(flight.ends.length === 0)
    for (const { stmt } of flight.ops) {
      const fault = this.#host.faults.take('after-answer', this.id, stmt.text)
      if (fault !== undefined) this.#backend.lose(lossOf(fault))
    }
  }

  /**
   * Tells the owner of room and rest, once no cancel is pending. A cancel is over when its request has arrived and everything that
   * was in flight is answered.
   */
  #tell(): void {
    const cancel = this.#cancel
    if (cancel !== null) {
      if (cancel.delivered && this.inFlight === 0)
        this.#line.defer('cancel settles', () => cancel.settle(cancel.flight.stopped ? 'cancelled' : 'completed'))
      return
    }
    if (this.alive && this.#full && this.inFlight < this.maxInFlight) {
      this.#full = false
      this.#hooks.room(this)
    }
    if (this.alive && this.inFlight === 0 && this.#cancel === null) this.#hooks.idle(this)
  }

  /** A reset or ping: sent behind what is in flight. */
  #exchange(flight: Flight, line: string, deadline: number): Promise<boolean> {
    this.#host.log.push(`${this.id}: <${line}>`)
    const { promise, resolve } = deferred<boolean>()
    flight.reply = (ok) => {
      disarm()
      flight.reply = null
      resolve(ok)
    }
    const disarm = this.#line.arm(flight.phase, deadline, () => flight.reply?.(false))
    this.flights.push(flight)
    flight.sent = true
    if (this.#flushing) clock.queueMicrotask(() => this.#backend.receive(flight))
    else this.#backend.receive(flight)
    return promise
  }

  /** A message outside of the units: arrives in a later step, unless a fault has it otherwise. */
  #send(fault: Fault | undefined, phase: FaultPhase, arrive: () => void): void {
    if (fault !== undefined && 'lost' in fault) this.#backend.lose(lossOf(fault))
    else this.#line.send(phase, fault, arrive)
  }

  /** Ends the connection at once and returns what tells everybody; null when it has ended before. */
  #end(failure: Failure): (() => void) | null {
    if (this.#ended) return null
    this.#ended = true
    this.native.end()
    const flights = this.flights.splice(0)
    return () => {
      settleLost(flights, failure, this.#status)
      this.#cancel?.settle('broken')
      for (const { reply } of flights) reply?.(false)
      this.#hooks.lost(this, failure)
      this.#closing?.resolve()
    }
  }

  override toString(): string {
    const state = this.#ended ? 'ended' : this.#cancel === null ? this.status : 'quarantined'
    return `FakeConnection ${this.id} { ${state}, ${this.inFlight}/${this.maxInFlight} in flight }`
  }
}
