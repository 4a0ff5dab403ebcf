// The parts of node-postgres that this driver uses, described by their shape: the client, the connection inside it and the object that
// `client.query` takes instead of a text. Types only; nothing of `pg` or its types reaches our declarations.
import type { ConnectionOptions } from 'node:tls'

export interface PgModule {
  readonly Client: new (config: Readonly<Record<string, unknown>>) => PgClient
}

export interface PgClient {
  readonly connection: PgConnection
  readonly host: string
  readonly port: number
  /** What the client makes of the option and of PGSSLMODE. */
  readonly ssl: boolean | ConnectionOptions
  readonly processID: number | null
  readonly secretKey: number | null
  /** The parameters of the start-up message. */
  getStartupConf: () => Readonly<Record<string, unknown>>
  connect(done: (error: unknown) => void): void
  /** Nobody's query is in flight. */
  readonly readyForQuery: boolean
  query(submittable: Submittable): unknown
  end(): Promise<void>
  eventNames(): (string | symbol)[]
  rawListeners(event: string | symbol): ((...args: unknown[]) => void)[]
  removeListener(event: string | symbol, listener: (...args: unknown[]) => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  on(event: 'end', listener: () => void): unknown
}

export interface PgConnection {
  readonly stream: PgStream
  /** The texts prepared under a name of the user's. */
  readonly parsedStatements?: Record<string, string>
  on(event: 'connect' | 'sslconnect', listener: () => void): unknown
  on(event: 'readyForQuery', listener: (message: { readonly status: string }) => void): unknown
  prependListener(event: 'readyForQuery', listener: () => void): unknown
  prependListener(
    event: 'authenticationSASL',
    listener: (message: { readonly mechanisms: readonly string[] }) => void,
  ): unknown
  prependListener(
    event: 'authenticationCleartextPassword' | 'authenticationMD5Password' | 'authenticationOk',
    listener: () => void,
  ): unknown
}

export interface PgStream {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly writableLength: number
  write(bytes: Uint8Array, sent?: () => void): boolean
  pause(): unknown
  resume(): unknown
  once(event: 'connect', listener: () => void): unknown
  listeners(event: 'data'): ((chunk: Buffer) => void)[]
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  removeListener(event: 'data', listener: (chunk: Buffer) => void): unknown
  ref(): unknown
  unref(): unknown
  destroy(): unknown
}

/** The seam: an object that writes its own messages when its turn has come. An error: it has none. */
export interface Submittable {
  submit(connection: PgConnection): Error | null
  handleReadyForQuery(): void
  handleError(error: unknown): void
}

/** ErrorResponse and NoticeResponse, as properties that may be missing. */
export type PgFields = Readonly<Record<string, unknown>>
