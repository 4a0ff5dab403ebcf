// The filter of routes for `NotFoundError`: gives Nest's own exception to the platform, as if it had been thrown there. Nest
// calls it with what guards, interceptors, pipes and handlers throw.
import { type ArgumentsHost, Catch, type ExceptionFilter, type HttpException } from '@nestjs/common'
import { isGeneverError, NotFoundError } from '../../../errors/index.ts'
import { asNestException } from './exception.ts'
import { rawOf } from '../request/raw.ts'

/** Also those of another copy of this package. */
// oxlint-disable-next-line typescript/no-extraneous-class -- Nest asks by `instanceof`
class AnyNotFound {
  static [Symbol.hasInstance](error: unknown): boolean {
    return isGeneverError(error, NotFoundError)
  }
}

export class NotFoundFilter implements ExceptionFilter<NotFoundError> {
  catch(error: NotFoundError, host: ArgumentsHost): void {
    toPlatform(asNestException(error), host)
  }
}

/** As if it had been thrown there: filters of the whole application see it. */
export function toPlatform(exception: HttpException, host: ArgumentsHost): void {
  const { response } = rawOf(host)
  if (response.headersSent) {
    // Too late for an answer: it is cut short, as Nest does.
    response.end()
    return
  }
  // Express has it, Fastify takes what is thrown.
  const next = host.getArgByIndex<((error: unknown) => void) | undefined>(2)
  if (typeof next !== 'function') throw exception
  next(exception)
}

Catch(AnyNotFound)(NotFoundFilter)
