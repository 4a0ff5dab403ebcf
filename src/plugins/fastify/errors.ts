// What errors of the database become in Fastify, which by itself knows only `NotFoundError`.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problemOf, problemType } from '../problem.ts'

/**
 * An error handler for errors that are the client's fault and for violated constraints:
 * `app.setErrorHandler(errorHandler())`. It answers with the status that the error suggests, as `application/problem+json`
 * without any value. All other errors go to the error handler around it, or to Fastify's own.
 */
export function errorHandler(): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, _request, reply) => {
    const problem = problemOf(error)
    if (problem === null) void reply.send(error)
    else void reply.status(problem.status).type(problemType).send(JSON.stringify(problem))
  }
}
