// An open, authenticated connection to one PostgreSQL server: socket, TLS, login, within one deadline. What a session stands on.
import type { TLSSocket } from 'node:tls'
import { clock, msUntil } from '../../util/clock.ts'
import type { ConnectionHooks } from '../driver.ts'
import { isAddress } from '../option-checks.ts'
import { Login } from '../postgres/open/login.ts'
import type { ConnectAttempt } from '../postgres/open/race.ts'
import {
  passwordOf,
  sendsCleartext,
  type ServerOptions,
  startupOptions,
} from '../postgres/parameters/server-options.ts'
import { type CancelKey, requestCancel } from './cancel.ts'
import { dial, type Target } from './dial.ts'
import { endPointOf } from './end-point.ts'
import { SocketWire } from './socket-wire.ts'
import { longestMessage, StartUp } from './start-up.ts'

export interface OpenWire {
  readonly wire: SocketWire
  /** The number of the session on the server; 0 where it has none. */
  readonly processId: number
  /** What the server has announced. */
  readonly parameters: ReadonlyMap<string, string>
  readonly version: string
  readonly login: Login
  /** Asks the server to stop what the session runs; true when that has had its effect, if any. */
  cancel(deadline: number): Promise<boolean>
}

const keepAliveMs = 10_000

/**
 * Reads nothing more until a session is shown what arrives. Rejects with a `Failure`.
 * @param more Settings of the session beside those of the options.
 */
export async function openWire(
  options: ServerOptions,
  hooks: Pick<ConnectionHooks, 'notice'>,
  deadline: number,
  runner: ConnectAttempt | null = null,
  more: Readonly<Record<string, string>> = {},
): Promise<OpenWire> {
  const target = targetOf(options)
  const wire = new SocketWire()
  await dial(target, wire, deadline, runner)
  const login = new Login(sendsCleartext(options), options.requireAuth ?? null)
  const startUp = new StartUp(
    {
      version: options.protocolVersion ?? '3.0',
      least: options.leastProtocolVersion ?? '3.0',
      user: options.user ?? 'postgres',
      parameters: {
        database: options.database,
        client_encoding: 'UTF8',
        application_name: options.applicationName,
        ...more,
        options: startupOptions(options),
      },
      password: () => passwordOf(options),
      channelBinding: options.channelBinding ?? 'prefer',
      endPoint: target.ssl === false ? undefined : certificateOf(wire.socket as TLSSocket),
    },
    login,
    hooks,
    (bytes) => wire.write(bytes),
    () => wire.show(null, null),
  )
  wire.show(startUp, startUp, longestMessage)
  const late = (): void => startUp.fail({ kind: 'timeout', outcome: 'not_started' })
  const timer = deadline === Infinity ? undefined : clock.setTimeout(late, msUntil(deadline))
  startUp.begin()
  const failure = await startUp.settled
  clock.clearTimeout(timer)
  if (failure !== null) {
    wire.destroy()
    throw failure as unknown
  }
  const { key, parameters, version } = startUp
  return {
    wire,
    processId: key.processId,
    parameters,
    version,
    login,
    cancel: (until) => cancel(wire, target, key, until),
  }
}

/** To the address that the name led to, which may be another one by now; the name is what the certificate is checked for. */
async function cancel(wire: SocketWire, target: Target, key: CancelKey, deadline: number): Promise<boolean> {
  if (key.secret.length === 0) return false
  const { remoteAddress } = wire.socket
  const { host, ssl } = target
  if (remoteAddress === undefined || host.startsWith('/')) return requestCancel(target, key, deadline)
  const named = ssl === false || isAddress(host) ? ssl : { servername: host, ...ssl }
  return requestCancel({ ...target, host: remoteAddress, ssl: named }, key, deadline)
}

function targetOf(options: ServerOptions): Target {
  const { host = 'localhost', port = 5432, ssl = false, sslNegotiation, keepAlive, keepAliveIdleMs } = options
  return {
    host,
    port,
    ssl: host.startsWith('/') || ssl === false ? false : ssl === true ? { rejectUnauthorized: true } : { ...ssl },
    direct: sslNegotiation === 'direct',
    keepAliveMs: keepAlive === false ? null : (keepAliveIdleMs ?? keepAliveMs),
  }
}

function certificateOf(socket: TLSSocket): Buffer | null {
  const certificate = socket.getPeerX509Certificate()?.raw ?? socket.getPeerCertificate(true).raw
  return certificate === undefined ? null : endPointOf(certificate)
}
