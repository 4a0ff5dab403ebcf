// What errors of the database become where there is no framework.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { problemOf, problemType } from '../problem.ts'

/** True when it has answered; called while nothing was sent. */
export type HttpErrorHandler = (error: unknown, request: IncomingMessage, response: ServerResponse) => boolean

/**
 * For `web.handler(handler, { onError: errorHandler() })`: answers what is the client's fault, and what a constraint refused, by the
 * status that the error suggests, as `application/problem+json` without any value. All else is answered as without it.
 */
export function errorHandler(): HttpErrorHandler {
  return (error, _request, response) => {
    const problem = problemOf(error)
    if (problem === null) return false
    response.writeHead(problem.status, { 'content-type': problemType }).end(JSON.stringify(problem))
    return true
  }
}
