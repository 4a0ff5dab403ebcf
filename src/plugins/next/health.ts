// Readiness as a route handler of Next.js.
import type { Db } from '../../db/db.ts'
import { checkHealth, type HealthOptions } from '../health.ts'

/**
 * A route handler that answers 200 when the database answers within the deadline, else 503. The answer has counts of the
 * pool as JSON and nothing secret. `export const GET = health(db)`, and `export const dynamic = 'force-dynamic'` beside it.
 */
export function health(db: Db, options?: HealthOptions): () => Promise<Response> {
  return async () => {
    const { status, body } = await checkHealth(db, options)
    return Response.json(body, { status, headers: { 'cache-control': 'no-store' } })
  }
}
