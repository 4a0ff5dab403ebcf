// What a route says of its transaction: metadata of its handler or its controller.
import type { ExecutionContext } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import type { RequestTransactionOptions } from '../../options.ts'

/** Boxed: a route without a transaction says so too. */
export interface Said {
  readonly options: RequestTransactionOptions | null
}

/** The key of the metadata, by the name of the database. */
export function saidKey(name: string | undefined): string {
  return name === undefined ? 'genever:route' : `genever:route:${name}`
}

const reflector = new Reflector()

/** Undefined: the route says nothing. */
export function saidOf(
  context: ExecutionContext,
  name: string | undefined,
): RequestTransactionOptions | null | undefined {
  return reflector.getAllAndOverride<Said | undefined>(saidKey(name), [context.getHandler(), context.getClass()])
    ?.options
}

/** `@Sse()`: events have no end to wait for. */
export function isEventStream(context: ExecutionContext): boolean {
  return reflector.get<unknown>('__sse__', context.getHandler()) === true
}
