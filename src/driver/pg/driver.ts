// The driver `pg`: opens a node-postgres client within one deadline and makes a session of it. The engine finds it by the
// scheme or by name; pools use nothing but the contract.
import type { ConnectionHooks, Driver, RawConnection } from '../driver.ts'
import { Session } from '../postgres/session.ts'
import { msUntil } from '../../util/timers.ts'
import { classify, openFailure } from './failure.ts'
import { loadPg } from './load.ts'
import { parsePgOptions, type PgOptions, startupOptions } from './options.ts'
import { PgWire } from './pg-wire.ts'

const defaultCacheSize = 256
const keepAliveMs = 10_000
let opened = 0

export const pgDriver: Driver<PgOptions> = {
  name: 'pg',
  dialect: 'postgres',
  poolLimit: Infinity,
  parse: parsePgOptions,
  open,
  classify,
}

async function open(
  options: PgOptions,
  hooks: ConnectionHooks,
  deadline: number,
  generation: number,
): Promise<RawConnection> {
  const wire = await makeWire(options, deadline)
  const refused = await wire.connect(deadline)
  if (refused !== null) {
    wire.destroy()
    throw refused as unknown
  }
  const session = new Session(wire, hooks, {
    id: wire.native.processID ?? ++opened,
    generation,
    int8: options.int8 ?? 'number',
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: '',
    authorization: 'DEFAULT',
  })
  wire.attach(session, hooks)
  wire.hold(false)
  if (wire.dateStyle.startsWith('ISO')) return session
  // Dates are read in one form only. A pooler may refuse it in the start-up packet, so it is set afterwards.
  const failure = await session.establish("SET datestyle TO 'ISO'", deadline)
  if (failure === null) return session
  session.destroy(failure)
  throw failure as unknown
}

async function makeWire(options: PgOptions, deadline: number): Promise<PgWire> {
  try {
    const { Client } = await loadPg()
    return new PgWire(new Client(clientConfig(options, deadline)))
  } catch (error) {
    throw openFailure(error) as unknown
  }
}

function clientConfig(options: PgOptions, deadline: number): Record<string, unknown> {
  const { host, port, user, password, database, ssl, applicationName } = options
  const config = {
    host,
    port,
    user,
    password,
    database,
    // The client changes what it is given.
    ssl: typeof ssl === 'object' ? { ...ssl } : ssl,
    application_name: applicationName,
    options: startupOptions(options) || undefined,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    connectionTimeoutMillis: deadline === Infinity ? 0 : Math.ceil(msUntil(deadline)) + 1,
  }
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))
}
