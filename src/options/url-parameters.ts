// The parameters that may follow the "?" of a database URL, as a table: what libpq and the hosts of databases write there,
// what each of them becomes, and what is refused with the option to use instead. url.ts and environment.ts read with it.
import { isIP, isIPv6 } from 'node:net'
import { isConforming, isUtf8 } from '../util/checks.ts'
import { longestTimerMs } from '../util/timers.ts'
import { hostName } from './checks.ts'
import type { SslMode } from './tls.ts'

/** In what order several hosts are tried, and which of them will do. PostgreSQL manual, "target_session_attrs". */
export type TargetSessionAttrs = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

/** One of several servers; what is missing has its default. */
export interface Place {
  readonly host?: string | undefined
  /** The address of the host, which is then not looked up. */
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/** What a URL or the environment says, apart from driver and password. */
export interface Said {
  readonly hosts?: readonly (string | undefined)[] | undefined
  readonly addresses?: readonly (string | undefined)[] | undefined
  readonly ports?: readonly (number | undefined)[] | undefined
  readonly user?: string | undefined
  readonly database?: string | undefined
  readonly sslmode?: SslMode | undefined
  readonly systemRoots?: true | undefined
  readonly sslnegotiation?: 'postgres' | 'direct' | undefined
  readonly minTls?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly maxTls?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly channelBinding?: 'disable' | 'prefer' | 'require' | undefined
  readonly allowCleartextPassword?: boolean | undefined
  readonly targetSessionAttrs?: TargetSessionAttrs | undefined
  readonly loadBalanceHosts?: boolean | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveIdleMs?: number | undefined
  readonly applicationName?: string | undefined
  readonly fallbackApplicationName?: string | undefined
  readonly connectTimeoutMs?: number | undefined
  /** Of the start-up message: `-c search_path=app`. */
  readonly options?: string | undefined
  readonly pooler?: 'transaction' | undefined
  /** The one schema of the search path. */
  readonly schema?: string | undefined
  readonly poolMax?: number | undefined
  readonly acquireTimeoutMs?: number | undefined
  readonly statementCacheSize?: number | undefined
}

export type Reading = { readonly value: Said } | { readonly problem: string }
export type Reader = (value: string) => Reading

const nothing: Reading = { value: {} }
const problem = (text: string): Reading => ({ problem: text })

/** One of some words; each gives what it means. */
const words =
  (meanings: Readonly<Record<string, Said | string>>): Reader =>
  (value) => {
    const meaning = Object.hasOwn(meanings, value) ? meanings[value] : undefined
    if (typeof meaning === 'string') return problem(meaning)
    const known = Object.keys(meanings).filter((word) => typeof meanings[word] !== 'string')
    return meaning === undefined ? problem(`is not known; choose ${known.join(', ')}`) : { value: meaning }
  }

const whole = (value: string, most: number): number | undefined =>
  /^\d{1,9}$/.test(value) && Number(value) <= most ? Number(value) : undefined

const number =
  (least: number, most: number, said: (value: number) => Said): Reader =>
  (value) => {
    const given = whole(value, most)
    return given === undefined || given < least
      ? problem(`must be a number from ${least} to ${most}`)
      : { value: said(given) }
  }

const readHosts: Reader = (value) => {
  const hosts = value.split(',').map((host) => host || undefined)
  for (const host of hosts) {
    const wrong = host === undefined ? undefined : hostName(host)
    if (wrong !== undefined) return problem(wrong)
  }
  return { value: { hosts } }
}

const readAddresses: Reader = (value) => {
  const addresses = value.split(',').map((address) => address || undefined)
  return addresses.every((address) => address === undefined || isIP(address) !== 0)
    ? { value: { addresses } }
    : problem('must be an IP address')
}

const readPorts: Reader = (value) => {
  const ports = value.split(',').map((port) => (port === '' ? undefined : (portOf(port) ?? 0)))
  return ports.includes(0) ? problem('must be a number from 1 to 65535') : { value: { ports } }
}

/** A port, or undefined for what is none. */
export function portOf(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

const schemaName: Reader = (schema) =>
  Buffer.byteLength(schema) <= 63 ? { value: { schema } } : problem('must be the name of one schema')

const tlsVersion =
  (name: 'minTls' | 'maxTls'): Reader =>
  (value) =>
    value === 'TLSv1.2' || value === 'TLSv1.3'
      ? { value: { [name]: value } }
      : problem('must be TLSv1.2 or TLSv1.3: Node speaks no older version')

/** PostgreSQL counts whole seconds, and 0 or less as no limit. */
const connectTimeout: Reader = (value) => {
  if (!/^-?\d{1,6}$/.test(value)) return problem('must be whole seconds; 0 is no limit')
  const seconds = Number(value)
  return { value: { connectTimeoutMs: seconds <= 0 ? longestTimerMs : seconds * 1_000 } }
}

const encoding: Reader = (value) =>
  /^(utf-?8|unicode|auto)$/i.test(value) ? nothing : problem('must be UTF8: Genever speaks no other encoding')

const commandLine: Reader = (options) => {
  const strings = /standard[_-]conforming[_-]strings\s*=\s*['"]?(\w*)/i.exec(options)
  if (strings !== null && !isConforming(strings[1] ?? ''))
    return problem('may not turn standard_conforming_strings off: quotes would end elsewhere than Genever reads them')
  const encoded = /client[_-]encoding\s*=\s*['"]?([\w-]*)/i.exec(options)
  return encoded === null || isUtf8(encoded[1] ?? '')
    ? { value: { options } }
    : problem('may set client_encoding to nothing but UTF8: Genever speaks no other encoding')
}

const sslModes = words({
  disable: { sslmode: 'disable' },
  allow: { sslmode: 'allow' },
  prefer: { sslmode: 'prefer' },
  require: { sslmode: 'require' },
  'no-verify': { sslmode: 'no-verify' },
  'verify-ca': { sslmode: 'verify-ca' },
  'verify-full': { sslmode: 'verify-full' },
})

const rootCertificates: Reader = (value) =>
  value === 'system'
    ? { value: { systemRoots: true } }
    : problem(`${noFiles} ssl: { ca }, or sslrootcert=system for the certificates that Node brings`)

const on: Readonly<Record<string, Said>> = { '1': {} }

const noFiles = 'would make Genever read a file because a URL says so; give the content of the file by the option'

interface Parameter {
  readonly read: Reader
  /** The variable libpq reads when it is missing. */
  readonly variable?: string
}

/** Of PostgreSQL: libpq's own, in the order of its manual, then what drivers and hosts have added. */
export const postgresParameters: ReadonlyMap<string, Parameter> = new Map<string, Parameter>([
  ['host', { read: readHosts, variable: 'PGHOST' }],
  ['hostaddr', { read: readAddresses, variable: 'PGHOSTADDR' }],
  ['port', { read: readPorts, variable: 'PGPORT' }],
  ['dbname', { read: (database) => ({ value: { database } }), variable: 'PGDATABASE' }],
  ['user', { read: (user) => ({ value: { user } }), variable: 'PGUSER' }],
  [
    'channel_binding',
    {
      read: words({
        disable: { channelBinding: 'disable' },
        prefer: { channelBinding: 'prefer' },
        require: { channelBinding: 'require' },
      }),
      variable: 'PGCHANNELBINDING',
    },
  ],
  [
    'require_auth',
    {
      read: words({ password: { allowCleartextPassword: true }, '!password': { allowCleartextPassword: false } }),
      variable: 'PGREQUIREAUTH',
    },
  ],
  ['connect_timeout', { read: connectTimeout, variable: 'PGCONNECT_TIMEOUT' }],
  ['client_encoding', { read: encoding, variable: 'PGCLIENTENCODING' }],
  ['options', { read: commandLine, variable: 'PGOPTIONS' }],
  ['application_name', { read: (applicationName) => ({ value: { applicationName } }), variable: 'PGAPPNAME' }],
  ['fallback_application_name', { read: (fallbackApplicationName) => ({ value: { fallbackApplicationName } }) }],
  ['keepalives', { read: words({ '0': { keepAlive: false }, '1': { keepAlive: true } }) }],
  ['keepalives_idle', { read: number(0, 86_400, (seconds) => ({ keepAliveIdleMs: seconds * 1_000 })) }],
  ['sslmode', { read: sslModes, variable: 'PGSSLMODE' }],
  [
    'sslnegotiation',
    {
      read: words({ postgres: { sslnegotiation: 'postgres' }, direct: { sslnegotiation: 'direct' } }),
      variable: 'PGSSLNEGOTIATION',
    },
  ],
  ['sslrootcert', { read: rootCertificates, variable: 'PGSSLROOTCERT' }],
  ['sslcompression', { read: words({ '0': {}, '1': 'may not be 1: TLS is not compressed any more' }) }],
  [
    'sslsni',
    { read: words({ ...on, '0': 'may not be 0: the name of the host is always sent' }), variable: 'PGSSLSNI' },
  ],
  ['ssl_min_protocol_version', { read: tlsVersion('minTls'), variable: 'PGSSLMINPROTOCOLVERSION' }],
  ['ssl_max_protocol_version', { read: tlsVersion('maxTls'), variable: 'PGSSLMAXPROTOCOLVERSION' }],
  [
    'gssencmode',
    {
      read: words({ disable: {}, prefer: {}, require: 'may not be require: there is no GSSAPI here; use TLS' }),
      variable: 'PGGSSENCMODE',
    },
  ],
  ['min_protocol_version', { read: words({ '3.0': {}, '3.2': notYet('3.2'), latest: notYet('latest') }) }],
  ['max_protocol_version', { read: words({ '3.0': {}, '3.2': {}, latest: {} }) }],
  [
    'target_session_attrs',
    {
      read: words({
        any: { targetSessionAttrs: 'any' },
        'read-write': { targetSessionAttrs: 'read-write' },
        'read-only': { targetSessionAttrs: 'read-only' },
        primary: { targetSessionAttrs: 'primary' },
        standby: { targetSessionAttrs: 'standby' },
        'prefer-standby': { targetSessionAttrs: 'prefer-standby' },
      }),
      variable: 'PGTARGETSESSIONATTRS',
    },
  ],
  [
    'load_balance_hosts',
    {
      read: words({ disable: { loadBalanceHosts: false }, random: { loadBalanceHosts: true } }),
      variable: 'PGLOADBALANCEHOSTS',
    },
  ],
  [
    'ssl',
    {
      read: words({
        true: { sslmode: 'verify-full' },
        '1': { sslmode: 'verify-full' },
        false: { sslmode: 'disable' },
        '0': { sslmode: 'disable' },
        'no-verify': { sslmode: 'no-verify' },
      }),
    },
  ],
  ['uselibpqcompat', { read: words({ true: {}, false: 'may not be false: sslmode means what libpq says' }) }],
  ['pgbouncer', { read: words({ true: { pooler: 'transaction' }, false: {} }) }],
  ['schema', { read: schemaName }],
  ['connection_limit', { read: number(1, 10_000, (poolMax) => ({ poolMax })) }],
  [
    'pool_timeout',
    { read: number(0, 2_000_000, (seconds) => ({ acquireTimeoutMs: seconds === 0 ? Infinity : seconds * 1_000 })) },
  ],
  ['statement_cache_size', { read: number(0, 100_000, (statementCacheSize) => ({ statementCacheSize })) }],
])

/** Of MySQL and MariaDB, until there is a driver for them. */
export const mysqlParameters: ReadonlyMap<string, Parameter> = new Map(
  ['host', 'port', 'user', 'connect_timeout'].map((name) => [name, postgresParameters.get(name) as Parameter] as const),
)

function notYet(version: string): string {
  return `may not be ${version}: Genever speaks version 3.0 of the protocol`
}

const setting = 'is a setting of the server: write options=-c%20NAME%3DVALUE in the URL, or the option settings'

/** Parameters that are refused, each with what to use instead. */
export const refusedParameters: ReadonlyMap<string, string> = new Map([
  ['sslcert', `${noFiles} ssl: { cert }`],
  ['sslkey', `${noFiles} ssl: { key }`],
  ['sslcrl', 'is not supported: Node checks no lists of revoked certificates of this kind'],
  ['sslcrldir', 'is not supported: Node checks no lists of revoked certificates of this kind'],
  ['sslkeylogfile', 'is not supported: it would write the keys of the connection to a file'],
  ['sslcertmode', 'is not supported; a client certificate is sent when the option ssl: { cert, key } is given'],
  ['sslpassword', 'is the option ssl: { passphrase }'],
  ['sslidentity', 'is the option ssl: { pfx, passphrase }'],
  ['sslaccept', 'is called sslmode: verify-full for strict, no-verify for accept_invalid_certs'],
  ['requiressl', 'is called sslmode'],
  ['passfile', `${noFiles} password, which may be a function`],
  ['service', `${noFiles}s host, port, user and database`],
  ['servicefile', `${noFiles}s host, port, user and database`],
  ['password', 'stands in front of the host, or is the option password'],
  ['requirepeer', 'is not supported: Node cannot ask who owns the socket of the server'],
  ['krbsrvname', 'is not supported: there is no GSSAPI here'],
  ['gsslib', 'is not supported: there is no GSSAPI here'],
  ['gssdelegation', 'is not supported: there is no GSSAPI here'],
  ['replication', 'is not supported: a replication connection runs no ordinary statements'],
  ['keepalives_interval', 'is not supported: Node has no such socket option; use keepalives_idle'],
  ['keepalives_count', 'is not supported: Node has no such socket option; use keepalives_idle'],
  ['tcp_user_timeout', 'is not supported: Node has no such socket option; use the option query: { timeoutMs }'],
  ['socket_timeout', 'is the option query: { timeoutMs }'],
  ['query_timeout', 'is the option query: { timeoutMs }'],
  ['max', 'is the option pool: { max }'],
  ['pool_max_conns', 'is the option pool: { max }'],
  ['pool_min_conns', 'is the option pool: { min }'],
  ['max_uses', 'is not supported; a connection is replaced after pool: { maxLifetimeMs }'],
  ['currentSchema', 'is called schema'],
  ['ApplicationName', 'is called application_name'],
  ['prepareThreshold', 'is the option prepare: false, or pgbouncer=true behind a transaction pooler'],
  ['supa', 'is of no use here; leave it out'],
  ['workaround', 'is of no use here; leave it out'],
  ...[
    'search_path',
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'timezone',
    'TimeZone',
  ].map((name) => [name, setting] as const),
])

/** Hosts, addresses and ports as places: as many ports as hosts, or one for all. */
export function placesOf({ hosts = [], addresses = [], ports = [] }: Said): readonly Place[] | string {
  const count = Math.max(hosts.length, addresses.length, 1)
  if (hosts.length > 0 && addresses.length > 0 && hosts.length !== addresses.length)
    return `there are ${hosts.length} hosts and ${addresses.length} addresses in hostaddr; give as many of each`
  if (ports.length > 1 && ports.length !== count)
    return `there are ${count} hosts and ${ports.length} ports; give one port for all, or one for each`
  return Array.from({ length: count }, (_, index) => {
    const port = ports.length === 1 ? ports[0] : ports[index]
    return { host: hosts[index] ?? addresses[index], address: addresses[index], port }
  })
}

/** A place as it stands in a URL. */
export function formatPlace(host: string | undefined, port: number | undefined): string {
  const name = host === undefined ? '' : isIPv6(host) ? `[${host.replace('%', '%25')}]` : host
  return `${name}${port === undefined ? '' : `:${port}`}`
}
