// What a route says of its transaction: metadata of its handler or its controller.
import { type CustomDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import { type RequestTransactionOptions, transactionOf } from '../../options.ts'

const keyOf = (name: string | undefined): string => (name === undefined ? 'genever:route' : `genever:route:${name}`)

/** Boxed: a route without a transaction says so too. */
interface Said {
  readonly options: RequestTransactionOptions | null
}

/**
 * The routes of a controller, or one handler, in a transaction, or not: `false` overrides what the controller or the
 * module says. Committed before the answer is sent, rolled back when the handler throws or answers with a status of 400 or
 * more. `name` is that of the database.
 * @throws {InvalidOptionError} for options that a request's transaction cannot have.
 */
export function TransactionalRoute(
  options: boolean | RequestTransactionOptions = true,
  name?: string,
): CustomDecorator {
  const said: Said = { options: transactionOf(options) }
  return SetMetadata(keyOf(name), said)
}

const reflector = new Reflector()

/** Undefined: the route says nothing. */
export function saidOf(
  context: ExecutionContext,
  name: string | undefined,
): RequestTransactionOptions | null | undefined {
  return reflector.getAllAndOverride<Said | undefined>(keyOf(name), [context.getHandler(), context.getClass()])?.options
}
