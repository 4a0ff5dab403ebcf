// What errors of the database become in route handlers of Next.js, which answers all of them by 500.
import { problemResponse } from '../problem.ts'

/**
 * Wraps a route handler, around `withDb(db, …)`. Errors that are the client's fault and violated constraints are answered
 * with the status that the error suggests, as `application/problem+json` without any value. All other errors are thrown on.
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
      return response
    }
  }
}
