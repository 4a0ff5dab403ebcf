// Checks the messages of a server during login, and their order. It is shown every message before somebody answers it. A password
// leaves in clear only where that was allowed or the server is known, and a login succeeds only with a server that has proved that it
// knows the password too.
import { ProtocolError, UsageError } from '../../../errors/index.ts'
import { unreadable } from '../../../postgres/encoding.ts'
import { readsBy } from '../../../postgres/verdict.ts'
import { header, Message } from '../inbox.ts'
import { receiveAsync } from '../message-reader.ts'

/** AuthenticationRequest, by its number. */
export const Auth = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

export class Login {
  /** The date style the server has announced. */
  dateStyle = 'ISO'
  /** Of the settings by which it reads texts; the search_path since PostgreSQL 18. */
  readonly announced: Map<string, string> = new Map()
  readonly #cleartext: boolean
  readonly #methods: readonly string[] | null
  #asked = -1
  #authenticated = false

  /** @param cleartext Whether the password may be sent as it is. @param ways The only ways to log in. */
  constructor(cleartext: boolean, ways: readonly string[] | null = null) {
    this.#cleartext = cleartext
    this.#methods = ways
  }

  /** @throws {UsageError} for what is not allowed here. @throws {ProtocolError} for what may not come now. */
  message(type: number, bytes: Buffer, at: number, end: number): void {
    if (type === Message.authentication) this.#request(bytes, at, end)
    else if (type === Message.errorResponse) return
    else if (type === Message.notice || (type === Message.negotiation && this.#asked < 0)) return
    else if (type === Message.parameterStatus && this.#authenticated)
      receiveAsync(type, bytes, at, end, { notice() {}, notification() {}, parameter: this.#parameter })
    else if (!this.#authenticated || (type !== Message.backendKey && type !== Message.readyForQuery))
      throw new ProtocolError(
        `a message of type ${JSON.stringify(String.fromCharCode(bytes[at - header] ?? 0))} at login`,
      )
  }

  readonly #parameter = (name: string, value: string): void => {
    if (name === 'DateStyle') this.dateStyle = value
    if (name === 'search_path' || readsBy(name)) this.announced.set(name, value)
    const refusal = unreadable(name, value)
    if (refusal !== null) throw refusal
  }

  #request(bytes: Buffer, at: number, end: number): void {
    const asked = end >= at + 4 ? bytes.readInt32BE(at) : -1
    const before = this.#asked
    this.#asked = asked
    if (this.#authenticated || !follows(asked, before))
      throw new ProtocolError('an authentication request out of place')
    const way = asked === Auth.ok && before !== -1 ? undefined : methodOf[asked]
    if (this.#methods !== null && way !== undefined && !this.#methods.includes(way))
      throw methodRefused(way, this.#methods)
    if (asked === Auth.cleartext && !this.#cleartext) throw cleartextRefused()
    if (asked === Auth.sasl) checkMechanisms(bytes.toString('latin1', at + 4, end).split('\0'))
    if (asked === Auth.ok) this.#authenticated = true
  }
}

/** SCRAM is over only when the server has given its proof, which node-postgres verifies. Others are asked for once. */
function follows(asked: number, before: number): boolean {
  switch (asked) {
    case Auth.ok:
      return before === -1 || before === Auth.cleartext || before === Auth.md5 || before === Auth.saslFinal
    case Auth.saslContinue:
      return before === Auth.sasl
    case Auth.saslFinal:
      return before === Auth.saslContinue
    default:
      return before === -1
  }
}

/** The name that `require_auth` has for a request. */
const methodOf: Readonly<Record<number, string>> = {
  [Auth.ok]: 'none',
  [Auth.cleartext]: 'password',
  [Auth.md5]: 'md5',
  [Auth.sasl]: 'scram-sha-256',
}

/** The name of a mechanism: RFC 4422, section 3.1. Others are not repeated. */
const mechanism = /^[A-Z0-9_-]{1,20}$/

/** PostgreSQL 18 may want a token of OAuth. @throws {UsageError} where all that is offered is not known here. */
function checkMechanisms(offered: readonly string[]): void {
  const names = offered.filter((name) => mechanism.test(name))
  if (names.length === 0 || names.some((name) => name.startsWith('SCRAM-SHA-256'))) return
  throw new UsageError(
    `The server offers only ways to log in that Genever does not know: ${names.join(', ')}. Let it ask for scram-sha-256 in pg_hba.conf.`,
  )
}

function methodRefused(way: string, ways: readonly string[]): UsageError {
  const asked = way === 'none' ? 'asks for no password' : `asks for a login by ${way}`
  return new UsageError(`The server ${asked}, and require_auth allows only ${ways.join(', ')}. Nothing was sent to it.`)
}

function cleartextRefused(): UsageError {
  return new UsageError(
    'The server asks for the password in clear, and nothing proves that it is the right server: the connection has no TLS with a ' +
      'verified certificate. The password was not sent. Connect with sslmode=verify-full, let the server use scram-sha-256, or, ' +
      'where the network is trusted, allow it by the connection option allowCleartextPassword: true (in a URL: ' +
      'require_auth=password; in the environment: PGREQUIREAUTH=password).',
  )
}
