/** Ports of the loopback that nobody listens on. */

import { once } from 'node:events'
import { createServer } from 'node:net'

/** Nobody listens on these, and the system gives them to nobody: a connection to them is refused. */
export const deadPorts = [1, 2] as const

/**
 * A port for a server that is started next. Systems give none of these to sockets that take any port, of which other tests
 * open many between this answer and the start of the server.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const probe = createServer().listen(port, '127.0.0.1')
    const free = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
}
