// The driver `pg`: opens a node-postgres client within one deadline and makes a session of it. The engine finds it by the
// scheme or by name; pools use nothing but the contract.
import { isIP } from 'node:net'
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { type HostPlace, openFirst } from '../postgres/hosts.ts'
import { Session } from '../postgres/session.ts'
import { bookOf, type TypeBook } from '../postgres/type-book.ts'
import { UsageError } from '../../errors/index.ts'
import { bare } from '../../util/checks.ts'
import { classify, openFailure } from './failure.ts'
import { loadPg } from './load.ts'
import { parsePgOptions, type PgOptions, sendsCleartext, startupOptions } from './options.ts'
import { Login } from './login.ts'
import { PgWire } from './pg-wire.ts'

const defaultCacheSize = 256
const keepAliveMs = 10_000
let opened = 0

const noPassword = (): string => ''

export const pgDriver: Driver<PgOptions> = {
  name: 'pg',
  dialect: 'postgres',
  poolLimit: Infinity,
  parse: parsePgOptions,
  open,
  classify,
}

async function open(
  options: PgOptions,
  hooks: ConnectionHooks,
  deadline: number,
  generation: number,
): Promise<RawConnection> {
  const types = bookOf(options)
  const { host, port, places, targetSessionAttrs: target = 'any', loadBalanceHosts: balanced = false } = options
  const at = (place: PgOptions, told: ConnectionHooks, until: number): Promise<Session> =>
    withFallback(bare<PgOptions>(options, place), (each) => openAt(each, types, told, until, generation))
  if (places === undefined && target === 'any') return at({}, hooks, deadline)
  const choice = {
    places: places ?? [{ host: host ?? 'localhost', port: port ?? 5432 }],
    target,
    balanced,
    final: (failure: Failure) => failure.fields !== undefined && classify(failure) === 'config',
  }
  return openFirst(choice, hooks, deadline, (place, told, until) => at(tlsAt(options, place), told, until))
}

/** As libpq's `sslmode`: `prefer` tries with TLS first, `allow` without; then the other way. The first failure is told. */
async function withFallback(options: PgOptions, attempt: (options: PgOptions) => Promise<Session>): Promise<Session> {
  const { sslFallback, ssl } = options
  if (sslFallback === undefined || ssl === false) return attempt(options)
  const [first, second] = sslFallback === 'prefer' ? [ssl, false] : [false, ssl]
  try {
    return await attempt(bare<PgOptions>(options, { ssl: first }))
  } catch (thrown) {
    const failure = thrown as Failure
    // Where nobody listens or answers TLS makes no difference, nor to a password.
    if (failure.fields?.['code'] === '28P01' || ['endpoint', 'full'].includes(classify(failure)))
      throw failure as unknown
    return attempt(bare<PgOptions>(options, { ssl: second })).catch(() => {
      throw failure as unknown
    })
  }
}

/** A place may be a socket, where there is no TLS, or an address that stands for a name. */
function tlsAt({ ssl }: PgOptions, { host, address, port }: HostPlace): PgOptions {
  if (host.startsWith('/')) return { host, port, ssl: false }
  if (address === undefined || address === host) return { host, port }
  const named = typeof ssl === 'object' ? { servername: host, ...ssl } : ssl
  return { host: address, port, ssl: isIP(host) === 0 ? named : ssl }
}

async function openAt(
  options: PgOptions,
  types: TypeBook,
  hooks: ConnectionHooks,
  deadline: number,
  generation: number,
): Promise<Session> {
  const login = new Login(sendsCleartext(options))
  const wire = await makeWire(options, login)
  const refused = await wire.connect(deadline, options.channelBinding === 'require')
  if (refused !== null) {
    wire.destroy()
    throw refused as unknown
  }
  const session = new Session(wire, hooks, {
    id: wire.client.processID ?? ++opened,
    generation,
    int8: options.int8 ?? 'number',
    types,
    searchPath: login.searchPath,
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: '',
    authorization: 'DEFAULT',
  })
  wire.attach(session, hooks)
  wire.hold(false)
  if (login.dateStyle.startsWith('ISO')) return session
  // Dates are read in one form only. A pooler may refuse it in the start-up packet, so it is set afterwards.
  const failure = await session.establish("SET datestyle TO 'ISO'", deadline)
  if (failure === null) return session
  session.destroy(failure)
  throw failure as unknown
}

async function makeWire(options: PgOptions, login: Login): Promise<PgWire> {
  try {
    const { Client } = await loadPg()
    const client = new Client(clientConfig(options))
    if (options.sslNegotiation === 'direct' && !('sslNegotiation' in client))
      throw new UsageError('sslnegotiation=direct needs a newer version of the package pg. Install it: npm install pg')
    return new PgWire(client, login)
  } catch (error) {
    throw openFailure(error) as unknown
  }
}

function clientConfig(options: PgOptions): Record<string, unknown> {
  const { host, port, user, password, database, ssl, applicationName } = options
  const config = {
    host,
    port,
    user,
    // Without one the client would look into a file of passwords.
    password: password ?? noPassword,
    database,
    // The client changes what it is given.
    ssl: typeof ssl === 'object' ? bare(ssl) : ssl,
    application_name: applicationName,
    options: startupOptions(options) || undefined,
    keepAlive: options.keepAlive ?? true,
    keepAliveInitialDelayMillis: options.keepAliveIdleMs ?? keepAliveMs,
    sslnegotiation: ssl === false ? 'postgres' : (options.sslNegotiation ?? 'postgres'),
    enableChannelBinding: options.channelBinding === 'prefer' || options.channelBinding === 'require',
    // The wire keeps the deadline: the client's own timer could be one that a test has replaced.
    connectionTimeoutMillis: 0,
  }
  // Without a prototype, which might be polluted: the client looks for more than what is here.
  return bare(Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)))
}
