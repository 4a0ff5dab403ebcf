// `NotFoundError` of HTTP handlers as Nest's own exception. An interceptor, so that filters of the application see the latter;
// pipes and handlers are inside, guards are in front of it.
import { type CallHandler, type ExecutionContext, type NestInterceptor, NotFoundException } from '@nestjs/common'
import { catchError, type Observable } from 'rxjs'
import { isGeneverError, NotFoundError } from '../../../errors/index.ts'

export class NotFoundInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle()
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw isGeneverError(error, NotFoundError) ? new NotFoundException(error.message, { cause: error }) : error
      }),
    )
  }
}
