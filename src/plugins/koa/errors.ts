// What errors of the database become in Koa, which by itself knows only `NotFoundError`.
import type Koa from 'koa'
import { problemOf, problemType } from '../problem.ts'

/**
 * A middleware for errors that are the client's fault and for violated constraints. It answers with the status that the
 * error suggests, as `application/problem+json` without any value. All other errors are thrown on. Use it first, before
 * `genever(db)`: then transactions after it see the error and roll back.
 */
export function errorHandler(): (
  context: Pick<Koa.ParameterizedContext, 'status' | 'type' | 'body' | 'headerSent'>,
  next: Koa.Next,
) => Promise<void> {
  return async (context, next) => {
    try {
      await next()
    } catch (error) {
      const problem = context.headerSent ? null : problemOf(error)
      if (problem === null) throw error
      context.status = problem.status
      context.body = JSON.stringify(problem)
      context.type = problemType
    }
  }
}
