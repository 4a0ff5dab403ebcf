// The client's end of one fake connection: the contract of `RawConnection`, kept to the letter, and its rules for the
// owner checked at every call. A broken rule is recorded in `driver.violations` and thrown. What the server does with
// what is sent here is in backend.ts.
import { inspect } from 'node:util'
import type { ConnectionHooks, Failure, Op, RawConnection, Unit } from '../driver.ts'
import { inRoot } from '../../util/context.ts'
import { Dirty } from '../../sql/compiled.ts'
import { FakeBackend, Flight, lossOf } from './backend.ts'
import { Limits, type Fault, type FaultPhase, type Faults, type Steps } from './scenario.ts'
import type { FakeSession } from './session.ts'
import { lossOutcomes, settle } from './settle.ts'
import { clock } from '../../util/clock.ts'

/** What a connection needs of its driver. */
export interface ConnectionHost {
  readonly steps: Steps
  readonly faults: Faults
  readonly log: string[]
  readonly maxInFlight: number
  latencyMs(text: string): number
  /** Records a broken rule and throws. */
  violate(rule: string): never
}

type CancelEnd = 'cancelled' | 'completed' | 'broken'

interface PendingCancel {
  readonly op: Op
  readonly flight: Flight
  /** The request has reached the server. */
  delivered: boolean
  settle(end: CancelEnd): void
}

const submitted = new WeakSet<Op>()

export class FakeConnection implements RawConnection {
  static {
    Object.defineProperty(this.prototype, inspect.custom, {
      value(this: FakeConnection): string {
        return this.toString()
      },
    })
  }

  readonly id: number
  readonly generation: number
  readonly born: number = clock.now()
  readonly lent: boolean = false
  readonly native: FakeSession
  readonly maxInFlight: number
  dirty = 0
  readonly #host: ConnectionHost
  readonly #hooks: ConnectionHooks
  readonly #limits: Limits
  readonly #backend: FakeBackend
  /** Submitted and not yet answered, in order; resets and pings too. */
  readonly #flights: Flight[] = []
  readonly #replies = new Map<Flight, (ok: boolean) => void>()
  #status: 'idle' | 'tx' | 'failed' = 'idle'
  #baseline = ''
  #epoch = 0
  /** Why nothing may be submitted, beyond the plain rules: a failed reset or cancel. */
  #unusable: string | null = null
  /** A lease ended with something to reset. */
  #unclean = false
  /** What the session holds was just made its baseline. */
  #settled = false
  #ended = false
  #flushing = false
  #cancel: PendingCancel | null = null
  #roomOwed = false
  #closing: Promise<void> | null = null
  #closed: () => void = () => {}

