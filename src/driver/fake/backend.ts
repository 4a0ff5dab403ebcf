// The server's end of one fake connection: runs the units it received one after another, while answers travel back in
// order. Running and answering are two steps, so a cancel or a loss can come between them. Faults of the phases `send`,
// `answer`, `reset` and `ping` are played out here.
import type { Failure, Op } from '../driver.ts'
import type { Fault, Faults, Limits, Steps } from './scenario.ts'
import type { Fields, Refused, Reply, Rows, FakeSession } from './session.ts'
import { controlOf } from './statements.ts'
import { refused } from './values.ts'

/** How one operation of a unit ended on the server. */
export type End =
  | Rows
  | Refused
  /** An earlier operation failed. */
  | { readonly skipped: true }
  /** It ran, and a later operation failed outside of a transaction block. */
  | { readonly undone: true }
  | { readonly unreadable: string }

/** One Sync on its way: a unit of operations, or a reset or ping of the connection's own. */
export class Flight {
  readonly ops: readonly Op[]
  readonly phase: 'send' | 'reset' | 'ping'
  /** What a reset does on the server. */
  readonly work: (() => void) | null
  /** What became of each operation, as far as the server got. */
  readonly ends: End[] = []
  /** Written to the wire. */
  sent = false
  /** A reset or ping was refused. */
  refused = false
  /** The status byte of its ReadyForQuery. */
  status: 'idle' | 'tx' | 'failed' = 'idle'
  /** A cancel request has arrived, meant for this operation: it, or what runs too long before it, will be stopped. */
  cancelled: Op | null = null
  /** The request has stopped something. */
  stopped = false
  /** Set while a statement sleeps or hangs: goes on with it. */
  wake: (() => void) | null = null

  constructor(ops: readonly Op[], phase: 'send' | 'reset' | 'ping' = 'send', work: (() => void) | null = null) {
    this.ops = ops
    this.phase = phase
    this.work = work
  }

  get label(): string {
    return this.phase === 'send' ? this.ops.map(({ stmt }) => stmt.text).join('; ') : `<${this.phase}>`
  }

  get failed(): boolean {
    const last = this.ends.at(-1)
    return last !== undefined && !('rows' in last)
  }
}

export interface BackendEvents {
  answered(flight: Flight): void
  lost(failure: Failure): void
}

export class FakeBackend {
  readonly #session: FakeSession
  readonly #faults: Faults
  readonly #steps: Steps
  readonly #limits: Limits
  readonly #latencyMs: (text: string) => number
  readonly #events: BackendEvents
  readonly #received: Flight[] = []
  readonly #answers: Flight[] = []
  #running = false
  #answering = false
  /** The answer that is due will never come; no cancel can help. */
  #silent = false

  constructor(
    session: FakeSession,
    time: { readonly steps: Steps; readonly limits: Limits; readonly latencyMs: (text: string) => number },
    faults: Faults,
    events: BackendEvents,
  ) {
    this.#session = session
    this.#faults = faults
    this.#steps = time.steps
    this.#limits = time.limits
    this.#latencyMs = time.latencyMs
    this.#events = events
  }

  receive(flight: Flight): void {
    this.#received.push(flight)
    this.#pump()
  }

