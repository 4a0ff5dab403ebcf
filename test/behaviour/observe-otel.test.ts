/** genever/otel: spans and metrics as OpenTelemetry names them, in the traces of those who asked. */

import { context, createContextKey, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  InMemoryMetricExporter,
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { instrument, type StopInstrumentation } from 'genever/otel'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  connectionChannel,
  leaseChannel,
  statementChannel,
  statementStartChannel,
  transactionChannel,
  waitChannel,
} from '../../src/observe/channels.ts'
import { caught } from '../support/caught.ts'
import { fake } from '../support/fake.ts'
import { forEachDriver } from '../support/matrix.ts'
import { until } from '../support/until.ts'

const finished = new InMemorySpanExporter()
const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(finished)] }).getTracer('test')

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterAll(() => {
  context.disable()
})

/** Runs `work` in a span that is active inside. */
async function within<T>(name: string, work: (span: Span) => Promise<T>): Promise<T> {
  const span = tracer.startSpan(name)
  try {
    return await context.with(trace.setSpan(context.active(), span), () => work(span))
  } finally {
    span.end()
  }
}

describe('spans', () => {
  let stop: StopInstrumentation
  beforeEach(async () => {
    finished.reset()
    stop = await instrument({ tracer, meter: false })
  })
  afterEach(() => stop())

  const spans = (): readonly ReadableSpan[] => finished.getFinishedSpans()
  const named = (name: string): ReadableSpan => {
    const found = spans().filter((span) => span.name === name)
    if (found.length !== 1) throw new Error(`${found.length} spans are called ${name}: ${tree().join('\n')}`)
    return found[0]!
  }
  const idOf = (span: ReadableSpan): string => span.spanContext().spanId
  /** `parent > name`, by the alphabet: the clock of the SDK has a resolution of a millisecond between spans. */
  const tree = (): string[] => {
    const name = (id: string | undefined): string => spans().find((span) => idOf(span) === id)?.name ?? ''
    return spans()
      .map((span) => `${name(span.parentSpanContext?.spanId)} > ${span.name}`.trim())
      .toSorted((a, b) => a.localeCompare(b, 'en'))
  }

  forEachDriver((driver) => {
    test('a statement has one, named and described by the conventions', async () => {
      const db = await driver.db({ name: 'traced' })
      await db.scalar('select 1')
      finished.reset()

      await db.all(driver.words.integer, [3])

      const [span] = spans()
      const database = driver.name !== 'pglite' ? new URL(await driver.url()).pathname.slice(1) : undefined
      expect(span).toMatchObject({
        name: database === undefined ? 'SELECT' : `SELECT ${database}`,
        kind: SpanKind.CLIENT,
        status: { code: SpanStatusCode.UNSET },
        attributes: {
          'db.system.name': driver.words.system,
          'db.operation.name': 'SELECT',
          'db.query.text': driver.words.integer,
          'db.response.returned_rows': 1,
          'db.client.connection.pool.name': 'traced',
        },
      })
      if (database !== undefined) {
        const { hostname, port } = new URL(await driver.url())
        expect(span?.attributes).toMatchObject({
          'db.namespace': database,
          'server.address': hostname,
          'server.port': Number(port),
        })
      }
      expect(spans()).toHaveLength(1)
      expect(nanoseconds(span!.duration)).toBeGreaterThan(0)
    })

    test('it lies in the trace of its caller, however many ask at once', async () => {
      const db = await driver.db()
      await Promise.all(
        ['a', 'b', 'c'].map((name) =>
          within(name, async () => {
            await db.scalar(`select '${name}'`)
            await db.scope(() => db.status(`values (1)`))
          }),
        ),
      )

      for (const name of ['a', 'b', 'c']) {
        const inside = spans().filter(({ parentSpanContext }) => parentSpanContext?.spanId === idOf(named(name)))
        expect(inside.map(({ attributes }) => attributes['db.operation.name'])).toEqual(['SELECT', 'VALUES'])
        expect(inside[0]?.attributes['db.query.text']).toBe('select ?')
      }
    })

    test('transactions and savepoints have spans, and what runs in them lies below', async () => {
      const db = await driver.db({ name: 'nested' })
      const target = driver.name !== 'pglite' ? ` ${new URL(await driver.url()).pathname.slice(1)}` : ''
      finished.reset()

      await within('request', () =>
        db.transaction(async () => {
          await db.scalar('select 1')
          await db.transaction((tx) => tx.status('values (2)'))
          await within('own', () => db.status('values (3)'))
        }),
      )

      expect(tree()).toEqual([
        '> request',
        `own > VALUES${target}`,
        'request > own',
        `request > TRANSACTION${target}`,
        `SAVEPOINT${target} > VALUES${target}`,
        `TRANSACTION${target} > SAVEPOINT${target}`,
        `TRANSACTION${target} > SELECT${target}`,
      ])
      expect(named(`TRANSACTION${target}`)).toMatchObject({
        kind: SpanKind.INTERNAL,
        status: { code: SpanStatusCode.UNSET },
        attributes: { 'db.operation.name': 'TRANSACTION', 'genever.transaction.end': 'commit' },
      })
    })

    test('what fails has a status and the code of the server', async () => {
      const db = await driver.db()
      finished.reset()

      await caught(db.transaction(() => db.all(`select exp(${driver.words.placeholder(1)})`, [1000])))

      for (const span of spans())
        expect(span).toMatchObject({
          status: { code: SpanStatusCode.ERROR },
          attributes: { 'error.type': driver.words.outOfRange, 'db.response.status_code': driver.words.outOfRange },
        })
      expect(spans().map(({ attributes }) => attributes['genever.transaction.end'])).toEqual([undefined, 'rollback'])
      expect(JSON.stringify(spans().map(({ attributes, events, status }) => [attributes, events, status]))).not.toMatch(
        /out of range/,
      )
    })

    test('one that waited for a connection in vain says so', async () => {
      const db = await driver.single()
      const held = await db.acquire()
      finished.reset()

      await caught(db.status('values (1)', [], { timeoutMs: 30 }))
      await held.release()

      const [span] = spans()
      expect(span?.attributes).toMatchObject({ 'error.type': 'acquire-timeout', 'genever.outcome': 'not_started' })
      expect(span?.attributes['db.response.status_code']).toBeUndefined()
      expect(span?.attributes['genever.wait_time']).toBeGreaterThan(0)
      expect(nanoseconds(span!.duration)).toBeGreaterThan(10e6)
    })
  })

  test('a transaction open when the instrumentation ends has a span up to there, and what comes after has none', async () => {
    await using server = await fake({ tables: { t: [] } }, { name: 'stopped' })
    finished.reset()

    await server.db.transaction(async () => {
      await server.db.all('select * from t')
      stop()
      await server.db.all('select * from t')
    })

    expect(spans().map(({ name }) => name)).toEqual(['SELECT', 'TRANSACTION'])
  })

  test('a context that suppresses tracing has none', async () => {
    await using server = await fake({ tables: { t: [] } })
    finished.reset()
    const key = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING')
    const suppressed = context.active().setValue(key, true)

    await context.with(suppressed, () => server.db.all('select * from t'))

    expect(spans()).toEqual([])
  })
})

