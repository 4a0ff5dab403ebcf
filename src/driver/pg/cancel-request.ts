// Asks a PostgreSQL server to stop what one of its processes is running, over a socket of its own. Used by the wire while
// its connection is quarantined; the server closes the socket when the signal has been sent.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { clock, msUntil } from '../../util/clock.ts'
import { cancelRequest, sslRequest } from '../postgres/message-writer.ts'

export interface CancelTarget {
  /** The directory of a Unix socket, or null. */
  readonly directory: string | null
  /** The name that the certificate is checked against, the address that it led to for the main connection. */
  readonly host: string
  readonly address: string
  readonly port: number
  readonly ssl: ConnectionOptions | false
  readonly processId: number
  readonly secretKey: number
}

/** True when the server has closed the socket: the request has been served. False: it could not be sent in time. */
export function requestCancel(target: CancelTarget, deadline: number): Promise<boolean> {
  const { directory, host, address, port } = target
  const key = Buffer.alloc(4)
  key.writeInt32BE(target.secretKey)
  const socket = directory === null ? connect(port, address) : connect(`${directory}/.s.PGSQL.${port}`)
  return new Promise((resolve) => {
    let secure: Socket | undefined
    const finish = (served: boolean): void => {
      clock.clearTimeout(timer)
      secure?.destroy()
      socket.destroy()
      resolve(served)
    }
    const timer = clock.setTimeout(finish, msUntil(deadline), false)
    const send = (stream: Socket): void => {
      stream.once('end', () => finish(true)).once('close', () => finish(true))
      stream.resume().write(cancelRequest(target.processId, key))
    }
    socket.on('error', () => finish(false))
    socket.once('connect', () => {
      if (target.ssl === false) send(socket)
      else {
        socket.once('data', (answer: Buffer) => {
          if (answer.toString('latin1') !== 'S') finish(false)
          else {
            const name = isIP(host) === 0 ? { host, servername: host } : { host }
            secure = connectTls({ ...name, ...target.ssl, socket })
            secure.on('error', () => finish(false)).once('secureConnect', () => secure && send(secure))
          }
        })
        socket.write(sslRequest)
      }
    })
  })
}
