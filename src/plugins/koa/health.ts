// Readiness in Koa.
import type { Middleware } from 'koa'
import type { Db } from '../../db/db.ts'
import { checkHealth, healthOptions, type HealthOptions } from '../health.ts'

/**
 * A middleware that answers 200 when the database answers within the deadline, else 503. The answer has counts of the pool
 * as JSON and nothing secret. Mount it on a path.
 */
export function health(db: Db, options?: HealthOptions): Middleware {
  const read = healthOptions(options)
  return async (context) => {
    const { status, body } = await checkHealth(db, read)
    context.set('cache-control', 'no-store')
    context.status = status
    context.body = body
  }
}
