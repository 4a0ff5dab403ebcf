// Readiness over node:http, as Express and node:http itself understand it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Db } from '../../db/db.ts'
import { checkHealth, healthOptions, type HealthOptions } from '../health.ts'

/**
 * A handler that answers 200 when the database answers within the deadline, else 503. The answer has counts of the pool as
 * JSON and nothing secret.
 */
export function health(
  db: Db,
  options?: HealthOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const read = healthOptions(options)
  return async (_request, response) => {
    const { status, body } = await checkHealth(db, read)
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(JSON.stringify(body))
  }
}
