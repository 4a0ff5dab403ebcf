// What errors of the database become in route handlers of Next.js, which answers all of them by 500.
import { isFault, problemResponse } from '../problem.ts'

/**
 * Wraps a route handler, around `withDb(db, …)`. Errors that are the client's fault, violated constraints, and errors where the
 * database cannot serve (503, which is logged as Next.js does it) are answered with the status that the error suggests, as
 * `application/problem+json` without any value. All other errors are thrown on.
 */
export function errorHandler<Args extends readonly unknown[]>(
  handler: (...args: Args) => Response | PromiseLike<Response>,
): (...args: Args) => Promise<Response> {
  return async (...args) => {
    try {
      return await handler(...args)
    } catch (error) {
      const response = problemResponse(error)
      if (response === null) throw error
      // oxlint-disable-next-line no-console -- as Next.js itself
      if (isFault(response)) console.error(error)
      return response
    }
  }
}
