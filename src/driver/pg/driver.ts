// The driver `pg`: opens a node-postgres client within one deadline and makes a session of it. The engine finds it by the
// scheme or by name; pools use nothing but the contract.
import type { Driver } from '../driver.ts'
import { Login } from '../postgres/open/login.ts'
import { type OpenAt, serverDriver } from '../postgres/open/open-server.ts'
import {
  parseServerOptions,
  passwordOf,
  sendsCleartext,
  type ServerOptions,
  startupOptions,
} from '../postgres/parameters/server-options.ts'
import { startSession } from '../postgres/open/start-session.ts'
import type { Shared } from '../postgres/wire.ts'
import { InvalidOptionError, UsageError } from '../../errors/index.ts'
import { bare } from '../../util/options.ts'
import { openFailure } from './failure.ts'
import { loadPg } from './load.ts'
import { PgWire } from './pg-wire.ts'

const keepAliveMs = 10_000

export const pgDriver: Driver<ServerOptions> = serverDriver('pg', openWith, parse)

/** node-postgres speaks version 3.0 of the protocol: newer ones may be allowed, but not demanded. */
function parse(options: Readonly<Record<string, unknown>>): ServerOptions {
  if (options['leastProtocolVersion'] === '3.2')
    throw new InvalidOptionError(
      'The driver pg speaks version 3.0 of the protocol, so min_protocol_version may not be above it.',
      {
        options: [{ name: 'min_protocol_version', problem: 'may not be above 3.0 with the driver pg' }],
      },
    )
  return parseServerOptions('pg', options)
}

function openWith(shared: Shared): OpenAt {
  return async (options, hooks, deadline, runner, more) => {
    const login = new Login(sendsCleartext(options), options.requireAuth ?? null)
    const wire = await makeWire(options, login, more)
    const connected = wire.connect(deadline, options.channelBinding === 'require')
    runner?.connects(wire.client.connection.stream)
    const refused = await connected
    if (refused !== null) {
      wire.destroy()
      throw refused as unknown
    }
    return startSession(wire, hooks, options, { processId: wire.client.processID, login, shared }, deadline)
  }
}

async function makeWire(options: ServerOptions, login: Login, more: Readonly<Record<string, string>>): Promise<PgWire> {
  try {
    const { Client } = await loadPg()
    const client = new Client(clientConfig(options))
    if (options.sslNegotiation === 'direct' && !('sslNegotiation' in client))
      throw new UsageError('sslnegotiation=direct needs a newer version of the package pg. Install it: npm install pg')
    const own = client.getStartupConf.bind(client)
    client.getStartupConf = () => ({ ...own(), ...more })
    return new PgWire(client, login)
  } catch (error) {
    throw openFailure(error) as unknown
  }
}

function clientConfig(options: ServerOptions): Record<string, unknown> {
  const { host, port, user, database, ssl, applicationName } = options
  const config = {
    host,
    port,
    user,
    // Without one the client would look into a file of passwords by itself.
    password: () => passwordOf(options),
    database,
    // The client changes what it is given.
    ssl: typeof ssl === 'object' ? bare(ssl) : ssl,
    application_name: applicationName,
    options: startupOptions(options) || undefined,
    keepAlive: options.keepAlive ?? true,
    keepAliveInitialDelayMillis: options.keepAliveIdleMs ?? keepAliveMs,
    sslnegotiation: ssl === false ? 'postgres' : (options.sslNegotiation ?? 'postgres'),
    enableChannelBinding: options.channelBinding === 'prefer' || options.channelBinding === 'require',
    // The wire keeps the deadline: the client's own timer could be one that a test has replaced.
    connectionTimeoutMillis: 0,
  }
  // Without a prototype, which might be polluted: the client looks for more than what is here.
  return bare(Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)))
}
