// What errors of the database become in Nest, which answers all but its own by 500.
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common'
import { isFault, problemOf } from '../problem.ts'
import { toPlatform } from './not-found/filter.ts'

/** What suggests a status, also of another copy of this package. */
// oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks by `instanceof`
class AnyProblem {
  static [Symbol.hasInstance](error: unknown): boolean {
    return !(error instanceof HttpException) && problemOf(error) !== null
  }
}

/** The logger of Nest's own filter has this name. */
const logger = new Logger('ExceptionsHandler')

/**
 * A filter for errors that are the client's fault, for violated constraints, and where the database cannot serve (503, which is
 * logged as Nest does it). It answers with the status that the error suggests, as a problem (RFC 9457) without any value. Nest
 * gets an `HttpException` with that problem.
 * `app.useGlobalFilters(new ProblemFilter())`, or `APP_FILTER`.
 */
export class ProblemFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const problem = problemOf(error)
    if (problem === null || host.getType() !== 'http') throw error
    if (isFault(problem)) logger.error(error)
    toPlatform(new HttpException(problem, problem.status, { cause: error }), host)
  }
}

Catch(AnyProblem)(ProblemFilter)
