// What a driver gives to a session: something that carries its bytes, and lends the third-party object underneath. Interfaces
// only.
import type { Int8 } from './rows/type-table.ts'
import type { TypeBook } from './type-book.ts'

/**
 * `served`: the request has had its effect, if any. `unsent`: there was nothing to stop, the unit had not gone out and has
 * been failed. `failed`: nobody knows.
 */
export type Interruption = 'served' | 'unsent' | 'failed'

/** What carries a session's bytes. Told to `start` only when nothing is in flight. */
export interface Wire {
  readonly native: unknown
  start(bytes: Buffer): void
  /** Further bytes of the unit that was started. */
  more(bytes: Buffer): void
  /** Whether somebody waits for an answer: an idle wire keeps no process alive, unless its client is lent. */
  hold(waiting: boolean): void
  /** From then on `native` may be used, and the process is kept alive. */
  lend(): Promise<void>
  /** While lent: calls `begin` as soon as the client has nothing in flight, maybe at once. False: there is nothing to send after all. */
  enter(begin: () => boolean): void
  /** `native` is of no more use. Settles once the client has had the last answer to all it sent; false: that will never be. */
  reclaim(): Promise<boolean>
  /** Asks the server to stop what is running. */
  interrupt(deadline: number): Promise<Interruption>
  /** Says good-bye and ends; never rejects. */
  end(): Promise<void>
  destroy(): void
}

export interface SessionOptions {
  readonly id: number
  readonly generation: number
  readonly int8: Int8
  /** One for all sessions of an engine. */
  readonly types: TypeBook
  /** What the server has announced; older ones announce none. */
  readonly searchPath?: string | undefined
  readonly statementCacheSize: number
  readonly prefix: string
  /** Whom a reset makes the session's user again: `DEFAULT`, or a name where the server does not know its default. */
  readonly authorization: string
}
