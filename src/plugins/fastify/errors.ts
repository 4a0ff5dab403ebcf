// What errors of the database become in Fastify, which by itself knows only `NotFoundError`.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { problemOf, problemType } from '../problem.ts'

/**
 * For `app.setErrorHandler(errorHandler())`: answers what is the client's fault, and what a constraint refused, by the status that
 * the error suggests, as `application/problem+json` without any value. All else goes to the handler around it, or Fastify's own.
 */
export function errorHandler(): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, _request, reply) => {
    const problem = problemOf(error)
    if (problem === null) void reply.send(error)
    else void reply.status(problem.status).type(problemType).send(JSON.stringify(problem))
  }
}
