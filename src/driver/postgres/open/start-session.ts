// Starts a session over an authenticated wire, for every driver that reaches PostgreSQL over the network.
import { State } from '../../../postgres/sqlstate.ts'
import type { ConnectionHooks, Failure, Proof } from '../../driver.ts'
import type { Login } from './login.ts'
import { askPooler, keepsNothing } from './ask-pooler.ts'
import type { ServerOptions } from '../parameters/server-options.ts'
import { Session } from '../session.ts'
import type { Shared, Wire } from '../wire.ts'

const defaultCacheSize = 256
const atOnce = 'the connection ended as soon as the server was ready'
let opened = 0

/** What the driver itself found while it opened a connection: no words of the server. The engine adds which server it was. */
export class NotOpened extends Error {}

export interface Authenticated {
  readonly processId: number | null
  readonly login: Login
  readonly shared: Shared
  readonly binary?: boolean
}

/** Rejects with a `Failure`. */
export async function startSession(
  wire: Wire & { attach(session: Session): void },
  hooks: ConnectionHooks,
  options: ServerOptions,
  { processId, login, shared, binary = false }: Authenticated,
  deadline: number,
): Promise<Session> {
  const session = new Session(wire, hooks, {
    id: processId || ++opened,
    binary,
    ...shared,
    announced: login.announced,
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: '',
    authorization: 'DEFAULT',
  })
  wire.attach(session)
  // What came together with the last message of the start-up may have ended it already.
  if (!session.alive) throw endOf(session)
  wire.hold(false)
  if (!login.dateStyle.startsWith('ISO')) {
    // Dates are read in one form only. A pooler may refuse it in the start-up packet, so it is set afterwards.
    const failure = await session.establish("SET datestyle TO 'ISO'", deadline)
    if (failure !== null) throw destroyed(session, failure)
  }
  if (options.knownPooler !== true && processId) session.proof = proofOf(processId)
  const { pooler } = shared
  if (pooler === null) return session
  const answer = pooler.keeps ? await askPooler(session, deadline) : keepsNothing
  if (answer !== null) pooler.keeps &&= answer.keeps
  if (!session.alive) throw endOf(session)
  if (answer === null) throw destroyed(session, { kind: 'timeout', outcome: 'not_started' })
  session.keepsServer = answer.holds
  if (!answer.keeps) hooks.unprepared?.()
  return session
}

/**
 * A pooler announces another number than that of the session: it has none of the server yet, or will lend another one. One that spreads
 * reads has a session on each server, and sends a function that changes settings to another one than reads.
 */
function proofOf(processId: number): Proof {
  const answers = 'pg_catalog.pg_backend_pid()'
  const told = `'session ' || ${answers} || ' answers in place of ' || $1::pg_catalog.int4`
  const read = `select case when ${answers} = $1::pg_catalog.int4 then 1 else (${told})::pg_catalog.int4 end`
  const name = "'application_name'"
  return {
    texts: [read, `${read}, pg_catalog.set_config(${name}, pg_catalog.current_setting(${name}), true)`],
    params: [processId],
    refuted: State.unreadable,
  }
}

/** Ends the session. Gives the failure, to be thrown. */
export function destroyed(session: Session, failure: Failure): unknown {
  session.destroy(failure)
  return failure
}

/** Why a session has ended before anybody used it: the words of the server, or what was wrong with them. */
export function endOf({ lostBy }: Session): unknown {
  const { fields, cause } = lostBy ?? {}
  const words = fields === undefined && cause === undefined ? { cause: new NotOpened(atOnce) } : {}
  return { kind: 'lost', ...lostBy, ...words, outcome: 'not_started' } satisfies Failure
}
