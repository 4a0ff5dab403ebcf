// The start-up of a session, from the first message to ReadyForQuery: user, authentication, the parameters of the server. It reads
// messages and writes answers. `Login` checks the order of the messages, for every driver by the same table.
import { ProtocolError, UsageError } from '../../errors/index.ts'
import { State } from '../../postgres/sqlstate.ts'
import { deferred } from '../../util/clock.ts'
import { type ConnectionHooks, type Failure, isFailure } from '../driver.ts'
import { Auth, type Login } from '../postgres/open/login.ts'
import { header, Message, type Receiver } from '../postgres/inbox.ts'
import { NotOpened } from '../postgres/open/start-session.ts'
import { BodyReader, readResponse, readStatus } from '../postgres/message-reader.ts'
import type { CancelKey } from './cancel.ts'
import { type Binding, Scram, scramSha256, scramSha256Plus } from './scram.ts'
import type { Ends } from './socket-wire.ts'

/** The version of the protocol, as its start-up message has it. */
const Version = { '3.0': 196_608, '3.2': 196_610 } as const

export interface StartUpOptions {
  readonly version: keyof typeof Version
  /** Refuses a server that speaks only an older one. */
  readonly least: keyof typeof Version
  readonly user: string
  /** `database`, `application_name`, `options` and the like. */
  readonly parameters: Readonly<Record<string, string | undefined>>
  readonly password: () => string | Promise<string>
  readonly channelBinding: 'disable' | 'prefer' | 'require'
  /** The hash of the server's certificate. Undefined: there is no TLS. Null: its signature has no hash. */
  readonly endPoint: Buffer | null | undefined
}

/** No message of a start-up is longer. */
export const longestMessage = 65_536
const noKey: CancelKey = { processId: 0, secret: Buffer.alloc(0) }

export class StartUp implements Receiver, Ends {
  readonly parameters: Map<string, string> = new Map()
  /** The number that the session has on the server, and the key to cancel it; without one it cannot be cancelled. */
  key: CancelKey = noKey
  version: keyof typeof Version
  readonly #options: StartUpOptions
  readonly #login: Login
  readonly #hooks: Pick<ConnectionHooks, 'notice'>
  readonly #write: (bytes: Buffer) => void
  readonly #ready: () => void
  #scram: Scram | null = null
  #bound = false
  /** An answer is being made: the server can have nothing to say to it yet. */
  #answering = false
  #over = false
  readonly #end = deferred<Failure | null>()

  /** Settles when the server is ready: null. Else why it is not. */
  readonly settled: Promise<Failure | null> = this.#end.promise

  /** @param ready Called with the last message of the start-up: it takes no other. */
  constructor(
    options: StartUpOptions,
    login: Login,
    hooks: Pick<ConnectionHooks, 'notice'>,
    write: (bytes: Buffer) => void,
    ready: () => void,
  ) {
    this.#options = options
    this.version = options.version
    this.#login = login
    this.#hooks = hooks
    this.#write = write
    this.#ready = ready
  }

  begin(): void {
    this.#write(startMessage(this.#options))
  }

  garbled(cause: unknown): void {
    this.fail(failureOf(cause))
  }

  ended(cause: unknown): void {
    this.fail({ kind: 'lost', outcome: 'not_started', cause: cause ?? closed() })
  }

  fail(failure: Failure): void {
    this.#over = true
    this.#end.resolve(failure)
  }

  message(type: number, bytes: Buffer, at: number, end: number): void {
    if (this.#over) return
    this.#login.message(type, bytes, at, end)
    if (type === Message.authentication) this.#asked(new BodyReader(bytes, at, end), end - at)
    else if (type === Message.errorResponse)
      this.fail({ kind: 'server', outcome: 'not_started', fields: readResponse(bytes, at, end) })
    else if (type === Message.notice) this.#hooks.notice(readResponse(bytes, at, end))
    else if (type === Message.parameterStatus) {
      const body = new BodyReader(bytes, at, end)
      this.parameters.set(body.text(), body.text())
    } else if (type === Message.backendKey) this.#keyed(bytes, at, end)
    else if (type === Message.negotiation) this.#negotiated(new BodyReader(bytes, at, end))
    else this.#isReady(readStatus(bytes, at, end))
  }

  #keyed(bytes: Buffer, at: number, end: number): void {
    const size = end - at - 4
    if (this.key !== noKey || size < 4 || size > 256) throw new ProtocolError('a key to cancel that is not one')
    this.key = { processId: bytes.readInt32BE(at), secret: Buffer.from(bytes.subarray(at + 4, end)) }
  }

  /** The server speaks an older version than was asked for, or does not know an option; none was sent. */
  #negotiated(body: BodyReader): void {
    const version = body.int32()
    const unknown = body.int32()
    body.end()
    const known = Object.entries(Version).find(([, number]) => number === version)?.[0] as
      | keyof typeof Version
      | undefined
    if (known === undefined || unknown !== 0 || version >= Version[this.version])
      throw new ProtocolError('a version of the protocol that was not asked for')
    if (version < Version[this.#options.least])
      throw new UsageError(
        `The server speaks version ${known} of the protocol, and min_protocol_version is ${this.#options.least}.`,
      )
    this.version = known
  }

  #isReady(status: string): void {
    if (status !== 'I') throw new ProtocolError('a session that begins in a transaction')
    this.#over = true
    // What is behind it is for the session.
    this.#ready()
    this.#end.resolve(null)
  }

