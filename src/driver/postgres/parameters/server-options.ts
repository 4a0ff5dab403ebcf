// The connection options of the drivers that reach a PostgreSQL server, read and checked once per engine, before anything is opened.
// And the parts of a login that follow from them: the start-up options, the password, and whether it may be sent in clear.
import type { ConnectionOptions } from 'node:tls'
import { InvalidOptionError, type OptionProblem } from '../../../errors/index.ts'
import type { TargetSessionAttrs } from '../../descriptor.ts'
import { readPassword, usualPasswordFile } from './password-file.ts'
import { bare } from '../../../util/options.ts'
import type { Int8 } from '../../../postgres/type-table.ts'

export type ProtocolVersion = '3.0' | '3.2'

export interface HostPlace {
  readonly host: string
  /** Connected to instead of the host, which names the server in its certificate. */
  readonly address?: string | undefined
  readonly port: number
}

export interface ServerOptions {
  /** A name, an address, or the directory of a Unix socket. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** Several servers, instead of host and port. */
  readonly places?: readonly HostPlace[] | undefined
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  readonly loadBalanceHosts?: boolean | undefined
  readonly user?: string | undefined
  /** A function is asked for every connection. */
  readonly password?: string | (() => string | Promise<string>) | undefined
  /** Read where nobody gives a password and the server wants one. Default: the file in the user's home. */
  readonly passwordFile?: string | undefined
  /** The only ways to log in, as `require_auth` calls them. */
  readonly requireAuth?: readonly string[] | undefined
  /** What a file of passwords calls the host, where that is an address here. */
  readonly hostName?: string | undefined
  readonly database?: string | undefined
  readonly ssl?: boolean | ConnectionOptions | undefined
  /** `prefer`: without TLS where that fails. `allow`: with TLS where it fails without. */
  readonly sslFallback?: 'prefer' | 'allow' | undefined
  /** `direct`: TLS from the first byte, for PostgreSQL 17 and newer. */
  readonly sslNegotiation?: 'postgres' | 'direct' | undefined
  readonly channelBinding?: 'disable' | 'prefer' | 'require' | undefined
  /** Sends the password as it is to any server that asks for it so. */
  readonly allowCleartextPassword?: boolean | undefined
  /** The newest version of the protocol to speak, and the oldest. Default `3.0`, both. */
  readonly protocolVersion?: ProtocolVersion | undefined
  readonly leastProtocolVersion?: ProtocolVersion | undefined
  readonly keepAlive?: boolean | undefined
  /** After how long without traffic the system asks whether the other side is still there. Default 10_000. */
  readonly keepAliveIdleMs?: number | undefined
  readonly applicationName?: string | undefined
  /** Command-line options for the server, as libpq's `options`. */
  readonly options?: string | undefined
  /** Settings of every session, such as `{ search_path: 'app' }`; reset never loses them. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  /** What 8-byte integers become. Default `'number'`, which refuses those it cannot hold. */
  readonly int8?: Int8 | undefined
  /** Whose time a `timestamp` has, which has no zone: that of UTC, or that of this machine's zone. Default `utc`. */
  readonly timestamp?: 'utc' | 'local' | undefined
  /** How many statements stay prepared on each connection. Default 256; 0 prepares none. */
  readonly statementCacheSize?: number | undefined
  /** They are prepared by name through a transaction pooler that keeps them for its clients. */
  readonly pooledNames?: true | undefined
  /** Somebody has said what kind of pooler is in between. */
  readonly knownPooler?: true | undefined
}

const oneOf = (...words: readonly string[]): Check => [
  words.map((word) => `'${word}'`).join(' or '),
  (value) => words.includes(value as string),
]
const flag: Check = ['true or false', (value) => typeof value === 'boolean']

type Check = readonly [wanted: string, fits: (value: unknown) => boolean]

const text: Check = ['a text without NUL', (value) => typeof value === 'string' && !value.includes('\0')]

