// What this driver uses of node-postgres, described by its shape: the client, the connection inside it and the object that
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
  connect(done: (error: unknown) => void): void
  query(submittable: Submittable): unknown
  end(): Promise<void>
  on(event: 'error', listener: (error: unknown) => void): unknown
  on(event: 'end', listener: () => void): unknown
  on(event: 'notice', listener: (notice: PgFields) => void): unknown
  on(event: 'notification', listener: (message: PgNotification) => void): unknown
}

export interface PgConnection {
  readonly stream: PgStream
  on(event: 'connect' | 'sslconnect', listener: () => void): unknown
  on(event: 'parseComplete' | 'noData' | 'copyOutResponse', listener: () => void): unknown
  on(event: 'parameterDescription', listener: (message: { readonly dataTypeIDs: number[] }) => void): unknown
  on(event: 'parameterStatus', listener: (message: PgParameter) => void): unknown
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
  write(bytes: Uint8Array): boolean
  listeners(event: 'data'): ((chunk: Buffer) => void)[]
  on(event: 'data', listener: (chunk: Buffer) => void): unknown
  removeListener(event: 'data', listener: (chunk: Buffer) => void): unknown
  ref(): unknown
  unref(): unknown
  destroy(): unknown
}

/** The seam: an object that writes its own messages and is handed the answers. */
export interface Submittable {
  submit(connection: PgConnection): null
  handleRowDescription(message: { readonly fields: readonly PgField[] }): void
  handleDataRow(): void
  handleCommandComplete(): void
  handlePortalSuspended(): void
  handleEmptyQuery(): void
  handleReadyForQuery(): void
  handleError(error: unknown): void
  handleCopyInResponse(): void
  handleCopyData(): void
}

export interface PgField {
  readonly name: string
  readonly tableID: number
  readonly columnID: number
  readonly dataTypeID: number
  readonly dataTypeModifier: number
}

/** ErrorResponse and NoticeResponse, as properties that may be missing. */
export type PgFields = Readonly<Record<string, unknown>>

export interface PgNotification {
  readonly channel: string
  readonly payload?: string | undefined
  readonly processId: number
}

export interface PgParameter {
  readonly parameterName: string
  readonly parameterValue: string
}
