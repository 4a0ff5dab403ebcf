// What errors of the database become in Koa, which by itself knows only `NotFoundError`.
import type Koa from 'koa'
import { problemOf, problemType } from '../problem.ts'

/**
 * A middleware that answers what is the client's fault, and what a constraint refused, by the status that the error suggests, as
 * `application/problem+json` without any value; all else is thrown on. It stands first, in front of `genever(db)`, so that
 * transactions behind it see the error and roll back.
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
