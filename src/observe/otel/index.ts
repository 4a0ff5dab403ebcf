// Spans and metrics for OpenTelemetry. Re-exports, nothing else.
export { instrument, type InstrumentOptions, type StopInstrumentation } from './instrument.ts'
export type {
  Attributes as OtelAttributes,
  OtelContext,
  OtelCounter,
  OtelHistogram,
  OtelInstrumentOptions,
  OtelMeter,
  OtelObservable,
  OtelObservations,
  OtelSpan,
  OtelSpanOptions,
  OtelTracer,
} from './api.ts'
