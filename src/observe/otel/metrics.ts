// Metrics of pools and statements. Durations come from events, counts of connections and waiters from the engines that
// are open when the meter collects: so they are true however late the measuring began, and cost nothing in between.
import {
  type ConnectionEvent,
  connectionChannel,
  type LeaseEvent,
  leaseChannel,
  type StatementEvent,
  statementChannel,
  type WaitEvent,
  waitChannel,
  openEngines,
} from '../channels.ts'
import type { OtelCounter, OtelHistogram, OtelMeter, OtelObservable, OtelObservations } from './api.ts'
import { errorAttributes, poolName, serverAttributes, told } from './attributes.ts'

/** Seconds, as the conventions recommend for `db.client.operation.duration`. */
const boundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
const state = 'db.client.connection.state'

export class Metrics {
  readonly #meter: OtelMeter
  readonly #duration: OtelHistogram
  readonly #createTime: OtelHistogram
  readonly #waitTime: OtelHistogram
  readonly #useTime: OtelHistogram
  readonly #timeouts: OtelCounter
  readonly #count: OtelObservable
  readonly #max: OtelObservable
  readonly #pending: OtelObservable

  constructor(meter: OtelMeter) {
    this.#meter = meter
    const seconds = (name: string, description: string): OtelHistogram =>
      meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries: boundaries } })
    this.#duration = seconds('db.client.operation.duration', 'Duration of database client operations.')
    this.#createTime = seconds('db.client.connection.create_time', 'The time it took to create a new connection.')
    this.#waitTime = seconds(
      'db.client.connection.wait_time',
      'The time it took to obtain an open connection from the pool.',
    )
    this.#useTime = seconds(
      'db.client.connection.use_time',
      'The time between borrowing a connection and returning it to the pool.',
    )
    this.#timeouts = meter.createCounter('db.client.connection.timeouts', {
      description: 'The number of connection timeouts that have occurred trying to obtain a connection from the pool.',
      unit: '{timeout}',
    })
    this.#count = meter.createObservableUpDownCounter('db.client.connection.count', {
      description: 'The number of connections that are currently in state described by the state attribute.',
      unit: '{connection}',
    })
    this.#max = meter.createObservableUpDownCounter('db.client.connection.max', {
      description: 'The maximum number of open connections allowed.',
      unit: '{connection}',
    })
    this.#pending = meter.createObservableUpDownCounter('db.client.connection.pending_requests', {
      description: 'The number of current pending requests for an open connection.',
      unit: '{request}',
    })
    meter.addBatchObservableCallback(this.#observe, this.#observed)
    statementChannel.subscribe(this.#onStatement)
    connectionChannel.subscribe(this.#onConnection)
    leaseChannel.subscribe(this.#onLease)
    waitChannel.subscribe(this.#onWait)
  }

  stop(): void {
    this.#meter.removeBatchObservableCallback(this.#observe, this.#observed)
    statementChannel.unsubscribe(this.#onStatement)
    connectionChannel.unsubscribe(this.#onConnection)
    leaseChannel.unsubscribe(this.#onLease)
    waitChannel.unsubscribe(this.#onWait)
  }

  get #observed(): OtelObservable[] {
    return [this.#count, this.#max, this.#pending]
  }

  /** Engines of the same name are one pool to the meter. */
  readonly #observe = (result: OtelObservations): void => {
    const sums = new Map<string, { idle: number; used: number; max: number; waiting: number }>()
    for (const engine of openEngines()) {
      const { open, idle, max, waiting } = engine.stats()
      const sum = sums.get(engine.name) ?? { idle: 0, used: 0, max: 0, waiting: 0 }
      sum.idle += idle
      sum.used += open - idle
      sum.max += max
      sum.waiting += waiting
      sums.set(engine.name, sum)
    }
    for (const [name, { idle, used, max, waiting }] of sums) {
      result.observe(this.#count, idle, { [poolName]: name, [state]: 'idle' })
      result.observe(this.#count, used, { [poolName]: name, [state]: 'used' })
      result.observe(this.#max, max, { [poolName]: name })
      result.observe(this.#pending, waiting, { [poolName]: name })
    }
  }

  /** An implicit statement is a borrowing of its own. */
  readonly #onStatement = told((event: StatementEvent): void => {
    const { engine, server, operation, connection, implicit, waitMs, durationMs, error } = event
    this.#duration.record((waitMs + durationMs) / 1000, {
      ...serverAttributes(server),
      ...(operation === '' ? {} : { 'db.operation.name': operation }),
      ...errorAttributes(error),
    })
    if (implicit && connection !== null) this.#used(engine, waitMs, durationMs)
  })

  readonly #onConnection = told(({ engine, event, durationMs }: ConnectionEvent): void => {
    if (event === 'open') this.#createTime.record(durationMs / 1000, { [poolName]: engine })
  })

  readonly #onLease = told(({ engine, event, waitMs, useMs }: LeaseEvent): void => {
    if (event === 'acquire') this.#waitTime.record(waitMs / 1000, { [poolName]: engine })
    else this.#useTime.record(useMs / 1000, { [poolName]: engine })
  })

  readonly #onWait = told(({ engine, event, phase }: WaitEvent): void => {
    if (event === 'timeout' && (phase === 'connection' || phase === 'connect'))
      this.#timeouts.add(1, { [poolName]: engine })
  })

  #used(engine: string, waitMs: number, useMs: number): void {
    this.#waitTime.record(waitMs / 1000, { [poolName]: engine })
    this.#useTime.record(useMs / 1000, { [poolName]: engine })
  }
}
