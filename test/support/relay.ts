/** A server in this process between the code under test and its database, and the sockets of both sides. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export class Relay implements AsyncDisposable {
  /** The database, by way of the relay. */
  url = ''
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null

  constructor(target: string) {
    this.#target = new URL(target)
  }

  /** A new connection to the database, which ends with the relay. */
  connect(): Socket {
    const { hostname, port } = this.#target
    return this.#keep(connect(Number(port), hostname))
  }

  async listen(serve: (client: Socket) => void): Promise<this> {
    this.#server = createServer((socket) => serve(this.#keep(socket))).listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const { protocol, username, pathname } = this.#target
    this.url = `${protocol}//${username}@127.0.0.1:${(this.#server.address() as AddressInfo).port}${pathname}`
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.close()
    for (const socket of this.#sockets) socket.destroy()
    if (this.#server !== null) await once(this.#server, 'close')
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket.setNoDelay(true))
    return socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket))
  }
}
