/** A server of MySQL in front of another one: what comes in is passed on, and a test sees each text before the server gets it. */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface MysqlFront extends AsyncDisposable {
  readonly url: string
}

/** What a test does with what passes. */
export interface Passing {
  /** The handshake of the server, as the client gets it. */
  readonly greeting?: (packet: Buffer) => Buffer
  /** A text to be run or prepared, before the server gets it. Null: it goes on; else the client gets this as its answer. */
  readonly text: (text: string) => Buffer | null
  /** The login; as `text`. */
  readonly login?: () => Buffer | null
  /** A prepared statement to be run; as `text`. */
  readonly execute?: () => Buffer | null
}

const [query, prepare, execute] = [0x03, 0x16, 0x17]

/** Listens in front of the server of that URL; leaving its `await using` block ends it and all its connections. */
export async function mysqlFront(
  url: string,
  { greeting = (packet) => packet, login = () => null, text, execute: run = () => null }: Passing,
): Promise<MysqlFront> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 3306), target.hostname)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
    const answers = packets((packet) => {
      answers.pass = (chunk) => void client.write(chunk)
      client.write(greeting(packet))
    })
    upstream.on('data', (chunk: Buffer) => answers.pass(chunk))
    let loggedIn = false
    const commands = packets((packet) => {
      const isText = [query, prepare].includes(packet[4] as number) && packet[3] === 0
      const isRun = packet[4] === execute && packet[3] === 0
      const answer = !loggedIn ? login() : isText ? text(packet.toString('utf8', 5)) : isRun ? run() : null
      loggedIn = true
      if (answer === null) upstream.write(packet)
      else client.write(answer)
    })
    client.on('data', (chunk: Buffer) => commands.pass(chunk))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const own = new URL(url)
  own.hostname = '127.0.0.1'
  own.port = String((server.address() as AddressInfo).port)
  return {
    url: own.href,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A packet with that payload. */
export function packetOf(payload: Buffer, sequence: number): Buffer {
  const head = Buffer.alloc(4)
  head.writeUIntLE(payload.length, 0, 3)
  head[3] = sequence
  return Buffer.concat([head, payload])
}

/** The error that a server answers with. */
export function refusalOf(errno: number, message: string): Buffer {
  return packetOf(Buffer.concat([Buffer.from([0xff, errno & 0xff, errno >> 8]), Buffer.from(`#HY000${message}`)]), 1)
}

/** Cuts what arrives into packets. */
function packets(take: (packet: Buffer) => void): { pass: (chunk: Buffer) => void } {
  let rest = Buffer.alloc(0)
  const cut = {
    pass: (chunk: Buffer): void => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUIntLE(0, 3)) {
        const packet = rest.subarray(0, 4 + rest.readUIntLE(0, 3))
        rest = rest.subarray(packet.length)
        const { pass } = cut
        take(packet)
        if (cut.pass === pass) continue
        cut.pass(rest)
        return
      }
    },
  }
  return cut
}
