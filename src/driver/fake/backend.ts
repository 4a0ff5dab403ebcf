// The server's end of one fake connection: runs the units it received one after another, while answers travel back in order. Running
// and answering are two steps, so a cancel or a loss can come between. Faults of `send`, `answer`, `reset` and `ping` happen here.
import type { Failure, Op } from '../driver.ts'
import type { Fields, Status } from '../postgres/outcome.ts'
import type { Fault, Faults, Steps, TimeLine } from './scenario.ts'
import { refused, transactionControl, type FakeSession, type Refused, type Reply, type Rows } from './session.ts'

/** What the connections of a driver share. */
export interface ConnectionHost {
  readonly steps: Steps
  readonly faults: Faults
  readonly log: string[]
  readonly maxInFlight: number
  latencyMs(text: string): number
}

/** What an operation of a unit was answered. */
export type End = Rows | Refused | { readonly unreadable: string }

/** One Sync on its way: a unit of operations, or a reset or ping of the connection's own. */
export class Flight {
  readonly ops: readonly Op[]
  readonly phase: 'send' | 'reset' | 'ping'
  /** What a reset does on the server. */
  readonly work: (() => void) | null
  /** The answers to its operations, as far as the server got. Of a reset or ping: why it was refused. */
  readonly ends: End[] = []
  /** Written to the wire. */
  sent = false
  /** Told the end of a reset or ping. */
  reply: ((ok: boolean) => void) | null = null
  /** The status byte of its ReadyForQuery. */
  status: Status = 'idle'
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
}

/** What the server does with a unit. It yields the milliseconds it waits; a cancel makes it go on at once. */
type Running<T> = Generator<number, T, void>

export interface BackendEvents {
  answered(flight: Flight): void
  lost(failure: Failure): void
}

export class FakeBackend {
  readonly #session: FakeSession
  readonly #host: ConnectionHost
  readonly #line: TimeLine
  readonly #events: BackendEvents
  readonly #received: Flight[] = []
  readonly #answers: Flight[] = []
  #running = false
  #answering = false
  /** The answer that is due will never come; no cancel can help. */
  #silent = false

  constructor(session: FakeSession, host: ConnectionHost, line: TimeLine, events: BackendEvents) {
    this.#session = session
    this.#host = host
    this.#line = line
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
    const meant = flight.ops.includes(op) ? op : flight.ops.find(({ stmt }) => transactionControl(stmt.text) === null)
    flight.cancelled = meant ?? null
    flight.wake?.()
  }

  /** Whether time alone changes nothing any more, now that no cancel is on its way. */
  recheck(): void {
    if (this.#silent || (this.#received[0]?.wake ?? null) !== null) this.#line.stick()
  }

  /** A cancel is on its way: what hangs can still end by it. */
  expectCancel(): void {
    if (!this.#silent) this.#line.unstick()
  }

  /** The connection breaks now; the client finds out in a later step. */
  lose(failure: Failure): void {
    this.#session.end()
    this.#line.defer('loss', () => this.#events.lost(failure))
  }

  #pump(): void {
    const flight = this.#received[0]
    if (flight === undefined || this.#running || this.#session.ended) return
    this.#running = true
    const script = this.#run(flight)
    this.#line.defer(`run ${flight.label}`, () => this.#advance(flight, script))
  }

  /** Goes on with a unit until it is through or waits. */
  #advance(flight: Flight, script: Running<void>): void {
    for (;;) {
      if (this.#session.ended) return
      const { done, value: waitMs } = script.next()
      if (done === true) {
        this.#ran(flight)
        return
      }
      if (flight.cancelled !== null || this.#session.ended) continue
      const wake = (): void => {
        if (flight.wake !== wake) return
        flight.wake = null
        this.#advance(flight, script)
      }
      flight.wake = wake
      if (waitMs === Infinity) this.#line.stick()
      else this.#line.defer(`delay of ${flight.label}`, wake, waitMs)
      return
    }
  }

  *#run(flight: Flight): Running<void> {
    if (flight.phase !== 'send') {
      const refusal = yield* this.#meet(flight, '')
      if (refusal === null) flight.work?.()
      else flight.ends.push({ error: refusal })
      return
    }
    for (const op of flight.ops) {
      const end = yield* this.#runOne(flight, op)
      flight.ends.push(end)
      if ('error' in end) break
    }
    this.#session.sync()
  }

  *#runOne(flight: Flight, op: Op): Running<Rows | Refused> {
    const { text } = op.stmt
    const meant = flight.cancelled === op && transactionControl(text) === null
    const refusal = meant ? this.#stop(flight) : yield* this.#meet(flight, text)
    if (refusal !== null) return this.#session.refuse(text, refusal)
    const reply: Reply = this.#session.execute(text, op.params)
    if (!('waitMs' in reply)) return reply
    yield reply.waitMs
    return flight.cancelled === null ? reply : this.#session.refuse(text, this.#stop(flight))
  }

  /** A fault that is planted here strikes. Gives what the server refuses with; null: it goes on. */
  *#meet(flight: Flight, text: string): Running<Fields | null> {
    const fault = this.#host.faults.take(flight.phase, this.#session.id, text)
    if (fault === undefined) return null
    if ('error' in fault) return refused(fault).error
    if (!('hang' in fault || 'delayMs' in fault)) this.lose(lossOf(fault))
    yield 'delayMs' in fault ? fault.delayMs : Infinity
    return flight.cancelled === null ? null : this.#stop(flight)
  }

  /** The cancel request that has arrived stops what runs. */
  #stop(flight: Flight): Fields {
    flight.cancelled = null
    flight.stopped = true
    this.#line.unstick()
    return refused({ error: '57014', message: 'canceling statement due to user request' }).error
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
    let delayMs = this.#host.latencyMs(flight.label)
    let lag = false
    flight.ops.forEach(({ stmt }, i) => {
      const fault = this.#host.faults.take('answer', this.#session.id, stmt.text)
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
    if (this.#silent) this.#line.stick()
    else if (lag)
      this.#line.defer(`delay of ${flight.label}`, () => this.#line.defer(`answer ${flight.label}`, deliver), delayMs)
    else this.#line.defer(`answer ${flight.label}`, deliver, delayMs)
  }
}

/** What the client is told when this fault breaks its connection. */
export function lossOf(fault: Fault): Failure {
  if ('protocol' in fault) return { kind: 'protocol', outcome: 'unknown', cause: fault.protocol }
  if (!('lost' in fault) || fault.lost === true) return { kind: 'lost', outcome: 'unknown' }
  const { error } = refused({ error: fault.lost, message: 'terminating connection', fields: { severity: 'FATAL' } })
  return { kind: 'lost', outcome: 'unknown', fields: error }
}
