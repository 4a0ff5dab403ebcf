// What errors of the database become in h3, which hides all but its own.
import type { H3Event, HTTPError } from 'h3'
import { problemResponse } from '../problem.ts'

/**
 * An error handler for errors that are the client's fault, for violated constraints, and where the database cannot serve (503):
 * `new H3({ onError: errorHandler() })`. It answers with the status that the error suggests, as `application/problem+json`
 * without any value. h3 answers all other errors, and logs every error.
 */
export function errorHandler(): (error: HTTPError, event: H3Event) => Response | undefined {
  return (error) => problemResponse(error) ?? undefined
}
