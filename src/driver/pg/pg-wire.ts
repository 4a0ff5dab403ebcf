// The wire of a session over node-postgres. The client does the socket, TLS, authentication and the queue of commands. Each unit is one
// submittable object in that queue, like the queries of users that were lent the client. Messages for a unit go to the session's
// exchange, all others to the client, whose own results and type parsers are not used.
import type { Failure } from '../driver.ts'
import { ProtocolError, UsageError } from '../../errors/index.ts'
import { header, Inbox, Message, type Receiver } from '../postgres/inbox.ts'
import { Loan } from '../postgres/loan.ts'
import type { Login } from '../postgres/open/login.ts'
import { isAsync, readResponse, readStatus, receive } from '../postgres/message-reader.ts'
import type { MessageWriter } from '../postgres/message-writer.ts'
import { type Fields, statusOf } from '../postgres/outcome.ts'
import { dropsPrepared } from '../postgres/prepared/prepared-cache.ts'
import type { Session } from '../postgres/session.ts'
import type { Interruption } from '../interrupt.ts'
import type { Carrier, Wire } from '../postgres/wire.ts'
import { requestCancel } from './cancel-request.ts'
import type { PgClient, PgConnection, Submittable } from './client.ts'
import { openFailure, responseFields } from './failure.ts'
import { clock, msUntil } from '../../util/clock.ts'

const nothing: Buffer = Buffer.alloc(0)

export class PgWire implements Wire, Submittable, Receiver {
  readonly client: PgClient
  readonly carrier: Carrier
  readonly maxInFlight: number = 1
  readonly lends: boolean = true
  #login: Login | null
  #loan: Loan<PgClient>
  /** What listened to the client before it was lent. */
  #listeners: Listeners | null = null
  /** Between the submission of a unit and the server's being ready again: what arrives is the session's. */
  #taking = false
  #session: Session | null = null
  #read: (bytes: Buffer) => void = () => {}
  #garbled: (cause: unknown) => void = () => {}
  #dead = false
  #bytes: Buffer = nothing
  /** The last ErrorResponse: when the connection ends after it, it says why. */
  #lastError: Fields | null = null

  constructor(client: PgClient, login: Login) {
    this.client = client
    this.carrier = {
      write(bytes, sent) {
        const { stream } = client.connection
        stream.write(bytes, sent)
        return stream.writableLength === 0
      },
      pause: () => client.connection.stream.pause(),
      resume: () => client.connection.stream.resume(),
    }
    this.#login = login
    this.#loan = new Loan(client)
  }

  get native(): PgClient {
    return this.#loan.object
  }