  /** A cancel request arrives: it stops whatever runs at this moment, be it the one that was meant or not. */
  cancel(op: Op): void {
    const flight = this.#received[0]
    if (flight === undefined || flight.phase !== 'send' || this.#session.ended) return
    const meant = flight.ops.includes(op) ? op : flight.ops.find(({ stmt }) => controlOf(stmt.text) === null)
    flight.cancelled = meant ?? null
    if (flight.wake !== null) this.#advance(flight)
  }

  /** Whether time alone changes nothing any more, now that no cancel is on its way. */
  recheck(): void {
    if (this.#silent || (this.#received[0]?.wake ?? null) !== null) this.#limits.stick()
  }

  /** A cancel is on its way: what hangs can still end by it. */
  expectCancel(): void {
    if (!this.#silent) this.#limits.unstick()
  }

  /** The connection breaks now; the client finds out in a later step. */
  lose(failure: Failure): void {
    this.#session.end()
    this.#defer('loss', () => this.#events.lost(failure))
  }

  #defer(label: string, run: () => void, delayMs?: number): void {
    this.#steps.defer(`#${this.#session.id} ${label}`, run, delayMs)
  }

  #pump(): void {
    const flight = this.#received[0]
    if (flight === undefined || this.#running || this.#session.ended) return
    this.#running = true
    this.#defer(`run ${flight.label}`, () => this.#advance(flight))
  }

  /** Runs what is left of a unit, until it is through or something makes it wait. */
  #advance(flight: Flight): void {
    if (this.#session.ended) return
    if (flight.phase !== 'send') {
      const fault = this.#faults.take(flight.phase, this.#session.id)
      if (fault === undefined) this.#work(flight)
      else
        this.#suffer(
          flight,
          fault,
          () => this.#work(flight),
          () => this.#refuseWork(flight),
        )
      return
    }
    for (let op = flight.ops[flight.ends.length]; op !== undefined; op = flight.ops[flight.ends.length]) {
      if (!this.#runOne(flight, op)) return
    }
    if (!this.#session.sync()) this.#undo(flight)
    this.#ran(flight)
  }

  /** False: it waits, or the connection broke; somebody else goes on. */
  #runOne(flight: Flight, op: Op): boolean {
    const { text } = op.stmt
    if (flight.failed) return flight.ends.push({ skipped: true }) > 0
    const waited = flight.wake !== null
    flight.wake = null
    if (flight.cancelled !== null && (waited || (flight.cancelled === op && controlOf(text) === null))) {
      flight.cancelled = null
      flight.stopped = true
      this.#limits.unstick()
      return flight.ends.push(this.#session.refuse(text, cancelFields)) > 0
    }
    const fault = this.#faults.take('send', this.#session.id, text)
    if (fault === undefined) return this.#execute(flight, op)
    const go = (): void => {
      if (this.#execute(flight, op)) this.#advance(flight)
    }
    this.#suffer(flight, fault, go, (fields) => {
      flight.ends.push(this.#session.refuse(text, fields))
      this.#advance(flight)
    })
    return false
  }

  #execute(flight: Flight, op: Op): boolean {
    const reply: Reply = this.#session.execute(op.stmt.text, op.params)
    if (!('waitMs' in reply)) return flight.ends.push(reply) > 0
    const go = (): void => {
      flight.ends.push(reply)
      this.#advance(flight)
    }
    this.#wait(flight, reply.waitMs === Infinity ? null : reply.waitMs, go)
    return false
  }

  #suffer(flight: Flight, fault: Fault, go: () => void, refuse: (fields: Fields) => void): void {
    if ('error' in fault) refuse(refused(fault.error, fault.message, fault.fields).error)
    else if ('hang' in fault) this.#wait(flight, null, go)
    else if ('delayMs' in fault) this.#wait(flight, fault.delayMs, go)
    else this.lose(lossOf(fault))
  }

  /** Null: for ever. */
  #wait(flight: Flight, delayMs: number | null, go: () => void): void {
    flight.wake = go
    if (flight.cancelled !== null) this.#advance(flight)
    else if (delayMs === null) this.#limits.stick()
    else {
      const wake = (): void => {
        if (flight.wake !== go || this.#session.ended) return
        flight.wake = null
        go()
      }
      this.#defer(`delay of ${flight.label}`, wake, delayMs)
    }
  }

  #work(flight: Flight): void {
    flight.work?.()
    this.#ran(flight)
  }

  #refuseWork(flight: Flight): void {
    flight.refused = true
    this.#ran(flight)
  }

  /** An error rolled back what ran before it outside of a transaction block, back to the last COMMIT. */
  #undo(flight: Flight): void {
    const failed = flight.ends.findIndex((end) => !('rows' in end))
    for (let i = failed - 1; i >= 0; i--) {
      const verb = controlOf(flight.ops[i]?.stmt.text ?? '')?.verb
      if (verb === 'commit' || verb === 'rollback') return
      flight.ends[i] = { undone: true }
    }
  }

  #ran(flight: Flight): void {
    flight.status = this.#session.status
    this.#received.shift()
    this.#running = false
    this.#answers.push(flight)
    this.#answer()
    this.#pump()
  }

  #answer(): void {
    const flight = this.#answers[0]
    if (flight === undefined || this.#answering) return
    this.#answering = true
    let delayMs = this.#latencyMs(flight.label)
    let lag = false
    flight.ops.forEach(({ stmt }, i) => {
      const fault = this.#faults.take('answer', this.#session.id, stmt.text)
      if (fault === undefined) return
      if ('hang' in fault) this.#silent = true
      else if ('decode' in fault && 'rows' in (flight.ends[i] ?? {})) flight.ends[i] = { unreadable: fault.decode }
      else if ('delayMs' in fault) {
        delayMs += fault.delayMs
        lag = true
      } else if (!('decode' in fault) && !this.#session.ended) this.lose(lossOf(fault))
    })
    const deliver = (): void => {
      if (this.#session.ended) return
      this.#answers.shift()
      this.#answering = false
      this.#events.answered(flight)
      this.#answer()
    }
    if (this.#silent) this.#limits.stick()
    else if (lag) this.#defer(`delay of ${flight.label}`, () => this.#defer(`answer ${flight.label}`, deliver), delayMs)
    else this.#defer(`answer ${flight.label}`, deliver, delayMs)
  }
}

const cancelFields: Fields = refused('57014', 'canceling statement due to user request').error

/** What the client is told when this fault breaks its connection. */
export function lossOf(fault: Fault): Failure {
  if ('protocol' in fault) return { kind: 'protocol', outcome: 'unknown', cause: fault.protocol }
  if (!('lost' in fault) || fault.lost === true) return { kind: 'lost', outcome: 'unknown' }
  return {
    kind: 'lost',
    outcome: 'unknown',
    fields: refused(fault.lost, 'terminating connection', { severity: 'FATAL' }).error,
  }
}
