// The driver `pglite`: PostgreSQL inside this process, in memory or in a directory. Opens a connection to the server of
// its options, which is started by the first one.
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { schemaVersionOf } from '../postgres/schema-version.ts'
import { Session } from '../postgres/session.ts'
import { before } from '../../util/clock.ts'
import { parsePgliteOptions, type PgliteOptions, settingsSql } from './options.ts'
import { postgres } from '../../postgres/dialect.ts'
import { explain } from '../../postgres/sqlstate.ts'
import { bookOf } from '../../postgres/types/book.ts'
import { PgliteWire } from './pglite-wire.ts'
import { endServer, serverFor, superuser } from './server.ts'

const defaultCacheSize = 256
let opened = 0

export const pgliteDriver: Driver<PgliteOptions> = {
  name: 'pglite',
  dialect: postgres,
  poolLimit: 1,
  types: true,
  parse: parsePgliteOptions,
  open,
  end: endServer,
  classify,
}

async function open(options: PgliteOptions, hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
  const server = serverFor(options)
  const wire = new PgliteWire(server, hooks)
  server.join(wire)
  try {
    const inTime = await before(
      deadline,
      server.ready.then(() => true),
    )
    if (!inTime) throw { kind: 'timeout', outcome: 'not_started' } satisfies Failure as unknown
  } catch (failure) {
    wire.destroy()
    throw failure
  }
  const id = ++opened
  const session = new Session(wire, hooks, {
    id,
    types: bookOf(options),
    version: schemaVersionOf(server),
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: `c${id}_`,
    authorization: superuser,
  })
  // Connections that share a server take turns: whoever has left nothing gives the floor to the next.
  session.inForce.mayStay = false
  wire.attach(await server.ready, session)
  const settings = settingsSql(options)
  const failure = settings === '' ? null : await session.establish(settings, deadline)
  if (failure === null) return session
  session.destroy(failure)
  throw failure as unknown
}

/** A directory in use, or a package that is missing, does not get better by waiting. */
function classify(failure: Failure): ReturnType<Driver['classify']> {
  if (explain(failure.fields ?? {}).opening === 'config') return 'config'
  if (failure.kind === 'lost' || failure.kind === 'timeout') return 'endpoint'
  return failure.kind === 'server' ? 'statement' : 'connection'
}
