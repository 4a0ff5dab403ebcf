// What `getOr404` and its like become in Express: without this, its own error handler answers 404 too, as a page.
import type { ErrorRequestHandler } from 'express'
import { isGeneverError, NotFoundError } from '../../errors/index.ts'

/** An error handler that answers `NotFoundError` by status 404 and its message as JSON; all else is passed on. */
export const notFound: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (isGeneverError(error, NotFoundError) && !response.headersSent)
    response.status(error.statusCode).json({ error: error.message })
  else next(error)
}
