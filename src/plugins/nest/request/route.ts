// `TransactionalRoute()`: the decorator of controllers and handlers. Routes without it have no interceptor to pay for.
import { applyDecorators, Inject, SetMetadata, type Type, UseInterceptors } from '@nestjs/common'
import { type RequestTransactionOptions, transactionOf } from '../../options.ts'
import { getHostToken } from '../tokens.ts'
import { type Said, saidKey } from './said.ts'
import { TransactionInterceptor } from './transaction-interceptor.ts'

/**
 * Runs the routes of a controller, or one handler, in a transaction. `false`: without one, whatever the controller or the
 * module says. The transaction is committed before the answer is sent. It is rolled back when the handler throws or answers
 * with a status of 400 or more. `name` is that of the database. If there is no module of that name, the application does not
 * start.
 * @throws {InvalidOptionError} for options that a request's transaction cannot have.
 */
export function TransactionalRoute(
  options: boolean | RequestTransactionOptions = true,
  name?: string,
): MethodDecorator & ClassDecorator {
  const said: Said = { options: transactionOf(options) }
  const metadata = SetMetadata(saidKey(name), said)
  return said.options === null ? metadata : applyDecorators(metadata, UseInterceptors(interceptorOf(name)))
}

const interceptors = new Map<string | undefined, Type<TransactionInterceptor>>()

/** Nest makes interceptors of a class, in the module of the controller. */
function interceptorOf(name: string | undefined): Type<TransactionInterceptor> {
  let known = interceptors.get(name)
  if (known === undefined) {
    known = class RouteTransaction extends TransactionInterceptor {}
    Inject(getHostToken(name))(known, undefined, 0)
    interceptors.set(name, known)
  }
  return known
}
