// A session over a wire that the server has let in. For every driver that reaches PostgreSQL over the network.
import type { ConnectionHooks } from '../../driver.ts'
import type { TypeBook } from '../../../postgres/types/book.ts'
import type { Login } from '../login.ts'
import type { ServerOptions } from '../server-options.ts'
import { Session } from '../session.ts'
import type { Wire } from '../wire.ts'

const defaultCacheSize = 256
let opened = 0

export interface LetIn {
  readonly processId: number | null
  readonly login: Login
  readonly types: TypeBook
  readonly binary?: boolean
}

/** Rejects with a `Failure`. */
export async function startSession(
  wire: Wire & { attach(session: Session): void },
  hooks: ConnectionHooks,
  options: ServerOptions,
  { processId, login, types, binary = false }: LetIn,
  deadline: number,
): Promise<Session> {
  const session = new Session(wire, hooks, {
    id: processId || ++opened,
    binary,
    types,
    searchPath: login.searchPath,
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: '',
    authorization: 'DEFAULT',
  })
  wire.attach(session)
  wire.hold(false)
  if (login.dateStyle.startsWith('ISO')) return session
  // Dates are read in one form only. A pooler may refuse it in the start-up packet, so it is set afterwards.
  const failure = await session.establish("SET datestyle TO 'ISO'", deadline)
  if (failure === null) return session
  session.destroy(failure)
  throw failure as unknown
}
