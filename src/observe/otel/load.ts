// Loads the API of OpenTelemetry when instrument() is called. The only place that names the package at run time: without
// it everything else of this folder still loads.
import { UsageError } from '../../errors/index.ts'
import type { OtelApi } from './api.ts'

/** @throws {UsageError} when the package is missing. */
export async function loadApi(): Promise<OtelApi> {
  try {
    return await import('@opentelemetry/api')
  } catch (cause) {
    throw new UsageError(
      'genever/otel needs the package "@opentelemetry/api". Install it: npm install @opentelemetry/api',
      { cause },
    )
  }
}
