// The bytes of a session over node-postgres: one submittable object for the life of the connection carries every unit, and
// hands what arrives to the session's exchange. `pg` does the socket, TLS, authentication and all messages but rows; its
// queries, results and type parsers are not used.
import type { ConnectionHooks, Failure } from '../driver.ts'
import type { Fields } from '../postgres/prepared.ts'
import type { Interruption, Session, Wire } from '../postgres/session.ts'
import { requestCancel } from './cancel-request.ts'
import { requireChannelBinding } from './channel-binding.ts'
import type { PgClient, PgConnection, PgField, Submittable } from './client.ts'
import { openFailure, responseFields } from './failure.ts'
import { MessageSplitter, type Receiver } from './message-splitter.ts'
import { clock, msUntil } from '../../util/clock.ts'

const nothing: Buffer = Buffer.alloc(0)
const misrouted = 'rows came through node-postgres: this version of it reads the socket in another way'

export class PgWire implements Wire, Submittable, Receiver {
  readonly native: PgClient
  /** The date style the server has announced. */
  dateStyle = 'ISO'
  /** Between the submission of a unit and the server's being ready again. */
  taking = false
  #session: Session | null = null
  #read: (bytes: Buffer) => void = () => {}
  #garbled: (cause: unknown) => void = () => {}
  #bytes: Buffer = nothing
  /** The last ErrorResponse: when the connection ends after it, it says why. */
  #lastError: Fields | null = null

  constructor(client: PgClient) {
    this.native = client
  }

