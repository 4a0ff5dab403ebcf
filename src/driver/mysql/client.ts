// The parts of mysql2 that the driver uses: its connection, with handshake, login, TLS and framing of packets, and its queue of
// commands. The driver itself writes and reads the commands in that queue.
import { isIP, type Socket } from 'node:net'
import { connect, type ConnectionOptions } from 'node:tls'
import { DriverNotInstalledError } from '../../errors/index.ts'

/** A packet as it arrived; the same object for each. The payload is `buffer` from `offset` to before `end`. */
export interface ReadPacket {
  readonly buffer: Buffer
  readonly offset: number
  readonly end: number
}

export interface WrittenPacket {
  /** Four bytes of header in front. */
  readonly buffer: Buffer
  length(): number
  writeHeader(sequence: number): void
}

export interface Command {
  /** First without a packet: it sends. Then for each packet that arrives. True: it is over. */
  execute(packet: ReadPacket | undefined, connection: Client): boolean
  /** The connection is lost. */
  onResult(error: unknown): void
}

/** mysql2's connection. */
export interface Client {
  readonly threadId: number | null
  readonly _handshakePacket: { readonly serverVersion: string }
  addCommand(command: Command): unknown
  writePacket(packet: WrittenPacket): void
  _resetSequenceId(): void
  /** Those that its own methods have prepared. */
  readonly _statements: { clear(): void }
  on(event: 'error' | 'end' | 'connect', listener: (given: unknown) => void): unknown
  removeAllListeners(event: string): unknown
  end(callback?: () => void): void
  destroy(): void
  stream: Socket
  readonly packetParser: { execute(data: Buffer): void }
  startTLS(onSecure: (error?: unknown) => void): void
  _handleNetworkError(error: unknown): void
}

/** Goes over to TLS with just these options, where mysql2 would make a context of its own and know only some of them. */
export function secure(client: Client, host: string, options: ConnectionOptions): void {
  client.startTLS = (onSecure) => {
    client.stream.removeAllListeners('data')
    const servername = isIP(host) === 0 ? { servername: host } : {}
    let open = false
    const socket = connect({ host, ...servername, ...options, socket: client.stream }, () => {
      open = true
      onSecure()
    })
    socket.on('error', (error) => (open ? client._handleNetworkError(error) : onSecure(error)))
    socket.on('data', (data: Buffer) => client.packetParser.execute(data))
    client.stream = socket
  }
}

export interface Mysql2 {
  createConnection(config: Readonly<Record<string, unknown>>): Client
}

/** @throws {DriverNotInstalledError} */
export async function loadMysql2(): Promise<Mysql2> {
  try {
    const loaded = (await import('mysql2')) as unknown as Partial<Mysql2> & { readonly default?: Mysql2 }
    return (loaded.createConnection === undefined ? loaded.default : loaded) as Mysql2
  } catch (cause) {
    throw new DriverNotInstalledError('The driver "mysql" needs the package "mysql2". Install it: npm install mysql2', {
      cause,
    })
  }
}
