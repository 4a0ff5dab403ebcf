// Opens a session from the options of a server: chooses the place to try, with TLS or without, and decides by a failure what is tried
// next. For every driver that reaches PostgreSQL over the network.
import { ConnectError, UsageError } from '../../../errors/index.ts'
import { postgres } from '../../../postgres/dialect.ts'
import { explain } from '../../../postgres/sqlstate.ts'
import { bookOf } from '../../../postgres/types/book.ts'
import { bare } from '../../../util/options.ts'
import { textIn, tlsTrouble } from '../../../util/thrown.ts'
import type { ConnectionHooks, Driver, Failure } from '../../driver.ts'
import { isAddress } from '../../option-checks.ts'
import { isPlace, openFirst } from './hosts.ts'
import type { ConnectAttempt } from './race.ts'
import { NotOpened } from './start-session.ts'
import { poolerOf } from '../prepared/pooler.ts'
import { schemaVersionOf } from '../schema-version.ts'
import { type HostPlace, parseServerOptions, type ServerOptions } from '../parameters/server-options.ts'
import type { Session } from '../session.ts'
import type { Shared } from '../wire.ts'

/** A driver that reaches PostgreSQL over the network, from how it opens one session with what its engine shares. */
export function serverDriver(
  name: string,
  openWith: (shared: Shared) => OpenAt,
  parse: (options: Readonly<Record<string, unknown>>) => ServerOptions = (options) => parseServerOptions(name, options),
): Driver<ServerOptions> {
  return {
    name,
    dialect: postgres,
    poolLimit: Infinity,
    types: true,
    parse,
    async open(options, hooks, deadline) {
      const shared = { types: bookOf(options), pooler: poolerOf(options), version: schemaVersionOf(options) }
      const openAt = withAllDigits(options, openWith(shared))
      const open = (): Promise<Session> => openServer(options, hooks, deadline, openAt)
      const kept = shared.pooler?.keeps
      try {
        return await open()
      } catch (failure) {
        // It was asked whether it keeps statements, and has closed the connection over that.
        if (kept !== true || shared.pooler?.keeps !== false) throw failure
        return open()
      }
    },
    classify,
  }
}

/** Opens a session at the host of the options, with TLS or without as they say; rejects with a `Failure`. */
export type OpenAt = (
  options: ServerOptions,
  hooks: ConnectionHooks,
  deadline: number,
  runner: ConnectAttempt | null,
  /** Settings of the session beside those of the options. */
  more: Readonly<Record<string, string>>,
) => Promise<Session>

type Attempt = (
  options: ServerOptions,
  hooks: ConnectionHooks,
  deadline: number,
  runner: ConnectAttempt | null,
) => Promise<Session>

/** Whatever a role or a database says, the server writes every digit of a float, as it does by itself. (1 does so since version 12.) */
const allDigits = { extra_float_digits: '3' }
/** The options of engines whose way to the server refuses to be asked for that: a pooler. */
const refusing = new WeakSet<ServerOptions>()

function withAllDigits(engine: ServerOptions, openAt: OpenAt): Attempt {
  return async (...at) => {
    const asks = !refusing.has(engine)
    try {
      return await openAt(...at, asks ? allDigits : {})
    } catch (failure) {
      const { message = '' } = (failure as Failure).fields ?? {}
      if (!asks || !/parameter.*extra_float_digits/.test(message)) throw failure
      refusing.add(engine)
      return openAt(...at, {})
    }
  }
}

/** Rejects with a `Failure`. */
async function openServer(
  options: ServerOptions,
  hooks: ConnectionHooks,
  deadline: number,
  openAt: Attempt,
): Promise<Session> {
  const { host = 'localhost', port = 5432, places, targetSessionAttrs: target = 'any' } = options
  const at = (
    place: ServerOptions,
    told: ConnectionHooks,
    until: number,
    runner: ConnectAttempt | null,
  ): Promise<Session> => withFallback(bare<ServerOptions>(options, place), (each) => openAt(each, told, until, runner))
  if (places === undefined && target === 'any' && isPlace(host)) return at({}, hooks, deadline, null)
  const choice = {
    places: places ?? [{ host, port }],
    target,
    balanced: options.loadBalanceHosts ?? false,
    final: (failure: Failure) => failure.fields !== undefined && classify(failure) === 'config',
    unreachable: (failure: Failure) => classify(failure) === 'endpoint',
  }
  return openFirst(choice, hooks, deadline, (place, told, until, runner) =>
    at(tlsAt(options, place), told, until, runner),
  )
}

/** As libpq's `sslmode`: `prefer` tries with TLS first, `allow` without; then the other way. The first failure is told. */
async function withFallback(
  options: ServerOptions,
  attempt: (options: ServerOptions) => Promise<Session>,
): Promise<Session> {
  const { sslFallback, ssl } = options
  if (sslFallback === undefined || ssl === false) return attempt(options)
  const [first, second] = sslFallback === 'prefer' ? [ssl, false] : [false, ssl]
  try {
    return await attempt(bare<ServerOptions>(options, { ssl: first }))
  } catch (thrown) {
    const failure = thrown as Failure
    if (isSame(failure)) throw failure as unknown
    return attempt(bare<ServerOptions>(options, { ssl: second })).catch(() => {
      throw failure as unknown
    })
  }
}

/**
 * Whether TLS makes no difference: where nobody listens, to a password, and for a certificate that is not the right one, which
 * is no reason to go on in the open.
 */
function isSame(failure: Failure): boolean {
  if (explain(failure.fields ?? {}).kind === 'password' || ['endpoint', 'full'].includes(classify(failure))) return true
  return tlsTrouble(failure.cause) === 'certificate'
}

/** A place may be a socket, where there is no TLS, or an address that stands for a name. */
function tlsAt({ ssl, hostName }: ServerOptions, { host, address, port }: HostPlace): ServerOptions {
  if (host.startsWith('/')) return { host, port, ssl: false }
  if (address === undefined || address === host) return { host, port }
  const verified = ssl === true ? { rejectUnauthorized: true } : ssl
  const named = typeof verified === 'object' ? { servername: host, ...verified } : verified
  return {
    host: address,
    hostName: hostName ?? host,
    port,
    ssl: isAddress(host) ? ssl : named,
  }
}

/** What a failure to open says about the rest. */
export function classify(failure: Failure): ReturnType<Driver['classify']> {
  const { kind, fields, cause } = failure
  if (fields?.['code'] !== undefined) {
    const { opening } = explain(fields)
    return opening === 'statement' && kind !== 'server' ? 'connection' : opening
  }
  if (kind === 'timeout') return 'endpoint'
  if (kind !== 'lost') return kind === 'protocol' || kind === 'closed' ? 'connection' : 'statement'
  if (cause instanceof UsageError || tlsTrouble(cause) !== null) return 'config'
  if (cause instanceof ConnectError || cause instanceof NotOpened) return 'endpoint'
  return /^(E[A-Z]+|EAI_AGAIN)$/.test(textIn(cause, 'code') ?? '') ? 'endpoint' : 'connection'
}
