// The driver `mysql`: opens a connection of mysql2 to MySQL or MariaDB within one deadline and makes a session of it.
import { UsageError } from '../../errors/index.ts'
import { asSent, currentDatabase, mysql } from '../../mysql/dialect.ts'
import { explain, explainRefused, fieldsOf } from '../../mysql/errno.ts'
import { before } from '../../util/clock.ts'
import { textIn, tlsTrouble } from '../../util/thrown.ts'
import type { Interruption } from '../interrupt.ts'
import type { ConnectionHooks, Driver, Failure, RawConnection } from '../driver.ts'
import { type Client, loadMysql2, type Mysql2, secure } from './client.ts'
import type { Establishing } from './baseline.ts'
import { Exchange } from './exchange.ts'
import { type MysqlOptions, parseOptions } from './descriptor.ts'
import { Code, textPacket } from './packets.ts'
import { Session } from './session.ts'

const defaultCacheSize = 256
const keepAliveMs = 10_000
let opened = 0

export const mysqlDriver: Driver<MysqlOptions> = {
  name: 'mysql',
  dialect: mysql,
  poolLimit: Infinity,
  parse: parseOptions,
  open,
  classify,
}

async function open(options: MysqlOptions, hooks: ConnectionHooks, deadline: number): Promise<RawConnection> {
  const mysql2 = await load()
  const client = await connect(mysql2, options, deadline)
  const { threadId } = client
  const kill = (until: number): Promise<Interruption> => killQuery(mysql2, options, threadId, until)
  const session = new Session(client, hooks, {
    id: threadId ?? ++opened,
    server: `${options.host ?? ''}:${options.port ?? ''}`,
    conversions: { int8: options.int8 ?? 'number', tinyint1: options.tinyint1 ?? 'number' },
    statementCacheSize: options.statementCacheSize ?? defaultCacheSize,
    database: options.database ?? '',
    returning: hasReturning(client._handshakePacket.serverVersion),
    established: establishing(options),
    kill: threadId === null ? () => Promise.resolve('failed') : kill,
  })
  session.inForce.base = baseOf(options)
  const failure = await session.establish(deadline)
  if (failure === null) return session
  session.destroy(failure)
  throw failure as unknown
}

async function load(): Promise<Mysql2> {
  try {
    return await loadMysql2()
  } catch (cause) {
    throw { kind: 'lost', outcome: 'not_started', cause } satisfies Failure as unknown
  }
}

/**
 * MariaDB has RETURNING for INSERT since 10.5, and says so in its version, such as `5.5.5-10.11.4-MariaDB`: older clients expect a 5 in
 * front. Others, and those that hide what they are, get statements that each of them knows.
 */
export function hasReturning(version: string): boolean {
  const [, major, minor] = /^(?:5\.5\.5-)?(\d+)\.(\d+)\..*mariadb/i.exec(version) ?? []
  return Number(major) > 10 || (Number(major) === 10 && Number(minor) >= 5)
}

/** How long the server waits for the reader of rows that are held back, in seconds: the most it can. */
const patience = '31536000'

/**
 * Dates are read and written in UTC, texts in utf8mb4, and each statement commits by itself unless a transaction was begun. A server may
 * begin its sessions in another way, by its `init_connect` or because it does not listen to what the client asks for, and MySQL may do so
 * behind each reset.
 */
function establishing({ settings = {} }: MysqlOptions): Establishing {
  const given = Object.entries(settings).map(([name, value]) => {
    const target = name.includes('.') ? `@${mysql.quote(name)}` : `SESSION ${name}`
    const written = typeof value === 'string' ? asSent(name, value) : value
    return `${target} = ${typeof written === 'string' ? literal(written) : String(written)}`
  })
  // The database that names are looked up in has to be known: a prepared statement keeps its own.
  // A procedure may change the time zone and the character set, whose client's own follows the latter. A trigger may set anything.
  const own = (collation: string): string[] => [
    'character_set_client = utf8mb4',
    'character_set_results = utf8mb4',
    `collation_connection = ${collation}`,
    "time_zone = '+00:00'",
    `net_write_timeout = ${patience}`,
    'session_track_schema = 1',
    'session_track_state_change = 1',
    "session_track_system_variables = '*'",
  ]
  return (autocommit, collation) =>
    `SET ${[`autocommit = ${autocommit}`, ...own(collation)]
      .map((each) => `SESSION ${each}`)
      .concat(given)
      .join(', ')}`
}

/** As frames would set it. */
function baseOf({ database, settings = {} }: MysqlOptions): Readonly<Record<string, string>> {
  const base = Object.create(null) as Record<string, string>
  base['time_zone'] = '+00:00'
  base['net_write_timeout'] = patience
  // Names mean nothing there, as where there is no database.
  base[currentDatabase] = database ?? 'information_schema'
  for (const [name, value] of Object.entries(settings)) base[name.toLowerCase()] = String(value)
  return base
}

