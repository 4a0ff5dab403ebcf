// What errors of the database become in Express: its own error handler knows only `NotFoundError`, and answers by a page.
import type { ErrorRequestHandler } from 'express'
import { isGeneverError, NotFoundError } from '../../errors/index.ts'
import { isFault, problemOf, problemType } from '../problem.ts'

/** An error handler that answers `NotFoundError` with status 404 and its message as JSON. All other errors are passed on. */
export const notFound: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (isGeneverError(error, NotFoundError) && !response.headersSent)
    response.status(error.statusCode).json({ error: error.message })
  else next(error)
}

/**
 * An error handler for errors that are the client's fault, for violated constraints, and where the database cannot serve (503,
 * which is logged as Express does it). It answers with the status that the error suggests, as `application/problem+json`
 * without any value. All other errors are passed on. Use it last: `app.use(errorHandler())`.
 */
export function errorHandler(): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const problem = response.headersSent ? null : problemOf(error)
    if (problem === null) {
      next(error)
      return
    }
    // oxlint-disable-next-line no-console -- as Express itself
    if (isFault(problem) && request.app.get('env') !== 'test') console.error(error)
    response.status(problem.status).type(problemType).send(JSON.stringify(problem))
  }
}
