// Readiness in Fastify.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Db } from '../../db/db.ts'
import { checkHealth, type Health, healthOptions, type HealthOptions } from '../health.ts'

/**
 * A handler that answers 200 when the database answers within the deadline, else 503. The answer has counts of the pool as
 * JSON and nothing secret.
 */
export function health(
  db: Db,
  options?: HealthOptions,
): (request: FastifyRequest, reply: FastifyReply) => Promise<Health['body']> {
  const read = healthOptions(options)
  return async (_request, reply) => {
    const { status, body } = await checkHealth(db, read)
    void reply.code(status).header('cache-control', 'no-store')
    return body
  }
}
