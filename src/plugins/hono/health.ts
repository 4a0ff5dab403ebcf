// Readiness in Hono.
import type { Context } from 'hono'
import type { Db } from '../../db/db.ts'
import { checkHealth, healthOptions, type HealthOptions } from '../health.ts'

/**
 * A handler that answers 200 when the database answers within the deadline, else 503. The answer has counts of the pool as
 * JSON and nothing secret.
 */
export function health(db: Db, options?: HealthOptions): (c: Context) => Promise<Response> {
  const read = healthOptions(options)
  return async (c) => {
    const { status, body } = await checkHealth(db, read)
    return c.json(body, status, { 'cache-control': 'no-store' })
  }
}
