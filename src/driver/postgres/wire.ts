// The interfaces between a session and its surroundings: the wire that carries its bytes and lends the driver's own object, and the
// session as its exchanges see it. Interfaces only.
import type { TypeBook } from '../../postgres/types/book.ts'
import type { Interruption } from '../interrupt.ts'
import type { MessageWriter } from './message-writer.ts'
import type { NameResolution } from './name-resolution.ts'
import type { Pooler } from './prepared/pooler.ts'
import type { Limits, PreparedCache } from './prepared/prepared-cache.ts'
import type { SchemaVersion } from './schema-version.ts'

/** Carries the data of a COPY, which is not gathered with what is written for others. */
export interface Carrier {
  /** True: the bytes are gone. False: `sent` is called when they are. */
  write(bytes: Uint8Array, sent: () => void): boolean
  /** The server's data is read no more for now. */
  pause(): void
  resume(): void
}

/** What carries a session's bytes. */
export interface Wire {
  readonly native: unknown
  /** Whether users can have `native`. */
  readonly lends: boolean
  /** Null: it carries no data of a COPY. */
  readonly carrier: Carrier | null
  /** LISTEN statements that a reset ends with, where several sessions are one on the server. Undefined: those of the session alone. */
  readonly listening?: string
  /** Passes a notification to all sessions that are one on the server. Undefined: it is for this session alone. */
  notification?(channel: string, payload: string, pid: number): void
  /** How many units may be on it at once. */
  readonly maxInFlight: number
  /**
   * Sends what the writer holds, now or at the end of this turn: it takes that, or says when it was read.
   * @param alone Nothing else is on the wire.
   */
  flush(writer: MessageWriter, alone: boolean): void
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

/** What all sessions of an engine with one server know together. */
export interface Shared {
  readonly types: TypeBook
  /** Null: statements are not prepared through a pooler. */
  readonly pooler: Pooler | null
  readonly version: SchemaVersion
}

export interface SessionOptions extends Limits {
  readonly id: number
  /** Asks for columns in binary where that is read for less. */
  readonly binary?: boolean | undefined
  /** One for all sessions of an engine. */
  readonly types: TypeBook
  /** One for all sessions of an engine. */
  readonly version: SchemaVersion
  /** What the server has announced of the settings by which it reads texts. */
  readonly announced?: ReadonlyMap<string, string> | undefined
  readonly prefix: string
  /** Whom a reset makes the session's user again: `DEFAULT`, or a name where the server does not know its default. */
  readonly authorization: string
}

/** What an exchange needs of its session. */
export interface ExchangeHost {
  readonly writer: MessageWriter
  readonly prepared: PreparedCache
  readonly binary: boolean
  readonly types: TypeBook
  readonly names: NameResolution
  /** Put before the names of statements; two sessions on one server process must not meet. */
  readonly prefix: string
  readonly carrier: Carrier | null
  /** Portals to be closed. */
  readonly dropped: string[]
  /** Sends what the writer holds. */
  flush(): void
  /** What has arrived cannot be understood: the session ends. */
  garbled(cause: unknown): void
}
