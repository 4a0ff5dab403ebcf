// `NotFoundError` of HTTP handlers as Nest's own exception, for routes with filters of their own, which see the latter. Pipes
// and handlers are inside, guards are in front of it.
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common'
import { catchError, type Observable } from 'rxjs'
import { isGeneverError, NotFoundError } from '../../../errors/index.ts'
import { asNestException } from './exception.ts'

export class NotFoundInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle()
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw isGeneverError(error, NotFoundError) ? asNestException(error) : error
      }),
    )
  }
}
