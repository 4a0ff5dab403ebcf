// What is used of OpenTelemetry's API, by its shape: none of its types reaches our declarations, which compile without
// the package. load.ts proves that the real API fits.

/** `Attributes` */
export type Attributes = Readonly<Record<string, string | number>>

/** `Span` */
export interface OtelSpan {
  setAttributes(attributes: Attributes): unknown
  setStatus(status: { readonly code: number }): unknown
  end(endTime?: number): void
}

/** `Context` */
export interface OtelContext {
  getValue(key: symbol): unknown
}

/** `SpanOptions` */
export interface OtelSpanOptions {
  readonly kind: number
  readonly attributes: Attributes
  /** Monotonic milliseconds (`performance.now()`). */
  readonly startTime: number
}

/** `Tracer` */
export interface OtelTracer {
  startSpan(name: string, options?: OtelSpanOptions, context?: OtelContext): OtelSpan
}

/** `MetricOptions` */
export interface OtelInstrumentOptions {
  readonly description: string
  readonly unit: string
  readonly advice?: { readonly explicitBucketBoundaries: number[] }
}

/** `Histogram` */
export interface OtelHistogram {
  record(value: number, attributes: Attributes): void
}

/** `Counter` */
export interface OtelCounter {
  add(value: number, attributes: Attributes): void
}

/** `Observable`: only its identity counts. */
export type OtelObservable = object

/** `BatchObservableResult` */
export interface OtelObservations {
  observe(metric: OtelObservable, value: number, attributes: Attributes): void
}

/** `Meter` */
export interface OtelMeter {
  createHistogram(name: string, options: OtelInstrumentOptions): OtelHistogram
  createCounter(name: string, options: OtelInstrumentOptions): OtelCounter
  createObservableUpDownCounter(name: string, options: OtelInstrumentOptions): OtelObservable
  addBatchObservableCallback(callback: (result: OtelObservations) => void, observables: OtelObservable[]): void
  removeBatchObservableCallback(callback: (result: OtelObservations) => void, observables: OtelObservable[]): void
}

export interface OtelApi {
  readonly context: { active(): OtelContext }
  readonly trace: {
    getTracer(name: string): OtelTracer
    getSpan(context: OtelContext): OtelSpan | undefined
    setSpan(context: OtelContext, span: OtelSpan): OtelContext
  }
  readonly metrics: { getMeter(name: string): OtelMeter }
  readonly SpanKind: { readonly INTERNAL: number; readonly CLIENT: number }
  readonly SpanStatusCode: { readonly ERROR: number }
}