  /** Null when the server is ready, else why not. An error may come twice, or late: only the first is told. */
  connect(deadline: number, mustBind: boolean = false): Promise<Failure | null> {
    const { client } = this
    const { connection } = client
    return new Promise((resolve) => {
      const timeout: Failure = { kind: 'timeout', outcome: 'not_started' }
      const timer = deadline === Infinity ? undefined : clock.setTimeout(() => settle(timeout), msUntil(deadline))
      const settle = (failure: Failure | null): void => {
        clock.clearTimeout(timer)
        resolve(failure)
      }
      this.#garbled = (cause) => {
        const kind = cause instanceof ProtocolError || !(cause instanceof Error) ? 'protocol' : 'lost'
        settle({ kind, outcome: 'not_started', cause })
        this.destroy()
      }
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
  attach(session: Session): void {
    const { client } = this
    const { connection } = client
    this.#login = null
    this.#session = session
    this.#garbled = (cause) => session.garbled(cause)
    client.on('error', (error) => {
      if (isGarbage(error)) session.garbled(error)
      else session.lost(error, responseFields(error) ?? this.#lastError)
    })
    client.on('end', () => session.lost(undefined, this.#lastError))
    let own = false
    // Before the client's own listener, which may submit what is next in its queue.
    connection.prependListener('readyForQuery', () => {
      own = this.#taking
      this.#taking = false
    })
    // And behind it, so that the client is free again when the session is told.
    connection.on('readyForQuery', ({ status }) => {
      this.#lastError = null
      if (own) session.readyForQuery(status)
      else session.clientReady(status)
    })
  }

  /**
   * Stands before the client's reader. What that throws (a message it does not know, more parameters than it can count)
   * would end the process, because it is called by the socket.
   */
  #takeReader(): void {
    const { stream } = this.client.connection
    const inbox = new Inbox(this)
    for (const reader of stream.listeners('data')) {
      stream.removeListener('data', reader)
      this.#read = (bytes) => reader.call(stream, bytes)
    }
    stream.on('data', (chunk) => {
      if (this.#dead) return
      try {
        inbox.push(chunk)
      } catch (cause) {
        this.#garbled(cause)
      }
    })
  }

  message(type: number, bytes: Buffer, at: number, end: number): void {
    if (this.#dead) return
    const session = this.#session
    if (session !== null && isAsync(type)) session.message(type, bytes, at, end)
    else if (this.#taking) {
      const exchange = session?.exchange ?? null
      if (exchange === null) return
      if (type !== Message.readyForQuery) {
        receive(type, bytes, at, end, exchange)
        return
      }
      exchange.checkReady(statusOf(readStatus(bytes, at, end)))
    } else if (this.#login !== null) this.#login.message(type, bytes, at, end)
    else if (type === Message.errorResponse) this.#lastError = readResponse(bytes, at, end)
    else if (this.client.readyForQuery) throw new ProtocolError('an answer to nothing')
    else if (type === Message.commandComplete && dropsPrepared(bytes.toString('latin1', at, end - 1)))
      session?.prepared.clear()
    this.#read(bytes.subarray(at - header, end))
  }

  flush(writer: MessageWriter): void {
    const bytes = writer.take()
    // Its turn in the queue of the client has come already.
    if (this.#taking) this.client.connection.stream.write(bytes)
    else {
      this.#bytes = bytes
      this.client.query(this)
    }
  }

  hold(waiting: boolean): void {
    const { stream } = this.client.connection
    if (waiting || this.#loan.state === 'lent') stream.ref()
    else stream.unref()
  }

  lend(): Promise<void> {
    if (this.#loan.state === 'due') {
      this.#loan.state = 'lent'
      this.#listeners = new Listeners(this.client)
      this.hold(true)
    }
    return Promise.resolve()
  }

  enter(begin: () => boolean): void {
    if (this.client.readyForQuery) begin()
    else
      this.#enqueue(() => {
        this.#taking = true
        this.#taking = begin()
        return this.#taking
      })
  }

  reclaim(): Promise<boolean> {
    this.#loan.state = 'over'
    this.#loan = new Loan(this.client)
    return new Promise((resolve) => {
      this.#enqueue(
        () => {
          this.#listeners?.restore()
          this.#forgetStatements()
          this.hold(false)
          resolve(true)
          return false
        },
        () => resolve(false),
      )
    })
  }

  /** What the client has prepared under names of its user's is no longer there. */
  #forgetStatements(): void {
    const { parsedStatements = {} } = this.client.connection
    for (const name of Object.keys(parsedStatements)) Reflect.deleteProperty(parsedStatements, name)
  }

  /** Takes a place in the queue of the client. `turn`: whether it sends anything. */
  #enqueue(turn: () => boolean, failed: () => void = () => {}): void {
    this.client.query({
      submit: () => (turn() ? null : new ProtocolError('nothing to send')),
      handleError: failed,
      handleReadyForQuery() {},
    })
  }

  async interrupt(deadline: number): Promise<Interruption> {
    const { host, port, ssl, processID, secretKey, connection } = this.client
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
    this.client.connection.stream.ref()
    await this.client.end().catch(() => {})
  }

  destroy(): void {
    this.#dead = true
    this.#loan.state = 'over'
    this.client.connection.stream.destroy()
  }

  submit(connection: PgConnection): null {
    this.#taking = true
    connection.stream.write(this.#bytes)
    this.#bytes = nothing
    return null
  }

  /** An error of the socket, or of the client's own; `error` and `end` report it as well. */
  handleError(): void {}

  handleReadyForQuery(): void {}
}

/** What node-postgres says of a message that it does not know, or not there. */
function isGarbage(error: unknown): boolean {
  return error instanceof Error && /^received (invalid response|unexpected)/i.test(error.message)
}

const bound = 'SCRAM-SHA-256-PLUS'

/**
 * `channelBinding: 'require'`: the password exchange must be bound to the certificate of the server, so that nobody in between can pass
 * it on. node-postgres binds it where the server offers that; here a server that does not is refused. Call before the client connects.
 * `refuse` is called at most once, before the password or a proof of it is sent.
 *
 * @throws {UsageError} when this version of node-postgres cannot bind.
 */
function requireChannelBinding(client: PgClient, refuse: (error: UsageError) => void): void {
  if (!('enableChannelBinding' in client))
    throw new UsageError(
      "channelBinding: 'require' needs a newer version of the package pg. Install it: npm install pg",
    )
  const { connection } = client
  const stop = (reason: string): void =>
    refuse(
      new UsageError(
        `The server ${reason}, but channelBinding is 'require'. Use a server that offers ${bound}, or prove who it is by sslmode=verify-full instead.`,
      ),
    )
  let asked = false
  connection.prependListener('authenticationSASL', ({ mechanisms }) => {
    asked = mechanisms.includes(bound)
    if (!asked) stop(`does not offer ${bound}`)
  })
  connection.prependListener('authenticationCleartextPassword', () => stop('asks for the password in clear'))
  connection.prependListener('authenticationMD5Password', () => stop('asks for an MD5 password'))
  connection.prependListener('authenticationOk', () => {
    if (!asked) stop('does not ask for a password')
  })
}

/** The listeners of a client before it is lent, so that what its borrower adds does not hear of the next one's session. */
class Listeners {
  readonly #client: PgClient
  readonly #before: ReadonlyMap<string | symbol, readonly unknown[]>

  constructor(client: PgClient) {
    this.#client = client
    this.#before = new Map(client.eventNames().map((name) => [name, client.rawListeners(name)]))
  }

  /** Takes away what was added since. */
  restore(): void {
    for (const name of this.#client.eventNames()) {
      const kept = [...(this.#before.get(name) ?? [])]
      for (const listener of this.#client.rawListeners(name)) {
        const at = kept.indexOf(listener)
        if (at >= 0) kept.splice(at, 1)
        else this.#client.removeListener(name, listener)
      }
    }
  }
}
