// The end of Nest's HTTP server: Nest waits for running requests without a deadline. This gives it one.
import type { ClosableServer } from '../../../registry/serve.ts'
import { clock } from '../../../util/clock.ts'

const idleCheckMs = 50

/**
 * Closes sockets as they become idle, and the others after `timeoutMs`, until the returned function is called. The
 * server itself is closed by Nest.
 */
export function drainWithin(server: ClosableServer, timeoutMs: number, late: () => void): () => void {
  // A connection that is kept alive becomes idle only when its response is over.
  const idle = clock.setInterval(() => server.closeIdleConnections?.(), idleCheckMs)
  const deadline = clock.setTimeout(() => {
    late()
    server.closeAllConnections?.()
  }, timeoutMs)
  return () => {
    clock.clearInterval(idle)
    clock.clearTimeout(deadline)
  }
}
