// The one AsyncLocalStorage of the package and the root context. Knows nothing of databases: the engine decides what
// a store is. `run` is the only way to change what is current; the form that changes the caller's own context is
// never used, because sibling branches of a `Promise.all` would see each other's state.
import { AsyncLocalStorage } from 'node:async_hooks'

/** A typed view of an AsyncLocalStorage that can only be changed for the length of a callback. */
export class ContextStore<T> {
  readonly #storage = new AsyncLocalStorage<T | undefined>()

  /** What is current, or undefined outside every `run`. */
  get(): T | undefined {
    return this.#storage.getStore()
  }

  /** Calls `work` with `value` as the current store and returns what it returns. */
  run<R>(value: T | undefined, work: () => R): R {
    return this.#storage.run(value, work)
  }
}

const root: <R>(work: () => R) => R = AsyncLocalStorage.snapshot()

/**
 * Calls `work` in the context in which this package was loaded. Sockets, timers and everything else that outlives a
 * request is created here: made inside a request's frame it would keep that frame, and every store of the caller,
 * alive for as long as it lives.
 */
export function inRoot<R>(work: () => R): R {
  return root(work)
}