  /** Null when the server is ready, else why not. An error may come twice, or late: only the first is told. */
  connect(deadline: number, mustBind: boolean = false): Promise<Failure | null> {
    const { native: client } = this
    const { connection } = client
    connection.on('parameterStatus', ({ parameterName: name, parameterValue: value }) => {
      if (name === 'DateStyle') this.dateStyle = value
    })
    return new Promise((resolve) => {
      const timeout: Failure = { kind: 'timeout', outcome: 'not_started' }
      const timer = deadline === Infinity ? undefined : clock.setTimeout(() => settle(timeout), msUntil(deadline))
      const settle = (failure: Failure | null): void => {
        clock.clearTimeout(timer)
        resolve(failure)
      }
      this.#garbled = (cause) => settle({ kind: 'protocol', outcome: 'not_started', cause })
      connection.on(client.ssl === false ? 'connect' : 'sslconnect', () => this.#takeReader())
      client.on('error', (error) => settle(openFailure(error)))
      if (mustBind)
        requireChannelBinding(client, (cause) => {
          settle({ kind: 'lost', outcome: 'not_started', cause })
          this.destroy()
        })
      client.connect((error) => settle(error === null || error === undefined ? null : openFailure(error)))
    })
  }

  /** From here on the session is told of everything. Before, nobody listens but to errors. */
  attach(session: Session, hooks: ConnectionHooks): void {
    const { native: client } = this
    const { connection } = client
    this.#session = session
    this.#garbled = (cause) => session.garbled(cause)
    client.on('error', (error) => {
      if (isGarbage(error)) session.garbled(error)
      else session.lost(error, responseFields(error) ?? this.#lastError)
    })
    client.on('end', () => session.lost(undefined, this.#lastError))
    client.on('notice', (notice) => hooks.notice(responseFields(notice) ?? {}))
    client.on('notification', ({ channel, payload, processId }) =>
      hooks.notification(channel, payload ?? '', processId),
    )
    connection.on('parameterStatus', (message) => hooks.parameter(message.parameterName, message.parameterValue))
    connection.on('parseComplete', () => session.exchange?.parseComplete())
    connection.on('parameterDescription', (message) => session.exchange?.parameterDescription(message.dataTypeIDs))
    connection.on('noData', () => session.exchange?.rowDescription([]))
    connection.on('copyOutResponse', () => session.exchange?.copyOut())
    // Before the client's own listener, which may submit the next unit.
    connection.prependListener('readyForQuery', () => (this.taking = false))
    // And behind it, so that the client is free again when the session is told.
    connection.on('readyForQuery', ({ status }) => {
      this.#lastError = null
      session.readyForQuery(status)
    })
  }

  /**
   * Stands before the client's reader. What that throws (a message it does not know, more parameters than it can count)
   * would end the process, because it is called by the socket.
   */
  #takeReader(): void {
    const { stream } = this.native.connection
    const splitter = new MessageSplitter(this)
    for (const reader of stream.listeners('data')) {
      stream.removeListener('data', reader)
      this.#read = (bytes) => reader.call(stream, bytes)
    }
    stream.on('data', (chunk) => {
      try {
        splitter.push(chunk)
      } catch (cause) {
        this.#garbled(cause)
      }
    })
  }

  row(bytes: Buffer, at: number, end: number): void {
    this.#session?.exchange?.dataRow(bytes, at, end)
  }

  complete(tag: string): void {
    this.#session?.exchange?.commandComplete(tag)
  }

  pass(bytes: Buffer): void {
    this.#read(bytes)
  }

  garbage(what: string): void {
    this.#garbled(what)
  }

  start(bytes: Buffer): void {
    this.#bytes = bytes
    this.native.query(this)
  }

  more(bytes: Buffer): void {
    this.native.connection.stream.write(bytes)
  }

  hold(waiting: boolean): void {
    const { stream } = this.native.connection
    if (waiting) stream.ref()
    else stream.unref()
  }

  async interrupt(deadline: number): Promise<Interruption> {
    const { host, port, ssl, processID, secretKey, connection } = this.native
    const { remoteAddress, remotePort } = connection.stream
    const target = {
      directory: host.startsWith('/') ? host : null,
      host,
      address: remoteAddress ?? host,
      port: remotePort ?? port,
      // The client hides the key from what lists properties.
      ssl: typeof ssl === 'boolean' ? ssl && {} : { ...ssl, key: ssl.key },
      processId: processID ?? 0,
      secretKey: secretKey ?? 0,
    }
    return (await requestCancel(target, deadline)) ? 'served' : 'failed'
  }

  async end(): Promise<void> {
    this.hold(true)
    await this.native.end().catch(() => {})
  }

  destroy(): void {
    this.native.connection.stream.destroy()
  }

  submit(connection: PgConnection): null {
    this.taking = true
    connection.stream.write(this.#bytes)
    this.#bytes = nothing
    return null
  }

  handleRowDescription({ fields }: { readonly fields: readonly PgField[] }): void {
    this.#session?.exchange?.rowDescription(
      fields.map(({ name, tableID, columnID, dataTypeID, dataTypeModifier }) => ({
        name,
        table: tableID,
        column: columnID,
        type: dataTypeID,
        typmod: dataTypeModifier,
      })),
    )
  }

  handleDataRow(): void {
    this.#garbled(misrouted)
  }

  handleCommandComplete(): void {
    this.#garbled(misrouted)
  }

  handlePortalSuspended(): void {
    this.#session?.exchange?.portalSuspended()
  }

  handleEmptyQuery(): void {
    this.#session?.exchange?.emptyQuery()
  }

  /** An ErrorResponse, or an error of the socket, which `error` and `end` report as well. */
  handleError(error: unknown): void {
    const fields = responseFields(error)
    if (fields === null) {
      if (isGarbage(error)) this.#garbled(error)
      return
    }
    this.#lastError = fields
    this.#session?.exchange?.errorResponse(fields)
  }

  handleReadyForQuery(): void {}

  handleCopyInResponse(): void {
    this.#session?.exchange?.copyIn()
  }

  handleCopyData(): void {}
}

/** What node-postgres says of a message that it does not know, or not there. */
function isGarbage(error: unknown): boolean {
  return error instanceof Error && /^received (invalid response|unexpected)/i.test(error.message)
}
