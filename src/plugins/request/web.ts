// Scopes of requests of the Fetch API: a `Request` comes in, a `Response` goes out, and nothing says when its body has been
// sent. So the body is followed until it has been read, or given up. Used where there is no `node:http` response to ask.
import type { Db } from '../../db/db.ts'
import type { RequestScope } from './scope.ts'
import { deferred } from '../../util/clock.ts'

/** By what the framework hands all handlers of one request. */
const scopes = new WeakMap<object, RequestScope[]>()

/** The scope this request has for `db`, if any plug-in has opened one. */
export function webScopeOf(carrier: object, db: Db): RequestScope | undefined {
  return scopes.get(carrier)?.find((scope) => scope.db === db)
}

/** Keeps the scope with its request, and ends it when the client leaves. */
export function keepWebScope(carrier: object, request: Request, scope: RequestScope): void {
  const kept = scopes.get(carrier)
  if (kept === undefined) scopes.set(carrier, [scope])
  else kept.push(scope)
  const { signal } = request
  const left = (): void => scope.responseClosed(false)
  if (signal.aborted) left()
  else signal.addEventListener('abort', left, { once: true })
}

export interface Followed {
  /** The same response, to be sent in its place. */
  readonly response: Response
  /** Resolves when its body has been read or given up and the connection is back. */
  readonly over: Promise<void>
}

/**
 * Ends the scope when the response's body has been read, with the connection ambient; without one, at once.
 * @param method Of the request: frameworks answer HEAD by the handler of GET, and then forget the body.
 */
export function followBody(response: Response, scope: RequestScope, method: string): Followed {
  const { body } = response
  if (body === null) {
    scope.responseClosed(true)
    return { response, over: scope.drained ?? Promise.resolve() }
  }
  const { promise: over, resolve } = deferred()
  const end = (sent: boolean): void => {
    scope.responseClosed(sent)
    resolve(scope.drained ?? undefined)
  }
  if (method === 'HEAD') {
    // Whatever its source says to that: nobody reads it.
    void scope
      .run(() => body.cancel())
      .then(
        () => end(true),
        () => end(true),
      )
    return { response: new Response(null, response), over }
  }
  const reader = body.getReader()
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    try {
      const { done, value } = await reader.read()
      if (!done) return controller.enqueue(value)
      controller.close()
      end(true)
    } catch (error) {
      end(false)
      throw error
    }
  }
  const followed = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => scope.run(() => pull(controller)),
      cancel: (reason) => {
        end(false)
        return reader.cancel(reason)
      },
    },
    // Nothing is read before somebody wants it.
    { highWaterMark: 0 },
  )
  return { response: new Response(followed, response), over }
}
