// What `getOr404` and its like become in Hono. Without this, Hono answers 404 by itself.
import type { Env, ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { isGeneverError, NotFoundError } from '../../errors/index.ts'
import { isFault, problemResponse } from '../problem.ts'

/**
 * Wraps an error handler for `app.onError`. In place of `NotFoundError` it gets an `HTTPException` of status 404, with that
 * error as its `cause`. Use it for handlers that ask `error instanceof HTTPException`.
 */
export function httpErrors<E extends Env>(handler: ErrorHandler<E>): ErrorHandler<E> {
  return (error, c) =>
    handler(
      isGeneverError(error, NotFoundError) ? new HTTPException(404, { message: error.message, cause: error }) : error,
      c,
    )
}

/**
 * An error handler for errors that are the client's fault, for violated constraints, and where the database cannot serve (503,
 * which is logged as Hono does it): `app.onError(errorHandler())`. It answers with the status that the error suggests, as
 * `application/problem+json` without any value. All other errors go to `otherwise`. By default they are answered as Hono
 * does it.
 */
export function errorHandler<E extends Env>(otherwise: ErrorHandler<E> = asHono): ErrorHandler<E> {
  return (error, c) => {
    const answer = problemResponse(error)
    if (answer === null) return otherwise(error, c)
    // oxlint-disable-next-line no-console -- as Hono itself
    if (isFault(answer)) console.error(error)
    return answer
  }
}

const asHono: ErrorHandler = (error, c) => {
  if ('getResponse' in error) return error.getResponse()
  // oxlint-disable-next-line no-console -- as Hono itself
  console.error(error)
  return c.text('Internal Server Error', 500)
}
