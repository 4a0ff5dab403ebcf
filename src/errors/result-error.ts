// The statement succeeded, but its answer has not the shape that was asked for. Thrown by the executor, models and
// plug-ins. Doing the same again gives the same, unless data has changed meanwhile.
import { GeneverError } from './genever-error.ts'

/** The answer of the database has not the shape that was asked for. Outcome: `unknown`, unless the thrower knows better. */
export class ResultError extends GeneverError {
  static override readonly code: string = 'GENEVER_RESULT'
}

/** `one()` found no row. */
export class NoResultError extends ResultError {
  static override readonly code: string = 'GENEVER_NO_RESULT'
}

/** `one()` or `oneOrNone()` found more than one row. */
export class MultipleResultsError extends ResultError {
  static override readonly code: string = 'GENEVER_MULTIPLE_RESULTS'
}

/** An update, deletion or reload of an instance found no row: it was deleted, or its key changed. (GINO: `NoSuchRowError`.) */
export class NoSuchRowError extends ResultError {
  static override readonly code: string = 'GENEVER_NO_SUCH_ROW'
}

/**
 * What a request asks for does not exist. Web frameworks answer it with status 404 and its message: they look at
 * `status` (Koa, Hono, h3), `statusCode` (Fastify, Express) and `expose` (Koa, Express).
 *
 * @see GINO's extensions: `get_or_404`, `first_or_404`.
 */
export class NotFoundError extends ResultError {
  static override readonly code: string = 'GENEVER_NOT_FOUND'
  static override readonly suggestedStatus: number = 404
  readonly status: number = 404
  readonly statusCode: number = 404
  readonly expose: boolean = true

  /** The message as a response of that status: what Hono asks of errors (its `HTTPResponseError`). */
  getResponse(): Response {
    return new Response(this.message, { status: this.status })
  }
}

/** An 8-byte integer is too large for a `number`. Its value is not in the message. Ask for `int8: 'bigint'` or `'string'`. */
export class UnsafeIntegerError extends ResultError {
  static override readonly code: string = 'GENEVER_UNSAFE_INTEGER'
}
