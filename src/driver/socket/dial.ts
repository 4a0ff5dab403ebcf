// Opens a socket to a PostgreSQL server, with TLS or without, for a connection or a CancelRequest. Before TLS is established only the
// request for it is sent, and nothing that the server says is believed.
import { sslRequest } from '../postgres/message-writer.ts'
import type { NetConnectOpts, Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { ProtocolError } from '../../errors/index.ts'
import { clock, msUntil } from '../../util/clock.ts'
import type { Failure } from '../driver.ts'
import type { ConnectAttempt } from '../postgres/open/race.ts'
import { NotOpened } from '../postgres/open/start-session.ts'
import type { SocketWire } from './socket-wire.ts'

export interface Target {
  /** An address, or the directory of a socket of the file system. */
  readonly host: string
  readonly port: number
  readonly ssl: ConnectionOptions | false
  /** TLS from the first byte. */
  readonly direct: boolean
  /** After how long without traffic the system asks for the other side; null: never. */
  readonly keepAliveMs: number | null
}

/** Loaded where it is needed alone: without TLS, to load it is a good part of the start of a process. */
const tls = () => process.getBuiltinModule('node:tls')
const net = () => process.getBuiltinModule('node:net')

const protocolName = 'postgresql'

/** Settles when the wire has its socket; rejects with a `Failure`. */
export function dial(
  target: Target,
  wire: SocketWire,
  deadline: number,
  runner: ConnectAttempt | null = null,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const { ssl, direct } = target
    let over = false
    let first: Socket
    const fail = (cause: unknown, kind: Failure['kind'] = 'lost'): void => {
      if (over) return
      over = true
      clock.clearTimeout(timer)
      first.destroy()
      const failure: Failure = { kind, outcome: 'not_started', cause }
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a failure is data
      reject(failure)
    }
    const done = (socket: Socket, fed: boolean): void => {
      if (over) return
      over = true
      clock.clearTimeout(timer)
      socket.setNoDelay(true)
      if (target.keepAliveMs !== null && !target.host.startsWith('/')) socket.setKeepAlive(true, target.keepAliveMs)
      wire.attach(socket, fed)
      resolve()
    }
    const watch = (socket: Socket): void => {
      socket.on('error', fail)
      socket.once('close', () => fail(new NotOpened('the server closed the connection before it was open')))
    }
    const timer =
      deadline === Infinity ? undefined : clock.setTimeout(() => fail(undefined, 'timeout'), msUntil(deadline))
    if (ssl === false) {
      first = net().connect({ ...placeOf(target), onread: wire.onread } as NetConnectOpts)
      watch(first)
      first.once('connect', () => done(first, true))
    } else if (direct) {
      const place: object = { ...placeOf(target), onread: wire.onread }
      const secure = tls().connect({ ...place, ...tlsOf(target.host, ssl) })
      first = secure
      watch(secure)
      secure.once('secureConnect', () => {
        if (secure.alpnProtocol === protocolName) done(secure, true)
        else fail(new ProtocolError('a TLS connection that is not one for PostgreSQL'), 'protocol')
      })
    } else {
      first = net().connect(placeOf(target))
      watch(first)
      const secured = (secure: TLSSocket): void => {
        watch(secure)
        secure.once('secureConnect', () => done(secure, false))
      }
      askForTls(first, target.host, ssl, secured, fail)
    }
    runner?.connects(first)
  })
}

/** Without `onread`: the socket underneath TLS has none on every runtime. */
function askForTls(
  socket: Socket,
  host: string,
  ssl: ConnectionOptions,
  secured: (socket: TLSSocket) => void,
  fail: (cause: unknown, kind?: Failure['kind']) => void,
): void {
  socket.once('connect', () => socket.write(sslRequest))
  socket.once('data', (answer: Buffer) => {
    const [byte] = answer
    // What is behind the answer came without TLS, from anybody: CVE-2021-23222.
    if (answer.length === 1 && byte === 0x53) secured(tls().connect({ ...tlsOf(host, ssl), socket }))
    else if (answer.length === 1 && byte === 0x4e) fail(new NotOpened('the server does not support SSL connections'))
    // The text of an error is not shown for the same reason: CVE-2024-10977.
    else if (byte === 0x45) fail(new NotOpened('the server answered the request for TLS with an error'))
    else fail(new ProtocolError('an answer to the request for TLS that is not one byte'), 'protocol')
  })
}

function placeOf({ host, port }: Target): NetConnectOpts {
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}

/** The name is sent and checked; an address is only checked. */
function tlsOf(host: string, ssl: ConnectionOptions): ConnectionOptions {
  const name = net().isIP(host) === 0 ? { servername: host } : {}
  return { host, ...name, ...ssl, ALPNProtocols: [protocolName] }
}
