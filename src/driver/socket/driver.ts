// The driver `socket`: PostgreSQL's protocol over a socket of Node's, without a package of anybody else. The engine finds it by
// name or scheme; pools use nothing but the contract.
import type { Driver } from '../driver.ts'
import { type OpenAt, serverDriver } from '../postgres/open/open-server.ts'
import type { ServerOptions } from '../postgres/parameters/server-options.ts'
import { startSession } from '../postgres/open/start-session.ts'
import type { Shared } from '../postgres/wire.ts'
import { openWire } from './open-wire.ts'
import { SessionWire } from './session-wire.ts'

export const socketDriver: Driver<ServerOptions> = serverDriver('socket', openWith)

function openWith(shared: Shared): OpenAt {
  return async (options, hooks, deadline, runner, more) => {
    const opened = await openWire(options, hooks, deadline, runner, more)
    const { processId, login } = opened
    return startSession(new SessionWire(opened), hooks, options, { processId, login, shared, binary: true }, deadline)
  }
}
