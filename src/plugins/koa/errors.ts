// What errors of the database become in Koa, which by itself knows only `NotFoundError`.
import type Koa from 'koa'
import { isFault, problemOf, problemType } from '../problem.ts'

/**
 * A middleware for errors that are the client's fault, for violated constraints, and where the database cannot serve (503: the
 * application hears it as `error`, and logs it). It answers with the status that the error suggests, as
 * `application/problem+json` without any value. All other errors are thrown on. Use it first, before `genever(db)`: then
 * transactions after it see the error and roll back.
 */
export function errorHandler(): (
  context: Pick<Koa.ParameterizedContext, 'status' | 'type' | 'body' | 'headerSent' | 'app'>,
  next: Koa.Next,
) => Promise<void> {
  return async (context, next) => {
    try {
      await next()
    } catch (error) {
      const problem = context.headerSent ? null : problemOf(error)
      if (problem === null) throw error
      if (isFault(problem)) context.app.emit('error', error, context)
      context.status = problem.status
      context.body = JSON.stringify(problem)
      context.type = problemType
    }
  }
}
