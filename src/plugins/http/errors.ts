// What errors of the database become where there is no framework.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { problemOf, problemType } from '../problem.ts'

/** Answers an error. It is called while nothing was sent, and returns true when it has answered. */
export type HttpErrorHandler = (error: unknown, request: IncomingMessage, response: ServerResponse) => boolean

/**
 * An error handler for errors that are the client's fault, for violated constraints, and where the database cannot serve (503):
 * `web.handler(handler, { onError: errorHandler() })`. It answers with the status that the error suggests, as
 * `application/problem+json` without any value. All other errors are answered as without it.
 */
export function errorHandler(): HttpErrorHandler {
  return (error, _request, response) => {
    const problem = problemOf(error)
    if (problem === null) return false
    response.writeHead(problem.status, { 'content-type': problemType }).end(JSON.stringify(problem))
    return true
  }
}
