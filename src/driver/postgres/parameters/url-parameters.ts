// The parameters that may follow the "?" of a PostgreSQL URL, as a table: those of libpq and of database hosts, the option that each
// becomes, and those that are refused, with the option to use instead.
import { isConforming, isUtf8, settingMisread } from '../../../sql/settings.ts'
import type { Parameter, Reader, Said } from '../../descriptor.ts'
import {
  connectTimeout,
  nothing,
  number,
  problem,
  readAddresses,
  readHosts,
  readPorts,
  words,
} from '../../option-checks.ts'

const schemaName: Reader = (schema) =>
  Buffer.byteLength(schema) <= 63 ? { value: { schema } } : problem('must be the name of one schema')

const tlsVersion =
  (name: 'minTls' | 'maxTls'): Reader =>
  (value) =>
    value === 'TLSv1.2' || value === 'TLSv1.3'
      ? { value: { [name]: value } }
      : problem('must be TLSv1.2 or TLSv1.3: Node speaks no older version')

const protocolVersion = (name: 'protocolVersion' | 'leastProtocolVersion'): Reader =>
  words({ '3.0': { [name]: '3.0' }, '3.2': { [name]: '3.2' }, latest: { [name]: '3.2' } })

const encoding: Reader = (value) =>
  /^(utf-?8|unicode|auto)$/i.test(value) ? nothing : problem('must be UTF8: Genever speaks no other encoding')

/** Settings by which the server writes values as text. */
const ofText = /\b(datestyle|extra[_-]float[_-]digits)\s*=\s*['"]?((?:\\.|[^\s'"])*)/gi

const commandLine: Reader = (options) => {
  const strings = /standard[_-]conforming[_-]strings\s*=\s*['"]?(\w*)/i.exec(options)
  if (strings !== null && !isConforming(strings[1] ?? ''))
    return problem('may not turn standard_conforming_strings off: quotes would end elsewhere than Genever reads them')
  for (const [, name = '', value = ''] of options.matchAll(ofText)) {
    const misread = settingMisread(name.replaceAll('-', '_'), value)
    if (misread !== undefined) return problem(`sets ${name}, which ${misread}`)
  }
  const encoded = /client[_-]encoding\s*=\s*['"]?([\w-]*)/i.exec(options)
  return encoded === null || isUtf8(encoded[1] ?? '')
    ? { value: { options } }
    : problem('may set client_encoding only to UTF8: Genever speaks no other encoding')
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
  value === 'system' ? { value: { systemRoots: true } } : { value: { rootFile: value } }

const fileOfKey: Reader = (value) =>
  /^\w+:\w/.test(value) && !/^[a-z]:[\\/]/i.test(value)
    ? problem('may not name a key in an engine of OpenSSL: give a file, or the option ssl: { pfx }')
    : { value: { keyFile: value } }

const on: Readonly<Record<string, Said>> = { '1': {} }

const authMethods = ['scram-sha-256', 'md5', 'password', 'none']
const absent = ['gss', 'sspi', 'oauth']

/** A list of ways that will do, or of those that will not, each with a `!` in front. */
const authMethodsOf: Reader = (value) => {
  const ways = value.split(',')
  const refused = ways.filter((way) => way.startsWith('!'))
  if (refused.length > 0 && refused.length < ways.length) return problem('may not mix ways with a "!" and without')
  const names = ways.map((way) => way.replace(/^!/, ''))
  if (!names.every((name) => authMethods.includes(name) || absent.includes(name)) || new Set(names).size < names.length)
    return problem(`must be a list of ${authMethods.join(', ')}, or of these with a "!" in front`)
  const requireAuth = authMethods.filter((way) => names.includes(way) === (refused.length === 0))
  if (requireAuth.length === 0) return problem('leaves no way to log in that Genever knows')
  if (value === '!password') return { value: { allowCleartextPassword: false } }
  return { value: { allowCleartextPassword: requireAuth.includes('password') && refused.length === 0, requireAuth } }
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
  ['password', { read: (password) => ({ value: { password: () => password } }) }],
  ['passfile', { read: (passwordFile) => ({ value: { passwordFile } }), variable: 'PGPASSFILE' }],
  ['service', { read: (service) => ({ value: { service } }) }],
  ['servicefile', { read: (serviceFile) => ({ value: { serviceFile } }) }],
  ['require_auth', { read: authMethodsOf, variable: 'PGREQUIREAUTH' }],
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
  ['sslcert', { read: (certificateFile) => ({ value: { certificateFile } }), variable: 'PGSSLCERT' }],
  ['sslkey', { read: fileOfKey, variable: 'PGSSLKEY' }],
  ['sslpassword', { read: (password) => ({ value: { keyPassword: () => password } }) }],
  ['sslcrl', { read: (revocationFile) => ({ value: { revocationFile } }), variable: 'PGSSLCRL' }],
  [
    'sslcertmode',
    {
      read: words({
        disable: { certificateMode: 'disable' },
        allow: { certificateMode: 'allow' },
        require: 'may not be require: Node does not say whether the server asked for a certificate',
      }),
      variable: 'PGSSLCERTMODE',
    },
  ],
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
  [
    'min_protocol_version',
    {
      read: protocolVersion('leastProtocolVersion'),
      variable: 'PGMINPROTOCOLVERSION',
    },
  ],
  [
    'max_protocol_version',
    {
      read: protocolVersion('protocolVersion'),
      variable: 'PGMAXPROTOCOLVERSION',
    },
  ],
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

const setting = 'is a setting of the server: write options=-c%20NAME%3DVALUE in the URL, or the option settings'

/** Parameters that are refused, each with what to use instead. */
export const refusedParameters: ReadonlyMap<string, string> = new Map([
  ['sslcrldir', 'is not supported: Node reads no directories of revoked certificates; use sslcrl'],
  ['sslkeylogfile', 'is not supported: it would write the keys of the connection to a file'],
  ['sslidentity', 'is the option ssl: { pfx, passphrase }'],
  ['sslaccept', 'is called sslmode: verify-full for strict, no-verify for accept_invalid_certs'],
  ['requiressl', 'is called sslmode'],
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
  ['supa', 'has no effect here; leave it out'],
  ['workaround', 'has no effect here; leave it out'],
  ...[
    'search_path',
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'timezone',
    'TimeZone',
  ].map((name) => [name, setting] as const),
])

/** What the parameters of TLS mean together. */
export function completeTls(said: Said, problems: Set<string>): Said {
  if (said.systemRoots === true && (said.sslmode ?? 'verify-full') !== 'verify-full')
    problems.add('sslrootcert=system needs sslmode=verify-full')
  if (said.leastProtocolVersion === '3.2' && (said.protocolVersion ?? '3.0') === '3.0')
    problems.add('min_protocol_version may not be above max_protocol_version, which is 3.0 where it is not given')
  for (const [name, given] of Object.entries(filesOf(said)))
    if (given !== undefined && said.sslmode === undefined)
      problems.add(`${name} needs sslmode=verify-full, or another that asks for TLS`)
  if (said.sslnegotiation === 'direct' && !/^(require|no-verify|verify-)/.test(said.sslmode ?? ''))
    problems.add('sslnegotiation=direct needs sslmode=require, verify-ca or verify-full')
  return said.systemRoots === true ? { ...said, sslmode: 'verify-full' } : said
}

function filesOf({ rootFile, certificateFile, keyFile, revocationFile }: Said): Readonly<Record<string, unknown>> {
  return { sslrootcert: rootFile, sslcert: certificateFile, sslkey: keyFile, sslcrl: revocationFile }
}
