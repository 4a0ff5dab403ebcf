// Connects what the package tells about itself with OpenTelemetry: one function, which returns the function that ends it.
import type { OtelMeter, OtelTracer } from './api.ts'
import { loadApi } from './load.ts'
import { Metrics } from './metrics.ts'
import { Spans } from './spans.ts'
import { must, type Checks, readOptions } from '../../util/options.ts'

/** Options of `instrument()`. */
export interface InstrumentOptions {
  /** Default: the tracer `genever` of the global provider. False: no spans. */
  readonly tracer?: OtelTracer | false | undefined
  /** Default: the meter `genever` of the global provider, which has to be set before. False: no metrics. */
  readonly meter?: OtelMeter | false | undefined
}

const has =
  (...methods: readonly string[]) =>
  (value: unknown): boolean =>
    value === false ||
    (typeof value === 'object' &&
      value !== null &&
      methods.every((name) => typeof Reflect.get(value, name) === 'function'))

const checks: Checks<InstrumentOptions> = {
  tracer: must('a tracer of OpenTelemetry, or false', has('startSpan')),
  meter: must('a meter of OpenTelemetry, or false', has('createHistogram')),
}

/** Ends the instrumentation. Calling it again does nothing. `using` ends it too. */
export interface StopInstrumentation extends Disposable {
  (): void
}

/**
 * Makes spans of statements and transactions, and metrics of pools and statements. It covers all engines of this process,
 * those already open too. Names are those of OpenTelemetry's semantic conventions for databases.
 *
 * @throws {UsageError} when `@opentelemetry/api` is not installed.
 */
export async function instrument(given?: InstrumentOptions): Promise<StopInstrumentation> {
  const options = readOptions<InstrumentOptions>(given, checks, 'instrument()')
  const api = await loadApi()
  const { tracer = api.trace.getTracer('genever'), meter = api.metrics.getMeter('genever') } = options
  const parts: (Spans | Metrics)[] = []
  if (tracer !== false) parts.push(new Spans(api, tracer))
  if (meter !== false) parts.push(new Metrics(meter))
  const stop = (): void => {
    for (const part of parts.splice(0)) part.stop()
  }
  return Object.assign(stop, { [Symbol.dispose]: stop })
}
