// What errors of the database become in Fastify, which by itself knows only `NotFoundError`.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isFault, problemOf, problemType } from '../problem.ts'

/**
 * An error handler for errors that are the client's fault, for violated constraints, and where the database cannot serve (503,
 * which is logged as Fastify does it): `app.setErrorHandler(errorHandler())`. It answers with the status that the error
 * suggests, as `application/problem+json` without any value. All other errors go to the error handler around it, or to
 * Fastify's own.
 */
export function errorHandler(): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const problem = problemOf(error)
    if (problem === null) {
      void reply.send(error)
      return
    }
    if (isFault(problem)) request.log.error({ req: request, res: reply, err: error }, problem.title)
    void reply.status(problem.status).type(problemType).send(JSON.stringify(problem))
  }
}