/** A text that no mode and no character set of the session reads in another way. */
function literal(text: string): string {
  if (/^[ !#-&(-[\]-~]*$/.test(text)) return `'${text}'`
  return `convert(x'${Buffer.from(text).toString('hex')}' using utf8mb4)`
}

/** As the client of mysql2 takes them. */
function configOf(options: MysqlOptions, password: string | undefined): Readonly<Record<string, unknown>> {
  const { host = 'localhost', port = 3306, user, database, ssl, applicationName, keepAlive, keepAliveIdleMs } = options
  return {
    ...(host.startsWith('/') ? { socketPath: host } : { host, port }),
    user,
    password,
    database,
    charset: 'utf8mb4',
    timezone: 'Z',
    // A file of this machine for whoever asks, blanks in front of brackets, another form of packets.
    // A statement that is prepared gives what its CALL puts into OUT and INOUT parameters.
    flags: '-LOCAL_FILES,-IGNORE_SPACE,-CLIENT_QUERY_ATTRIBUTES,PS_MULTI_RESULTS',
    multipleStatements: false,
    disableEval: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
    jsonStrings: true,
    // The deadline is kept here: the client's own timer could be one that a test has replaced.
    connectTimeout: 0,
    enableKeepAlive: keepAlive ?? true,
    keepAliveInitialDelay: keepAliveIdleMs ?? keepAliveMs,
    ...(applicationName === undefined ? {} : { connectAttributes: { program_name: applicationName } }),
    // Its details are those of the option: see `secure`.
    ...(ssl === undefined || ssl === false ? {} : { ssl: {} }),
  }
}

const late: Failure = { kind: 'timeout', outcome: 'not_started' }

/** A function may wait for somebody else, such as a service that makes passwords. Rejects with a `Failure` where that takes too long. */
async function passwordOf({ password }: MysqlOptions, deadline: number): Promise<string | undefined> {
  if (typeof password !== 'function') return password
  const given = await before(deadline, Promise.resolve(password()), late)
  if (typeof given !== 'string') throw given as unknown
  return given
}

/** With a password that is asked for now: an older one may not hold any more. Rejects with a `Failure`. */
async function connect(mysql2: Mysql2, options: MysqlOptions, deadline: number): Promise<Client> {
  const { host = 'localhost', ssl } = options
  const client = mysql2.createConnection(configOf(options, await passwordOf(options, deadline)))
  if (typeof ssl === 'object' || ssl === true) secure(client, host, ssl === true ? {} : ssl)
  let failed: unknown = null
  const connected = new Promise<boolean>((resolve) => {
    client.on('connect', () => resolve(true))
    client.on('error', (error) => {
      failed ??= error
      resolve(false)
    })
  })
  if (await before(deadline, connected)) {
    // What comes later is the session's to hear.
    client.removeAllListeners('connect')
    client.removeAllListeners('error')
    client.on('error', () => {})
    return client
  }
  client.destroy()
  throw (failed === null ? late : openFailure(failed)) as unknown
}

/** Why no connection came about. */
function openFailure(error: unknown): Failure {
  const { errno, sqlState, message } = error as { errno?: unknown; sqlState?: unknown; message?: unknown }
  const [, plugin] = /authentication using (?:unknown plugin )?(\w+)/.exec(String(message)) ?? []
  if (plugin !== undefined) return { kind: 'lost', outcome: 'not_started', cause: unfitLogin(plugin, error) }
  // The client gives errors of sockets numbers below 0.
  if (typeof errno === 'number' && errno > 0)
    return {
      kind: 'server',
      outcome: 'not_started',
      fields: fieldsOf({ errno, sqlState: typeof sqlState === 'string' ? sqlState : '', message: String(message) }),
      cause: error,
    }
  return { kind: 'lost', outcome: 'not_started', cause: error }
}

/** On a connection made for it. */
async function killQuery(
  mysql2: Mysql2,
  options: MysqlOptions,
  threadId: number | null,
  deadline: number,
): Promise<Interruption> {
  let client: Client
  try {
    client = await connect(mysql2, { ...options, database: undefined }, deadline)
  } catch {
    return 'refused'
  }
  const answered = new Promise<boolean>((resolve) => {
    client.addCommand(
      new Exchange(textPacket(Code.query, `KILL QUERY ${threadId}`), {
        columns: () => {},
        row: () => {},
        status: () => {},
        // It has ended already: there is nothing to stop.
        end: (refusal) => resolve(refusal === null || explainRefused(refusal).kind === 'unknown-object'),
        lost: () => resolve(false),
      }),
    )
  })
  const done = await before(deadline, answered)
  if (done) client.end()
  else client.destroy()
  return done ? 'served' : 'failed'
}

function unfitLogin(plugin: string, cause: unknown): UsageError {
  const why =
    plugin === 'mysql_clear_password'
      ? 'by which anybody in between would read the password'
      : 'which mysql2 does not have'
  return new UsageError(
    `The server asks for the authentication plugin ${plugin}, ${why}. The password was not sent. Give the user of the server another one, such as ` +
      'caching_sha2_password or mysql_native_password.',
    { outcome: 'not_started', cause },
  )
}

/** What a failure to open says about the rest. */
function classify({ kind, fields, cause }: Failure): ReturnType<Driver['classify']> {
  if (fields?.['code'] !== undefined) {
    const { opening } = explain(fields)
    return opening === 'statement' && kind !== 'server' ? 'connection' : opening
  }
  if (cause instanceof UsageError) return 'config'
  if (kind === 'timeout') return 'endpoint'
  if (kind !== 'lost') return kind === 'protocol' || kind === 'closed' ? 'connection' : 'statement'
  if (tlsTrouble(cause) !== null) return 'config'
  return /^(E[A-Z]+|EAI_AGAIN)$/.test(textIn(cause, 'code') ?? '') ? 'endpoint' : 'connection'
}
