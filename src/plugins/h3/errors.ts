// What errors of the database become in h3, which hides all but its own.
import type { H3Event, HTTPError } from 'h3'
import { problemResponse } from '../problem.ts'

/**
 * For `new H3({ onError: errorHandler() })`: answers what is the client's fault, and what a constraint refused, by the status that
 * the error suggests, as `application/problem+json` without any value. All else is answered by h3.
 */
export function errorHandler(): (error: HTTPError, event: H3Event) => Response | undefined {
  return (error) => problemResponse(error) ?? undefined
}
