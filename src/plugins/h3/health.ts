// Readiness in h3.
import type { Db } from '../../db/db.ts'
import { checkHealth, healthOptions, type HealthOptions } from '../health.ts'

/**
 * A handler that answers 200 when the database answers within the deadline, else 503. The answer has counts of the pool as
 * JSON and nothing secret.
 */
export function health(db: Db, options?: HealthOptions): () => Promise<Response> {
  const read = healthOptions(options)
  return async () => {
    const { status, body } = await checkHealth(db, read)
    return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
  }
}
