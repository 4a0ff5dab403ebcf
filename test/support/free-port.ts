/** Ports of the loopback that nobody else gets: no other caller, in whichever process, and no socket that connects somewhere. */

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

/** Nobody listens on these, and nobody is given them: a connection to them is refused. */
export const deadPorts = [1, 2] as const

/** Systems give sockets that connect a port above these. */
const [least, most] = [10_000, 32_000]

/**
 * A port that nobody listens on. It stays the caller's until this process ends, which listens on the one above it for so long: that is
 * how others know. A server may be stopped there, and started again, and nobody is there meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = least + 2 * Math.floor((Math.random() * (most - least)) / 2)
    const sign = await listen(port + 1)
    if (sign === null) continue
    const probe = await listen(port)
    await close(probe ?? sign)
    if (probe === null) continue
    sign.unref()
    return port
  }
  throw new Error(`No port between ${least} and ${most} is free.`)
}

/** Null: somebody listens there. */
async function listen(port: number): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy())
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    return server
  } catch {
    return null
  }
}

async function close(server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}