  #asked(body: BodyReader, size: number): void {
    if (this.#answering) throw new ProtocolError('an authentication request before the answer to the one before')
    const request = body.int32()
    const { channelBinding } = this.#options
    if (channelBinding === 'require' && !this.#bound && request !== Auth.sasl)
      throw bindingRefused(unbound[request] ?? 'asks for another proof')
    switch (request) {
      case Auth.ok:
        body.end()
        break
      case Auth.cleartext:
        body.end()
        void this.#answer(async () => framed('p', `${await this.#password()}\0`))
        break
      case Auth.md5: {
        const salt = body.bytes(4)
        body.end()
        void this.#answer(async () => framed('p', `${md5(await this.#password(), this.#options.user, salt)}\0`))
        break
      }
      case Auth.sasl:
        this.#begin(mechanismsIn(body))
        break
      case Auth.saslContinue: {
        const challenge = body.bytes(size - 4).toString()
        const scram = this.#exchange()
        void this.#answer(async () => framed('p', await scram.answer(challenge)))
        break
      }
      case Auth.saslFinal:
        this.#exchange().verify(body.bytes(size - 4).toString())
        break
      default:
        throw new UsageError(
          'The server asks for a way to log in that Genever does not know (GSSAPI, SSPI or another). Let it ask for scram-sha-256 in pg_hba.conf.',
        )
    }
  }

  #begin(mechanisms: readonly string[]): void {
    const binding = this.#bindTo(mechanisms)
    this.#bound = binding.kind === 'bound'
    if (!mechanisms.includes(this.#bound ? scramSha256Plus : scramSha256))
      throw new UsageError(`The server offers no way to log in that Genever knows; it needs ${scramSha256}.`)
    void this.#answer(async () => {
      const scram = new Scram(await this.#password(), binding)
      this.#scram = scram
      const first = Buffer.from(scram.first())
      const size = Buffer.alloc(4)
      size.writeInt32BE(first.length)
      return framed('p', Buffer.concat([Buffer.from(`${scram.mechanism}\0`), size, first]))
    })
  }

  #bindTo(mechanisms: readonly string[]): Binding {
    const { channelBinding, endPoint } = this.#options
    const offered = mechanisms.includes(scramSha256Plus)
    if (offered && endPoint === undefined)
      throw new ProtocolError('an offer to bind the login to TLS, which there is not')
    if (channelBinding === 'disable') return { kind: 'none' }
    if (offered && endPoint !== undefined && endPoint !== null) return { kind: 'bound', data: endPoint }
    if (channelBinding === 'require')
      throw bindingRefused(
        offered ? 'has a certificate that nothing can be bound to' : `does not offer ${scramSha256Plus}`,
      )
    return { kind: endPoint === undefined || endPoint === null ? 'none' : 'possible' }
  }

  #exchange(): Scram {
    if (this.#scram === null) throw new ProtocolError('a SCRAM message before the exchange has begun')
    return this.#scram
  }

  async #password(): Promise<string> {
    const password = await this.#options.password()
    if (password !== '') return password
    throw {
      kind: 'server',
      outcome: 'not_started',
      fields: {
        severity: 'FATAL',
        code: State.wrongPassword,
        message: 'The server asks for a password, and none is given',
      },
    } satisfies Failure as unknown
  }

  async #answer(make: () => Promise<Buffer>): Promise<void> {
    this.#answering = true
    try {
      const bytes = await make()
      this.#answering = false
      if (!this.#over) this.#write(bytes)
    } catch (cause) {
      this.fail(isFailure(cause) ? cause : failureOf(cause))
    }
  }
}

const unbound: Readonly<Record<number, string>> = {
  [Auth.ok]: 'does not ask for a password',
  [Auth.cleartext]: 'asks for the password in clear',
  [Auth.md5]: 'asks for an MD5 password',
}

function closed(): NotOpened {
  return new NotOpened('the server closed the connection during the login')
}

function bindingRefused(reason: string): UsageError {
  return new UsageError(
    `The server ${reason}, but channelBinding is 'require'. Use a server that offers ${scramSha256Plus}, or prove who it is by sslmode=verify-full instead.`,
  )
}

function failureOf(cause: unknown): Failure {
  const garbled = cause instanceof ProtocolError || cause instanceof RangeError
  return { kind: garbled ? 'protocol' : 'lost', outcome: 'not_started', cause }
}

function mechanismsIn(body: BodyReader): string[] {
  const names: string[] = []
  for (let name = body.text(); name !== ''; name = body.text()) names.push(name)
  body.end()
  return names
}

/** `md5` and the hash of the salt behind that of password and user. */
export function md5(password: string, user: string, salt: Buffer): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  const inner = createHash('md5').update(password).update(user).digest('hex')
  return `md5${createHash('md5').update(inner).update(salt).digest('hex')}`
}

function framed(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body as string)
  const head = Buffer.alloc(header)
  head.write(type, 'latin1')
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

function startMessage({ version, user, parameters }: StartUpOptions): Buffer {
  const pairs = Object.entries({ user, ...parameters }).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`${name}\0${value}\0`],
  )
  const body = Buffer.from(`${pairs.join('')}\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(body.length + 8)
  head.writeInt32BE(Version[version], 4)
  return Buffer.concat([head, body])
}
