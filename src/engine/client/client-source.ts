// The methods of a database client beside queries: locks, channels, COPY. Only engines and `Db` have them, because all of them follow
// the context. Each is implemented in the file of its name.
import type { LockKey } from '../../sql/dialect.ts'
import { Executor } from '../query/executor.ts'
import type { QueryOptions } from '../query/query-options.ts'
import { copyFrom, copyTo, type CopyCallOptions, type CopyOut } from './copy.ts'
import type { CopyIn } from './copy-in.ts'
import type { Hear, Listener, ListenOptions } from './listener.ts'
import type { EngineRuntime } from '../runtime.ts'
import type { LockOptions } from './lock.ts'

export abstract class ClientSource extends Executor {
  /** @internal The `Db` frames are opened through; null for an engine. */
  abstract token(): object | null
  /** @internal What runs the calls below: of the engine, or loaded for the checks of their arguments before there is one. */
  abstract runtimeHere(): EngineRuntime | Promise<EngineRuntime>
  abstract scope<T>(work: () => Promise<T> | T): Promise<T>
  abstract detached<T>(work: () => Promise<T> | T): Promise<T>

  /**
   * Runs `work` while it holds the lock of that name, across all processes. (PostgreSQL: advisory locks.) In a transaction the
   * lock is held until the transaction ends. Otherwise it is held until `work` has settled, on the connection of the scope
   * around it or of a new scope. Code inside `work` already has the lock and may lock the same name again.
   * @returns The result of `work`, or undefined when `try` did not get the lock.
   * @throws {QueryTimeoutError} when the lock is not free within `timeoutMs`. @throws {AbortedError} when the signal aborts.
   * @throws {ConnectionLostError} when the connection, and with it the lock, was lost while `work` ran.
   * @throws {UsageError} for an invalid key, and outside a transaction behind a transaction pooler.
   */
  lock<T>(
    key: LockKey,
    work: () => Promise<T> | T,
    options: LockOptions & { readonly try: true },
  ): Promise<T | undefined>
  lock<T>(
    key: LockKey,
    work: () => Promise<T> | T,
    options?: LockOptions & { readonly try?: false | undefined },
  ): Promise<T>
  async lock<T>(key: LockKey, work: () => Promise<T> | T, options?: LockOptions): Promise<T | undefined> {
    const runtime = this.runtimeHere()
    return (runtime instanceof Promise ? await runtime : runtime).lock(this, key, work, options)
  }

  /**
   * Writes rows into a table in bulk, from a stream or other source of bytes: `await db.copyFrom('books (id, title)').from(data)`.
   * Like any statement it runs in the transaction around it, if there is one. Nothing is sent before `from()`, `writable()` or `stream()` is called. `target` is SQL.
   * @throws {UsageError} for options that contradict each other.
   */
  copyFrom(target: string, options?: CopyCallOptions): CopyIn {
    return copyFrom(this, target, options)
  }

  /**
   * Reads a table or the rows of a query in bulk, by a loop over chunks of bytes or as a stream. `source` is SQL without parameters.
   * @throws {UsageError} for options that contradict each other.
   */
  copyTo(source: string, options?: CopyCallOptions): CopyOut {
    return copyTo(this, source, options)
  }

  /**
   * Listens to a channel. It calls `work` for each notification in order, the next one when `work` has settled. Without `work`,
   * loop over the listener. All channels share one connection beyond `pool.max`. It is opened again when it is lost, and then
   * every listener gets a gap. The promise settles when LISTEN has run. The process is kept alive until `unlisten()`.
   * @throws {ConnectError} when no connection can be opened for it.
   * @throws {UsageError} for an invalid channel name, and behind a transaction pooler.
   */
  async listen(channel: string, work?: Hear, options?: ListenOptions): Promise<Listener> {
    const runtime = this.runtimeHere()
    return (runtime instanceof Promise ? await runtime : runtime).listen(this, channel, work, options)
  }

  /**
   * Sends a text to all listeners of the channel. In a transaction it is sent at COMMIT. The server takes up to 7,999 bytes.
   * @throws {UsageError} for an invalid channel name, and for a payload that is not a string.
   */
  async notify(channel: string, payload: string = '', options?: QueryOptions): Promise<void> {
    const runtime = this.runtimeHere()
    return (runtime instanceof Promise ? await runtime : runtime).notify(this, channel, payload, options)
  }
}
