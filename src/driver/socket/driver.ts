// The driver `socket`: PostgreSQL's protocol over a socket of Node's, without a package of anybody else. The engine finds it by
// name or scheme; pools use nothing but the contract.
import type { ConnectionHooks, Driver } from '../driver.ts'
import { serverDriver } from '../postgres/open-server.ts'
import type { Runner } from '../postgres/open/race.ts'
import type { ServerOptions } from '../postgres/server-options.ts'
import type { Session } from '../postgres/session.ts'
import { startSession } from '../postgres/open/start-session.ts'
import type { Shared } from '../postgres/wire.ts'
import { openWire } from './open-wire.ts'
import { SessionWire } from './session-wire.ts'

export const socketDriver: Driver<ServerOptions> = serverDriver('socket', openAt)

async function openAt(
  options: ServerOptions,
  shared: Shared,
  hooks: ConnectionHooks,
  deadline: number,
  runner: Runner | null,
): Promise<Session> {
  const opened = await openWire(options, hooks, deadline, runner)
  const { processId, login } = opened
  return startSession(new SessionWire(opened), hooks, options, { processId, login, shared, binary: true }, deadline)
}