describe('metrics', () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1e9 })
  const meter = new MeterProvider({ readers: [reader] }).getMeter('test')
  let stop: StopInstrumentation
  beforeEach(async () => {
    stop = await instrument({ tracer: false, meter })
  })
  afterEach(() => stop())
  afterAll(() => reader.shutdown())

  /** Of one pool, or of all: attributes without the pool's name, and the value, for histograms how many. */
  async function points(metric: string, pool?: string): Promise<[Record<string, unknown>, unknown][]> {
    exporter.reset()
    await reader.forceFlush()
    const found = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics)
      .find(({ descriptor }) => descriptor.name === metric)
    return (found?.dataPoints ?? [])
      .map(
        ({
          attributes: { 'db.client.connection.pool.name': name, ...rest },
          value,
        }): [unknown, [Record<string, unknown>, unknown]] => [
          name,
          [rest, typeof value === 'number' ? value : value.count],
        ],
      )
      .filter(([name]) => name === pool)
      .map(([, point]) => point)
  }
  const counts = async (pool: string): Promise<unknown> => {
    const states = await points('db.client.connection.count', pool)
    const [[, max] = []] = await points('db.client.connection.max', pool)
    const [[, pending] = []] = await points('db.client.connection.pending_requests', pool)
    return {
      ...Object.fromEntries(states.map(([{ 'db.client.connection.state': state }, n]) => [state, n])),
      max,
      pending,
    }
  }
  const total = async (metric: string, pool: string): Promise<number> =>
    (await points(metric, pool)).reduce((sum, [, count]) => sum + Number(count), 0)

  forEachDriver((driver) => {
    test('count connections and those who wait, also of an engine opened before', async () => {
      stop()
      const name = `counted ${driver.name}`
      const db = await driver.single({ name })
      stop = await instrument({ tracer: false, meter })

      const idle = await counts(name)
      const held = await db.acquire()
      const waiting = [db.scalar('select 1'), db.scope((c) => c.scalar('select 2'))]
      await until(() => db.stats().waiting === 2)
      const used = await counts(name)
      await held.release()
      await Promise.all(waiting)
      await db.close()

      expect(idle).toEqual({ idle: 1, used: 0, max: 1, pending: 0 })
      expect(used).toEqual({ idle: 0, used: 1, max: 1, pending: 2 })
    })

    test('measure opening, waiting, using and giving up', async () => {
      const name = `timed ${driver.name}`
      const db = await driver.single({ name })
      const before = await total('db.client.connection.wait_time', name)
      const held = await db.acquire()
      await caught(db.acquire({ timeoutMs: 5 }))
      await caught(db.scalar('select 1', [], { timeoutMs: 5 }))
      await held.release()
      await db.scalar('select 1')

      expect(await total('db.client.connection.create_time', name)).toBe(1)
      expect((await total('db.client.connection.wait_time', name)) - before).toBe(2)
      expect(await total('db.client.connection.use_time', name)).toBe(2)
      expect(await total('db.client.connection.timeouts', name)).toBe(2)
    })
  })

  test('measure operations by name and error', async () => {
    await using server = await fake({ tables: { t: [] } }, { host: 'operations.example', port: 1234, database: 'shop' })
    server.driver.faults.at('insert', { error: '23505' })

    await server.db.all('select * from t')
    await server.db.all('select * from t')
    await caught(server.db.status('insert into t values (1)'))

    const where = {
      'db.system.name': 'postgresql',
      'db.namespace': 'shop',
      'server.address': 'operations.example',
      'server.port': 1234,
    }
    const failure = { 'error.type': '23505', 'db.response.status_code': '23505' }
    const durations = await points('db.client.operation.duration')
    expect(durations.filter(([attributes]) => attributes['server.address'] === where['server.address'])).toEqual([
      [{ ...where, 'db.operation.name': 'SELECT' }, 2],
      [{ ...where, 'db.operation.name': 'INSERT', ...failure }, 1],
    ])
  })
})

test('it listens to nothing before it is called and after it was stopped, twice without harm', async () => {
  const channels = [
    statementStartChannel,
    statementChannel,
    connectionChannel,
    leaseChannel,
    waitChannel,
    transactionChannel,
  ]
  const listening = (): boolean[] => channels.map(({ hasSubscribers }) => hasSubscribers)
  const before = listening()
  {
    using stop = await instrument({ tracer })
    expect(listening().every(Boolean)).toBe(true)
    stop()
    stop()
  }

  expect(before.some(Boolean)).toBe(false)
  expect(listening().some(Boolean)).toBe(false)
})

test('without the SDK of OpenTelemetry it does nothing, and does it without harm', async () => {
  using _stop = await instrument()
  await using server = await fake({ tables: { t: [] } })

  expect(await server.db.transaction(() => server.db.all('select * from t'))).toEqual([])
})

const nanoseconds = ([seconds, rest]: readonly [number, number]): number => seconds * 1e9 + rest
