// `NotFoundError` of HTTP routes as Nest's own exception, at no price for requests that find what they look for: every route
// gets a filter, which Nest asks first and only when something was thrown. It hands Nest's exception to the platform, from
// where it comes to the filters of the whole application. Filters of a route itself would be passed over by that: such a
// route has an interceptor in its place.
import {
  UseFilters,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common'
import { EXCEPTION_FILTERS_METADATA, INTERCEPTORS_METADATA, PATH_METADATA } from '@nestjs/common/constants.js'
import { APP_FILTER, MetadataScanner, type ModulesContainer } from '@nestjs/core'
import { NotFoundFilter } from './filter.ts'
import { metadata } from '../metadata.ts'
import { catchError, type Observable } from 'rxjs'
import { isGeneverError, NotFoundError } from '../../../errors/index.ts'
import { asNestException } from './exception.ts'

/**
 * `NotFoundError` of HTTP handlers as Nest's own exception, for routes with their own filters, which see the latter. Pipes and handlers
 * are inside, guards are in front of it.
 */
class NotFoundInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle()
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw isGeneverError(error, NotFoundError) ? asNestException(error) : error
      }),
    )
  }
}

const scanner = new MetadataScanner()
const filter = new NotFoundFilter()
const interceptor = new NotFoundInterceptor()

/** For all controllers of an application, before Nest makes its routes. Idempotent. */
export function convertNotFound(modules: ModulesContainer): void {
  const scoped = hasScopedFilter(modules)
  for (const { controllers } of modules.values())
    for (const { metatype } of controllers.values()) if (metatype !== null) convertIn(metatype, scoped)
}

function convertIn(controller: object, scoped: boolean): void {
  const { prototype } = controller as { prototype: Record<string, object> }
  for (const name of scanner.getAllMethodNames(prototype)) {
    const value = prototype[name] as object
    if (metadata.getMetadata(PATH_METADATA, value) === undefined) continue
    const decorate =
      scoped || filtersOf(controller).length > 0 || filtersOf(value).length > 0
        ? has(INTERCEPTORS_METADATA, value, interceptor) || UseInterceptors(interceptor)
        : has(EXCEPTION_FILTERS_METADATA, value, filter) || UseFilters(filter)
    if (decorate !== true) decorate(prototype, name, { value })
  }
}

/** Those of the application. */
function filtersOf(target: object): readonly unknown[] {
  return listOf(EXCEPTION_FILTERS_METADATA, target).filter((each) => each !== filter)
}

function has(key: string, target: object, value: unknown): boolean {
  return listOf(key, target).includes(value)
}

function listOf(key: string, target: object): readonly unknown[] {
  return (metadata.getMetadata(key, target) ?? []) as readonly unknown[]
}

/** Filters of the whole application that are made for each request: what comes from the platform is not shown to them. */
function hasScopedFilter(modules: ModulesContainer): boolean {
  return [...modules.values()].some(({ injectables }) =>
    [...injectables.keys()].some((token) => typeof token === 'string' && token.startsWith(APP_FILTER)),
  )
}
