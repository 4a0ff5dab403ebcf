// What `getOr404` and its like become in Hono. Without this, Hono answers 404 by itself.
import type { Env, ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { isGeneverError, NotFoundError } from '../../errors/index.ts'

/**
 * An error handler for `app.onError` that hands `handler` an `HTTPException` of status 404 in place of `NotFoundError` (its
 * `cause`), for handlers that ask `error instanceof HTTPException`.
 */
export function httpErrors<E extends Env>(handler: ErrorHandler<E>): ErrorHandler<E> {
  return (error, c) =>
    handler(
      isGeneverError(error, NotFoundError) ? new HTTPException(404, { message: error.message, cause: error }) : error,
      c,
    )
}