  constructor(session: FakeSession, host: ConnectionHost, hooks: ConnectionHooks, generation: number) {
    this.id = session.id
    this.native = session
    this.generation = generation
    this.maxInFlight = host.maxInFlight
    this.#host = host
    this.#hooks = hooks
    this.#limits = new Limits(host.steps)
    const time = { steps: host.steps, limits: this.#limits, latencyMs: (text: string) => host.latencyMs(text) }
    this.#backend = new FakeBackend(session, time, host.faults, {
      answered: (flight) => this.#answered(flight),
      lost: (failure) => this.#break(failure),
    })
    session.listener = {
      notice: (fields) => this.alive && hooks.notice(fields),
      parameter: (name, value) => this.alive && hooks.parameter(name, value),
      notification: (channel, payload, pid) =>
        this.#defer(`notification ${channel}`, () => this.alive && hooks.notification(channel, payload, pid)),
      killed: (fields) => this.#backend.lose({ kind: 'lost', outcome: 'unknown', fields }),
    }
  }

  get inFlight(): number {
    return this.#flights.reduce((count, { phase }) => count + Number(phase === 'send'), 0)
  }

  get status(): 'idle' | 'tx' | 'failed' | 'unknown' {
    return !this.alive || this.#flights.length > 0 || this.#unusable !== null ? 'unknown' : this.#status
  }

  get epoch(): number {
    return this.#epoch
  }

  set epoch(epoch: number) {
    if (epoch < this.#epoch) this.#violate(`epoch set back from ${this.#epoch} to ${epoch}`)
    if (this.alive && (this.status !== 'idle' || (this.dirty !== 0 && !this.#settled))) this.#unclean = true
    this.#settled = false
    this.#epoch = epoch
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
    const flight = new Flight(unit.ops)
    this.#check(flight)
    for (const op of unit.ops) submitted.add(op)
    this.#flights.push(flight)
    if (this.#flushing) return
    this.#flushing = true
    clock.queueMicrotask(() => this.#flush())
  }

  cancel(op: Op, deadline: number): Promise<CancelEnd> {
    const flight = this.#flights.find(({ ops }) => ops.includes(op))
    if (flight === undefined || !this.alive) return Promise.resolve(this.alive ? 'completed' : 'broken')
    if (this.#cancel !== null) this.#violate('cancel during a cancel')
    if (flight !== this.#flights[0]) this.#violate(`cancel of a statement that is not at the head: ${flight.label}`)
    this.#host.log.push(`${this.id}: <cancel>`)
    const fault = this.#host.faults.take('cancel', this.id, op.stmt.text)
    return new Promise((resolve) => {
      const disarm = { now: (): void => {} }
      const cancel: PendingCancel = {
        op,
        flight,
        delivered: false,
        settle: (end) => {
          if (this.#cancel !== cancel) return
          this.#cancel = null
          disarm.now()
          if (end === 'broken') this.#unusable = 'a cancel that ended broken'
          resolve(end)
          if (end !== 'broken') this.#tell(false)
        },
      }
      this.#cancel = cancel
      this.#backend.expectCancel()
      disarm.now = this.#limits.arm(this.#name('cancel'), deadline, () => cancel.settle('broken'))
      this.#send(fault, 'cancel', () => this.#deliver(cancel, fault))
    })
  }

  lend(): Promise<unknown> {
    return Promise.resolve(this.native)
  }

  reclaim(): Promise<boolean> {
    return Promise.resolve(true)
  }

  setBaseline(sql: string): void {
    this.#baseline = sql
    this.#settled = true
  }

  async reset(dirty: number, deadline: number): Promise<boolean> {
    if (!this.alive) return false
    if (this.#flights.length > 0 || this.#cancel !== null) this.#violate('reset while something is in flight')
    // Asked for nothing on a clean session, a reset undoes everything.
    const undo = dirty === 0 && this.#status === 'idle' ? Dirty.unknown : dirty
    const bits = Object.entries(Dirty).flatMap(([name, bit]) => ((dirty & bit) === 0 ? [] : [name]))
    const parts = [
      'reset',
      bits.join(' '),
      this.#status === 'idle' ? '' : '+ rollback',
      this.#baseline && `+ ${this.#baseline}`,
    ]
    const work = (): void => this.native.reset(undo, this.#baseline)
    const ok = await this.#exchange(new Flight([], 'reset', work), parts.filter(Boolean).join(' '), deadline)
    if (!ok) this.#unusable = 'a reset that failed'
    else {
      this.dirty &= (undo & Dirty.unknown) === 0 ? ~undo : 0
      this.#unclean = false
    }
    return ok
  }

  async ping(deadline: number): Promise<boolean> {
    return this.alive && this.#exchange(new Flight([], 'ping'), 'ping', deadline)
  }

  close(deadline: number): Promise<void> {
    if (this.#closing !== null) return this.#closing
    if (this.#ended) return Promise.resolve()
    this.#host.log.push(`${this.id}: <close>`)
    const cause: Failure = { kind: 'closed', outcome: 'unknown' }
    const disarm = this.#limits.arm(this.#name('close'), deadline, () => this.#break(cause))
    this.#closing = new Promise((resolve) => {
      this.#closed = () => {
        disarm()
        resolve()
      }
    })
    const fault = this.#host.faults.take('close', this.id)
    this.#send(fault, 'close', () => this.#break(cause))
    return this.#closing
  }

  destroy(cause: Failure): void {
    const mourn = this.#end(cause)
    if (mourn !== null) clock.queueMicrotask(() => inRoot(mourn))
  }

  #violate(rule: string): never {
    this.#host.violate(`#${this.id}: ${rule}`)
  }

  #name(event: string): string {
    return `#${this.id} ${event}`
  }

  #defer(event: string, run: () => void, delayMs?: number): void {
    this.#host.steps.defer(this.#name(event), run, delayMs)
  }

  /** The rules for the owner. */
  #check({ ops, label }: Flight): void {
    if (!this.alive) this.#violate(`submit on a connection that has ended: ${label}`)
    if (this.#unusable !== null) this.#violate(`submit after ${this.#unusable}: ${label}`)
    if (this.#cancel !== null) this.#violate(`submit in quarantine: ${label}`)
    if (this.#flights.some(({ phase }) => phase === 'reset')) this.#violate(`submit during a reset: ${label}`)
    if (this.#unclean) this.#violate(`submit for a new lease without a reset in between: ${label}`)
    if (this.inFlight >= this.maxInFlight) this.#violate(`submit beyond ${this.maxInFlight} in flight: ${label}`)
    if (ops.length === 0) this.#violate('submit of an empty unit')
    for (const op of ops) {
      if (op.state >= 2) this.#violate(`submit of a statement that is over: ${op.stmt.text}`)
      if (submitted.has(op)) this.#violate(`submit of a statement for the second time: ${op.stmt.text}`)
    }
  }

  /** Writes what was submitted in this tick. */
  #flush(): void {
    this.#flushing = false
    if (this.#ended) return
    for (const flight of this.#flights.filter(({ sent, phase }) => !sent && phase === 'send')) {
      const failure = this.#encode(flight)
      if (failure === null) {
        flight.sent = true
        for (const op of flight.ops) {
          this.dirty |= op.stmt.dirties
          if (op.state === 0) op.state = 1
        }
        this.#host.log.push(`${this.id}: ${flight.label}`)
        this.#backend.receive(flight)
      } else inRoot(() => this.#unsent(flight, failure.op, failure.cause))
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

  /** Nothing of the unit is sent when one of its parameters cannot be written. */
  #unsent(flight: Flight, culprit: Op, cause: unknown): void {
    const full = this.inFlight >= this.maxInFlight
    this.#flights.splice(this.#flights.indexOf(flight), 1)
    const failure: Failure = { kind: 'encode', outcome: 'not_started', cause }
    for (const op of flight.ops) {
      op.fail(op === culprit ? failure : { kind: 'skipped', outcome: 'not_started', cause: failure })
    }
    this.#tell(full)
  }

  #answered(flight: Flight): void {
    const full = this.inFlight >= this.maxInFlight
    this.#flights.shift()
    this.#status = flight.status
    if (flight.phase === 'send') {
      settle(flight)
      this.#tell(full)
    } else this.#replies.get(flight)?.(!flight.refused)
    for (const { stmt } of flight.ops) {
      const fault = this.#host.faults.take('after-answer', this.id, stmt.text)
      if (fault !== undefined) this.#backend.lose(lossOf(fault))
    }
  }

  /** Tells the owner of room and rest, once no cancel is pending. */
  #tell(full: boolean): void {
    if (full) this.#roomOwed = true
    if (this.#cancel !== null) {
      this.#finishCancel(this.#cancel)
      return
    }
    if (this.alive && this.#roomOwed && this.inFlight < this.maxInFlight) {
      this.#roomOwed = false
      this.#hooks.room(this)
    }
    if (this.alive && this.inFlight === 0 && this.#cancel === null) this.#hooks.idle(this)
  }

  #deliver(cancel: PendingCancel, fault: Fault | undefined): void {
    if (this.#ended || this.#cancel !== cancel) return
    if (fault !== undefined && 'cancel' in fault && fault.cancel === 'broken') {
      cancel.settle('broken')
      return
    }
    cancel.delivered = true
    if (fault === undefined || 'delayMs' in fault) this.#backend.cancel(cancel.op)
    this.#backend.recheck()
    this.#finishCancel(cancel)
  }

  /** A cancel is over when its request has arrived and everything that was in flight is answered. */
  #finishCancel(cancel: PendingCancel): void {
    if (!cancel.delivered || this.inFlight > 0) return
    this.#defer('cancel settles', () => cancel.settle(cancel.flight.stopped ? 'cancelled' : 'completed'))
  }

  /** A reset or ping: sent behind what is in flight. */
  #exchange(flight: Flight, line: string, deadline: number): Promise<boolean> {
    this.#host.log.push(`${this.id}: <${line}>`)
    return new Promise((resolve) => {
      const disarm = this.#limits.arm(this.#name(flight.phase), deadline, () => reply(false))
      const reply = (ok: boolean): void => {
        disarm()
        this.#replies.delete(flight)
        resolve(ok)
      }
      this.#replies.set(flight, reply)
      this.#flights.push(flight)
      flight.sent = true
      if (this.#flushing) clock.queueMicrotask(() => this.#backend.receive(flight))
      else this.#backend.receive(flight)
    })
  }

  /** A message outside of the units: arrives in a later step, unless a fault has it otherwise. */
  #send(fault: Fault | undefined, phase: FaultPhase, arrive: () => void): void {
    if (fault !== undefined && 'hang' in fault) this.#limits.stick()
    else if (fault !== undefined && 'lost' in fault) this.#backend.lose(lossOf(fault))
    else if (fault !== undefined && 'delayMs' in fault) {
      this.#defer(`delay of ${phase}`, () => this.#defer(phase, arrive), fault.delayMs)
    } else this.#defer(phase, arrive)
  }

  #break(failure: Failure): void {
    this.#end(failure)?.()
  }

  /** Ends the connection at once and returns what tells everybody; null when it has ended before. */
  #end(failure: Failure): (() => void) | null {
    if (this.#ended) return null
    this.#ended = true
    this.native.end()
    const outcomes = lossOutcomes(this.#flights, this.#status)
    this.#flights.length = 0
    return () => {
      for (const [op, outcome] of outcomes) op.fail({ ...failure, outcome })
      this.#cancel?.settle('broken')
      for (const reply of this.#replies.values()) reply(false)
      this.#hooks.lost(this, failure)
      this.#closed()
    }
  }

  toString(): string {
    const state = this.#ended ? 'ended' : this.#cancel === null ? this.status : 'quarantined'
    return `FakeConnection ${this.id} { ${state}, ${this.inFlight}/${this.maxInFlight} in flight }`
  }
}