const checks: Readonly<Record<keyof ServerOptions, Check>> = {
  host: text,
  port: [
    'a whole number from 1 to 65535',
    (value) => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536,
  ],
  places: ['an array of places', (value) => Array.isArray(value) && value.every(isRecord)],
  targetSessionAttrs: oneOf('any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'),
  loadBalanceHosts: flag,
  sslFallback: oneOf('prefer', 'allow'),
  sslNegotiation: oneOf('postgres', 'direct'),
  channelBinding: oneOf('disable', 'prefer', 'require'),
  allowCleartextPassword: flag,
  protocolVersion: oneOf('3.0', '3.2'),
  leastProtocolVersion: oneOf('3.0', '3.2'),
  keepAlive: flag,
  keepAliveIdleMs: ['milliseconds', (value) => typeof value === 'number' && value >= 0],
  user: text,
  password: ['a text without NUL or a function', (value) => typeof value === 'function' || text[1](value)],
  passwordFile: text,
  requireAuth: ['a list of ways to log in', (value) => Array.isArray(value)],
  hostName: text,
  database: text,
  ssl: ['true, false or options of node:tls', (value) => typeof value === 'boolean' || isRecord(value)],
  applicationName: text,
  options: text,
  settings: [
    'names with texts, numbers or booleans',
    (value) => isRecord(value) && Object.entries(value).every(isSetting),
  ],
  int8: ["'number', 'bigint' or 'string'", (value) => value === 'number' || value === 'bigint' || value === 'string'],
  timestamp: oneOf('utc', 'local'),
  pooledNames: ['true', (value) => value === true],
  knownPooler: ['true', (value) => value === true],
  statementCacheSize: ['a whole number, at least 0', (value) => Number.isInteger(value) && Number(value) >= 0],
}

/** Refuses all that is unknown or wrong, together. @throws {InvalidOptionError} */
export function parseServerOptions(driver: string, options: Readonly<Record<string, unknown>>): ServerOptions {
  const problems: OptionProblem[] = []
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name as keyof ServerOptions] : undefined
    if (check === undefined) problems.push({ name, problem: `is not an option of the driver ${driver}` })
    else if (value !== undefined && !check[1](value)) problems.push({ name, problem: `must be ${check[0]}` })
  }
  if (problems.length > 0) {
    const list = problems.map(({ name, problem }) => `"${name}" ${problem}`)
    throw new InvalidOptionError(`Wrong connection options: ${list.join('; ')}.`, { options: problems })
  }
  return Object.freeze(bare<ServerOptions>(options))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isSetting([name, value]: [string, unknown]): boolean {
  if (!/^[a-z_][\w.]*$/i.test(name)) return false
  return typeof value === 'boolean' || typeof value === 'number' || text[1](value)
}

/**
 * Whether the password may be sent as it is: it was allowed, a verified certificate says who the server is, or it does not leave
 * this machine and nobody has forbidden it.
 */
export function sendsCleartext({ allowCleartextPassword, ssl, host }: ServerOptions): boolean {
  if (allowCleartextPassword === true || ssl === true) return true
  if (typeof ssl === 'object' && ssl.rejectUnauthorized !== false) return true
  return allowCleartextPassword === undefined && host !== undefined && isThisMachine(host)
}

/** The password of a connection that is being opened; `''`: there is none. */
export async function passwordOf(options: ServerOptions): Promise<string> {
  const {
    password,
    passwordFile = usualPasswordFile(),
    host = 'localhost',
    hostName = host,
    port = 5432,
    user = 'postgres',
  } = options
  if (password !== undefined) return typeof password === 'function' ? password() : password
  return readPassword(passwordFile, { host: hostName, port, user, database: options.database ?? user })
}

/** A socket of the file system, or a loopback address (RFC 1122, RFC 4291; `localhost`: RFC 6761). */
function isThisMachine(host: string): boolean {
  if (host.startsWith('/') || host === '::1' || host.toLowerCase() === 'localhost') return true
  return process.getBuiltinModule('node:net').isIPv4(host) && host.startsWith('127.')
}

/** `options` of the start-up packet: the user's own, then each setting as `-c name=value`. */
export function startupOptions(options: ServerOptions): string {
  const settings = Object.entries(options.settings ?? {})
  const flags = settings.map(([name, value]) => `-c ${name}=${String(value).replaceAll(/[\\\s]/g, '\\$&')}`)
  return [options.options ?? '', ...flags].filter((part) => part !== '').join(' ')
}
