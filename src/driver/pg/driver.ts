// The driver `pg`: opens a node-postgres client within one deadline and makes a session of it. The engine finds it by the
// scheme or by name; pools use nothing but the contract.
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { Session } from '../postgres/session.ts'
import type { PgClient, PgParameter } from './client.ts'
import { classify, openFailure } from './failure.ts'
import { loadPg } from './load.ts'
import { parsePgOptions, type PgOptions, startupOptions } from './options.ts'
import { PgWire } from './pg-wire.ts'

const defaultCacheSize = 256
const keepAliveMs = 10_000
/** Node's timers hold 31 bits of milliseconds. */
const longestMs = 2 ** 31 - 1
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
  const style = { date: 'ISO' }
  const client = await connect(options, deadline, ({ parameterName, parameterValue }) => {
    if (parameterName === 'DateStyle') style.date = parameterValue
  })
  const wire = new PgWire(client, options)
  const session = new Session(wire, hooks, {
    id: client.processID ?? ++opened,
    generation,
    int8: options.int8 ?? 'number',
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    prefix: '',
  })
  wire.attach(session, hooks)
  wire.hold(false)
  if (style.date.startsWith('ISO')) return session
  // Dates are read in one form only. A pooler may refuse it in the start-up packet, so it is set afterwards.
  if (await session.establish("SET datestyle TO 'ISO'", deadline)) return session
  const failure: Failure = { kind: 'timeout', outcome: 'not_started' }
  session.destroy(failure)
  throw failure as unknown
}

async function connect(
  options: PgOptions,
  deadline: number,
  told: (parameter: PgParameter) => void,
): Promise<PgClient> {
  let client: PgClient
  try {
    const { Client } = await loadPg()
    client = new Client(clientConfig(options, deadline))
    client.connection.on('parameterStatus', told)
  } catch (error) {
    throw openFailure(error) as unknown
  }
  const failure = await new Promise<Failure | null>((settle) => {
    // An error may come twice, or after the deadline: a client without a listener would end the process.
    client.on('error', (error) => settle(openFailure(error)))
    let timer: NodeJS.Timeout | undefined
    if (deadline !== Infinity) {
      const ms = Math.min(Math.max(0, deadline - performance.now()), longestMs)
      timer = setTimeout(() => settle({ kind: 'timeout', outcome: 'not_started' }), ms)
    }
    client.connect((error) => {
      clearTimeout(timer)
      settle(error === null || error === undefined ? null : openFailure(error))
    })
  })
  if (failure === null) return client
  client.connection.stream.destroy()
  throw failure as unknown
}

function clientConfig(options: PgOptions, deadline: number): Record<string, unknown> {
  const { host, port, user, password, database, ssl, applicationName } = options
  const config = {
    host,
    port,
    user,
    password,
    database,
    ssl,
    application_name: applicationName,
    options: startupOptions(options) || undefined,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    connectionTimeoutMillis: deadline === Infinity ? 0 : Math.ceil(Math.max(1, deadline - performance.now())),
  }
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))
}
