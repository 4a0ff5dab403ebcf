// What errors of the database become in Nest, which answers all but its own by 500.
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common'
import { problemOf } from '../problem.ts'
import { toPlatform } from './not-found/filter.ts'

/** What suggests a status, also of another copy of this package. */
// oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks by `instanceof`
class AnyProblem {
  static [Symbol.hasInstance](error: unknown): boolean {
    return !(error instanceof HttpException) && problemOf(error) !== null
  }
}

/**
 * A filter for errors that are the client's fault and for violated constraints. It answers with the status that the error
 * suggests, as a problem (RFC 9457) without any value. Nest gets an `HttpException` with that problem.
 * `app.useGlobalFilters(new ProblemFilter())`, or `APP_FILTER`.
 */
export class ProblemFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const problem = problemOf(error)
    if (problem === null || host.getType() !== 'http') throw error
    toPlatform(new HttpException(problem, problem.status, { cause: error }), host)
  }
}

Catch(AnyProblem)(ProblemFilter)
