/**
 * A server of MySQL 8 for tests, as far as RETURNING goes: what comes in is passed on to the MariaDB of this run. It says that it is MySQL,
 * and refuses every statement with RETURNING as a syntax error.
 */

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface WithoutReturning extends AsyncDisposable {
  readonly url: string
  /** Statements with RETURNING that came in. */
  readonly refused: readonly string[]
  /** Texts that were passed on, in order. */
  readonly texts: readonly string[]
}

const [query, prepare] = [0x03, 0x16]

/** Listens in front of the server of that URL. */
export async function withoutReturning(url: string): Promise<WithoutReturning> {
  const target = new URL(url)
  const refused: string[] = []
  const texts: string[] = []
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
      client.write(asMysql8(packet))
    })
    upstream.on('data', (chunk: Buffer) => answers.pass(chunk))
    const commands = packets((packet) => {
      const text = [query, prepare].includes(packet[4] as number) && packet[3] === 0 ? packet.toString('utf8', 5) : null
      if (text !== null && /\breturning\b/i.test(text)) {
        refused.push(text)
        client.write(syntaxError())
        return
      }
      if (text !== null) texts.push(text)
      upstream.write(packet)
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
    refused,
    texts,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
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

/** The handshake, in which a server says its version: protocol 10, the version, a zero. */
function asMysql8(handshake: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from('\n8.0.40\0'), handshake.subarray(handshake.indexOf(0, 5) + 1)])
  const head = Buffer.alloc(4)
  head.writeUIntLE(body.length, 0, 3)
  return Buffer.concat([head, body])
}

function syntaxError(): Buffer {
  const body = Buffer.concat([Buffer.from([0xff, 1064 & 0xff, 1064 >> 8]), Buffer.from('#42000near RETURNING')])
  const head = Buffer.alloc(4)
  head.writeUIntLE(body.length, 0, 3)
  head[3] = 1
  return Buffer.concat([head, body])
}
