// A scope around a route handler, a server action, or work for `after()`: Next.js tells nobody when a request is over, so the
// call is the request, and the body of a `Response` belongs to it.
import type { Db } from '../../db/db.ts'
import type { TenantStay } from '../../db/places.ts'
import { InvalidOptionError, isGeneverError, NotFoundError, RequestTenantError } from '../../errors/index.ts'
import { Tags, type TagValues } from '../../sql/tags.ts'
import { type PluginOptions, type RequestTransactionOptions, resolvePluginOptions } from '../options.ts'
import { RequestScope } from '../request/scope.ts'
import { enterTenant, needsTenants } from '../request/tenant.ts'
import { RequestTransaction } from '../request/transaction.ts'
import { followBody, keepWebScope } from '../request/web.ts'
import { isRedirect, notFound } from './navigation.ts'

/** `settingsForRequest` and `tenantForRequest` are given the arguments of the call. */
export type WithDbOptions<Args extends readonly unknown[] = readonly unknown[]> = Pick<
  PluginOptions<Args>,
  'transaction' | 'onAbort' | 'settingsForRequest' | 'tenantForRequest' | 'holdForRequest'
> & {
  /** Names that the server shows behind the text of each statement, such as `{ route: '/api/users' }`. See `query.tags` of the engine. */
  readonly tags?: TagValues | undefined
}

/**
 * Wraps a function so that each call has one lazy connection, which is ambient for everything that it calls. The connection
 * goes back when the function has settled and the body of a `Response` it returned has been read, or the client has left. If
 * `db` has a connection already where the function is called, the call shares that one.
 *
 * `NotFoundError` becomes a 404 with its message as JSON where the first argument is a `Request` (route handlers). Elsewhere
 * it becomes `notFound()` of `next/navigation`.
 *
 * A transaction is committed before the function's promise resolves, also on `redirect()`. It is rolled back on any other
 * error and on a `Response` with a status of 400 or more.
 * @throws {InvalidOptionError} when options are wrong.
 */
export function withDb<Args extends readonly unknown[], R>(
  db: Db,
  action: (...args: Args) => R | PromiseLike<R>,
  options: WithDbOptions<Args> = {},
): (...args: Args) => Promise<R> {
  const { tags: said, ...others } = options
  const tags = said === undefined ? undefined : Tags.of(said)
  const read = resolvePluginOptions<Args>(others)
  const { source, transaction, onAbort, settingsForRequest, tenantForRequest, holdForRequest: hold } = read
  if (tenantForRequest !== undefined) needsTenants(db)
  if (source !== null)
    throw new InvalidOptionError('withDb takes no options of the database. Give them to globalDb or createDb.', {
      options: Object.keys(options).map((name) => ({ name, problem: 'is not an option of withDb' })),
    })
  const what = (): string => action.name || 'withDb()'

  return async (...args) => {
    const request = args[0] instanceof Request ? args[0] : null
    // The one around it has its settings, its tenant, and its end.
    const open = async (tenant: TenantStay | null): Promise<RequestScope> =>
      new RequestScope(db, await db.engineHere(), {
        what,
        settings: settingsForRequest?.(args),
        hold,
        onAbort,
        tags,
        tenant,
      })
    const enter = async (): Promise<RequestScope> => {
      if (tenantForRequest === undefined) return open(null)
      const stay = await enterTenant(db, tenantForRequest, args)
      return stay.run(() => open(stay))
    }
    let scope: RequestScope | null
    try {
      scope = db.current === undefined ? await enter() : null
    } catch (error) {
      if (request === null || !isGeneverError(error, RequestTenantError)) throw error
      return Response.json({ error: error.message }, { status: error.status }) as R
    }
    if (scope !== null && request !== null) keepWebScope(request, request, scope)
    const call = async (): Promise<R> => action(...args)
    const work = transaction === null ? call : (): Promise<R> => inTransaction(db, scope, transaction, call)
    let answer: R
    try {
      answer = await (scope === null ? work() : scope.run(work))
    } catch (error) {
      scope?.handlerSettled()
      scope?.responseClosed(true)
      if (!isGeneverError(error, NotFoundError)) throw error
      if (request === null) return notFound()
      // A route handler answers with a Response, whatever else its type says.
      return Response.json({ error: error.message }, { status: error.status }) as R
    }
    if (scope === null) return answer
    scope.handlerSettled()
    if (answer instanceof Response) return followBody(answer, scope, request?.method ?? '').response as R
    scope.responseClosed(true)
    return answer
  }
}

function inTransaction<T>(
  db: Db,
  scope: RequestScope | null,
  options: RequestTransactionOptions,
  call: () => Promise<T>,
): Promise<T> {
  return new RequestTransaction(db, options, scope).around(
    call,
    (answer) => (answer instanceof Response ? answer.status : 200),
    (error) => (isRedirect(error) ? 303 : null),
  )
}
