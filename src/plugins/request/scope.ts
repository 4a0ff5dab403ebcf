// One request and its connection: opened lazily, given back at the first of "the response is closed" and "the handler has
// settled". Frameworks only say when these happen. It never ends an open transaction: what runs on keeps working, and
// everything it borrows from then on goes back at once.
import { isThenable } from '../../util/thrown.ts'
import type { Db } from '../../db/db.ts'
import type { TenantStay } from '../../db/places.ts'
import type { Connection } from '../../engine/connection.ts'
import type { Settings } from '../../engine/context/frame.ts'
import type { Engine } from '../../engine/engine.ts'
import { OpenScope } from '../../engine/open-scope.ts'
import { AbortedError } from '../../errors/index.ts'
import type { Tags, TagValues } from '../../sql/tags.ts'

/** A request as its framework knows it. */
export interface Routed {
  readonly method: string
  /** Of the route, once one was found: `/users/:id`. Never the path of the request, which may hold keys. */
  readonly route: string | undefined
}

export function describeRoute({ method, route }: Routed): string {
  return `${method} ${route ?? 'request'}`
}

/** A client may invent others. */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])

/** What the statements of a request are tagged with. */
export function routeTags({ method, route }: Routed): TagValues {
  return { ...(methods.has(method) ? { method } : {}), ...(route === undefined ? {} : { route }) }
}

export interface RequestScopeOptions {
  /** How the request is called in messages: method and route, not the path. */
  readonly what: () => string
  readonly settings?: Settings | undefined
  readonly hold?: boolean | undefined
  readonly onAbort: 'continue' | 'cancel'
  readonly tags?: Tags | undefined
  /** Where the request is until it has ended. */
  readonly tenant?: TenantStay | null | undefined
}

export class RequestScope {
  readonly db: Db
  /** Those by which a request gives its connection, where it has no property for it. */
  names: string[] | null = null
  readonly #scope: OpenScope
  readonly #abort: AbortController | null
  readonly #tenant: TenantStay | null
  #closed = false
  #settled = false
  /** It will be said when the handler has settled. */
  #settles = false
  #drained: Promise<void> | null = null

  constructor(db: Db, engine: Engine, { what, settings, hold, onAbort, tags, tenant }: RequestScopeOptions) {
    this.db = db
    this.#tenant = tenant ?? null
    this.#abort = onAbort === 'cancel' ? new AbortController() : null
    this.#scope = new OpenScope(engine, db, { what, settings, hold, tags, signal: this.#abort?.signal })
  }

  get connection(): Connection {
    return this.#scope.connection
  }

  /** Aborted when the client leaves before the answer, if that cancels; else undefined. */
  get signal(): AbortSignal | undefined {
    return this.#abort?.signal
  }

  /** Calls `work` with the connection ambient. */
  run<T>(work: () => T): T {
    return this.#scope.run(work)
  }

  /**
   * Calls `work` with the connection ambient: the handler has settled when what it gives has. Costs one promise, and none
   * where `work` gives no promise.
   * @param toThrow What is thrown in place of an error.
   * @param toGive What is given in place of the value of a promise.
   */
  serve<T>(work: () => T, toThrow: (error: unknown) => unknown = same, toGive: (value: unknown) => unknown = same): T {
    this.#settles = true
    const failed = (error: unknown): never => {
      this.handlerSettled()
      throw toThrow(error)
    }
    let given: T
    try {
      given = this.#scope.run(work)
    } catch (error) {
      return failed(error)
    }
    if (isThenable(given))
      return given.then((value) => {
        this.handlerSettled()
        return toGive(value)
      }, failed) as T
    this.handlerSettled()
    return given
  }

  /** The request is about to be answered, as soon as its transaction is committed. */
  answers(): void {
    this.#scope.answers()
  }

  /** The response is over: all of it was sent, or the client has left. */
  responseClosed(sent: boolean): void {
    if (this.#closed) return
    this.#closed = true
    this.#scope.loosen()
    if (!sent) this.#abort?.abort(new AbortedError('The client left before the response was complete.'))
    if (this.#settled) this.#end()
    // Frameworks that cannot know when a handler has settled never say it.
    else if (!this.#settles) this.#tenant?.loosen()
  }

  /** Nothing is held between statements from now on: for connections that outlive a response, such as web sockets. */
  loosen(): void {
    this.#scope.loosen()
  }

  /** The handler and all it awaits are done; a body may still be on its way. Frameworks that cannot know it never say it. */
  handlerSettled(): void {
    if (this.#settled) return
    this.#settled = true
    this.#scope.loosen()
    if (this.#closed) this.#end()
  }

  /** What is to be waited for before the connection is back, once both have happened. Never rejects. */
  get drained(): Promise<void> | null {
    return this.#drained
  }

  #end(): void {
    this.#drained = this.#scope.end()
    this.#tenant?.end()
  }
}

const same = (what: unknown): unknown => what
