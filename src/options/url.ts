// Database URLs: parsed strictly by hand, because the URL class of Node takes a password with an unescaped `#` or `/` for
// a host and keeps the whole text in its error. Called by options.ts and for messages. Opens no file, reads no environment
// variable, and never repeats a value: whatever looks wrong may be a piece of a password.
import { isIPv6 } from 'node:net'
import { InvalidUrlError } from '../errors/index.ts'
import { bare } from '../util/checks.ts'
import { hasControl, hostName } from './checks.ts'
import type { SslMode } from './tls.ts'

export interface ParsedUrl {
  readonly driver: 'postgres' | 'pg' | 'pglite' | 'mysql'
  /** Without brackets; a directory if it starts with `/`. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly user?: string | undefined
  /** A function, so that printing does not show it. */
  readonly password?: (() => string) | undefined
  readonly database?: string | undefined
  /** PGlite. */
  readonly directory?: string | undefined
  /** PGlite: true, or the name of a database shared in this process. */
  readonly memory?: true | string | undefined
  readonly sslmode?: SslMode | undefined
  readonly applicationName?: string | undefined
  readonly connectTimeoutMs?: number | undefined
  /** Of the start-up message: `-c search_path=app`. */
  readonly options?: string | undefined
}

const drivers: ReadonlyMap<string, ParsedUrl['driver']> = new Map([
  ['postgres', 'postgres'],
  ['postgresql', 'postgres'],
  ['pg', 'pg'],
  ['pglite', 'pglite'],
  ['mysql', 'mysql'],
  ['mariadb', 'mysql'],
])

const longestUrl = 16_384

/**
 * Parses `postgres://user:password@host:port/database?option=value`, with the schemes `postgres`, `postgresql`, `pg`
 * (node-postgres), `mysql`, `mariadb`; `pglite://memory`, `pglite://memory/name`, `pglite:./directory`.
 *
 * User, password, database and values are percent-decoded; `+` stays a plus. Options of PostgreSQL's own library that are
 * understood: `host` (a socket's directory too), `port`, `user`, `dbname`, `sslmode`, `application_name`,
 * `connect_timeout` (seconds), `options`. All others are refused together, by name.
 *
 * @throws {InvalidUrlError} for everything it does not understand completely; the error holds no part of the URL but names
 *   of options.
 * @see PostgreSQL manual, "Connection URIs".
 */
export function parseUrl(text: string): ParsedUrl {
  if (typeof text !== 'string') throw invalid('it is not a string')
  if (text.length > longestUrl) throw invalid(`it is longer than ${longestUrl} characters`)
  if (/[\s\p{Cc}\p{Cs}]/u.test(text))
    throw invalid(
      'it contains a space, line break or control character, perhaps at its end; percent-encode what belongs to it',
    )
  if (text.includes('#')) throw invalid('it contains a "#"; write it as %23')
  if (text.includes('\\')) throw invalid('it contains a backslash; write it as %5C')
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(text) ?? []
  const driver = drivers.get(scheme.toLowerCase())
  if (driver === undefined)
    throw invalid(`it starts with none of ${[...drivers.keys()].map((each) => `${each}:`).join(', ')}`)
  return Object.freeze(bare(driver === 'pglite' ? parsePglite(rest) : parseServer(driver, rest)))
}

/** A URL for messages: without password and query; what cannot be parsed is not shown at all. */
export function redactUrl(text: string): string {
  try {
    const { password, ...url } = parseUrl(text)
    return formatTarget(url, password === undefined ? '' : ':***')
  } catch {
    return '***'
  }
}

export interface Target extends Omit<ParsedUrl, 'driver' | 'password'> {
  readonly driver: string
}

/** `postgres://app@localhost:5432/shop`, of what is known. */
export function formatTarget(target: Target, secret: string = ''): string {
  const { driver, host, port, user, database, directory, memory } = target
  if (directory !== undefined) return `${driver}:${directory}`
  if (memory !== undefined) return `${driver}://memory${memory === true ? '' : `/${encodeURIComponent(memory)}`}`
  const socket = host?.startsWith('/') ? `?host=${host}` : ''
  const name = host === undefined || socket !== '' ? '' : host.includes(':') ? `[${host.replace('%', '%25')}]` : host
  const who = user === undefined && secret === '' ? '' : `${encodeURIComponent(user ?? '')}${secret}@`
  const path = database === undefined ? '' : `/${encodeURIComponent(database)}`
  const scheme = driver === 'pg' ? 'postgres' : driver
  return `${scheme}://${who}${name}${port === undefined ? '' : `:${port}`}${path}${socket}`
}

function invalid(problem: string): InvalidUrlError {
  return new InvalidUrlError(
    `The database URL is not valid: ${problem}. Expected: postgres://user:password@host:port/database?option=value, ` +
      'with special characters percent-encoded.',
  )
}

function parsePglite(rest: string): ParsedUrl {
  const driver = 'pglite'
  if (rest.includes('?')) throw invalid('pglite: takes no options in the URL; a "?" in a directory is written as %3F')
  if (rest === '//memory') return { driver, memory: true }
  if (rest.startsWith('//memory/')) return { driver, memory: decode(rest.slice('//memory/'.length), 'name') }
  if (rest.startsWith('//'))
    throw invalid('after pglite:// comes memory or memory/name; a directory is written pglite:./directory')
  if (rest === 'memory')
    throw invalid('a database in memory is written pglite://memory, a directory of this name ./memory')
  return { driver, directory: decode(rest, 'directory') }
}

function parseServer(driver: 'postgres' | 'pg' | 'mysql', rest: string): ParsedUrl {
  const [, authority, path = '', query = ''] = /^\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(rest) ?? []
  if (authority === undefined) throw invalid('after the scheme comes //')
  // Otherwise a password with an unescaped "/" or "?" would be taken for a host, a database or an option.
  if (path.includes('@') || query.includes('@'))
    throw invalid(
      'there is an "@" behind the first "/" or "?"; write "/" in a password as %2F, "?" as %3F, other "@" as %40',
    )
  if (path.includes('/')) throw invalid('the name of the database contains a "/"; write it as %2F')
  const parts = authority.split('@')
  if (parts.length > 2)
    throw invalid('there is more than one "@" in front of the host; write those of user and password as %40')
  const [login = '', place = ''] = parts.length === 2 ? parts : ['', authority]
  const colon = login.indexOf(':')
  const user = colon === -1 ? login : login.slice(0, colon)
  const password = colon === -1 ? '' : decodeOptional(login.slice(colon + 1), 'password')
  const named: Named = {
    ...parsePlace(place),
    user: decodeOptional(user, 'user'),
    database: decodeOptional(path, 'database'),
  }
  const url = parseQuery(query, driver, named)
  return { driver, ...url, password: password === '' || password === undefined ? undefined : () => password }
}

type Named = Omit<ParsedUrl, 'driver' | 'password'>

function parsePlace(place: string): { host: string | undefined; port: number | undefined } {
  if (place.includes(',')) throw invalid('it names several hosts, which is not supported; name one')
  const parts = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(place)
  if (parts === null) throw invalid('the part with the host is not understood; an IPv6 address is written in brackets')
  const [, address, name = '', port] = parts
  const raw = address ?? name
  const host = raw === '' && address === undefined ? undefined : parseHost(decode(raw, 'host'))
  if (address !== undefined && !isIPv6(host ?? '')) throw invalid('what is in brackets is no IPv6 address')
  return { host, port: port === undefined ? undefined : parsePort(port) }
}

function parseHost(host: string): string {
  const problem = hostName(host)
  if (problem !== undefined) throw invalid(`the host ${problem}`)
  return host
}

function parsePort(port: string): number {
  const value = /^\d{1,5}$/.test(port) ? Number(port) : 0
  if (value < 1 || value > 65_535)
    throw invalid(
      'the port is not a number from 1 to 65535, or the password has a special character that is not percent-encoded',
    )
  return value
}

function decodeOptional(raw: string, what: string): string | undefined {
  return raw === '' ? undefined : decode(raw, what)
}

function decode(raw: string, what: string): string {
  let text: string
  try {
    text = decodeURIComponent(raw)
  } catch {
    throw invalid(`the ${what} has a "%" that starts no valid escape; write "%" as %25`)
  }
  if (text === '') throw invalid(`the ${what} is empty`)
  if (hasControl(text)) throw invalid(`the ${what} contains an escaped control character`)
  return text
}

const noFiles =
  'would have a file read because a URL says so; give the content, as an option of createDb or createEngine'

/** Options that are refused for a reason of their own. */
const refused: ReadonlyMap<string, string> = new Map([
  ...['sslcert', 'sslkey', 'sslrootcert', 'sslcrl', 'sslcrldir'].map((name) => [name, noFiles] as const),
  ...['passfile', 'service', 'servicefile', 'sslkeylogfile'].map((name) => [name, noFiles] as const),
  ['password', 'stands in front of the host, or is an option of createDb or createEngine'],
  ['sslpassword', 'is the option ssl.passphrase'],
  ['ssl', 'is called sslmode'],
  ['channel_binding', 'is not supported; leave it out (sslmode=verify-full proves who the server is)'],
])

const modes: readonly string[] = ['disable', 'require', 'verify-ca', 'verify-full'] satisfies SslMode[]

type Reader = (value: string) => { readonly value: Partial<Named> } | { readonly problem: string }

const readHost: Reader = (host) => {
  const problem = hostName(host)
  return problem === undefined ? { value: { host } } : { problem }
}
const readPort: Reader = (value) => {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0
  return port >= 1 && port <= 65_535 ? { value: { port } } : { problem: 'must be a number from 1 to 65535' }
}
const readTimeout: Reader = (value) =>
  /^[1-9]\d{0,5}$/.test(value)
    ? { value: { connectTimeoutMs: Number(value) * 1_000 } }
    : { problem: 'must be whole seconds, at least 1: there is no waiting without end' }
const readMode: Reader = (value) => {
  if (modes.includes(value)) return { value: { sslmode: value as SslMode } }
  const why =
    value === 'prefer' || value === 'allow'
      ? `may not be ${value}, which can end in an open connection`
      : 'is not known'
  return { problem: `${why}; choose ${modes.join(', ')}` }
}

const shared: readonly (readonly [string, Reader])[] = [
  ['host', readHost],
  ['port', readPort],
  ['user', (user) => ({ value: { user } })],
  ['connect_timeout', readTimeout],
]
const readers: Readonly<Record<'postgres' | 'pg' | 'mysql', ReadonlyMap<string, Reader>>> = (() => {
  const postgres = new Map<string, Reader>([
    ...shared,
    ['dbname', (database) => ({ value: { database } })],
    ['sslmode', readMode],
    ['application_name', (applicationName) => ({ value: { applicationName } })],
    ['options', (options) => ({ value: { options } })],
  ])
  return { postgres, pg: postgres, mysql: new Map(shared) }
})()

/** Adds the options to what was named in front of them; the same thing may be said twice, but not differently. */
function parseQuery(query: string, driver: 'postgres' | 'pg' | 'mysql', named: Named): Named {
  const seen = new Set<string>()
  const problems = new Set<string>()
  let url = bare(named)
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [, rawName = '', rawValue = ''] = /^([^=]*)=?(.*)$/.exec(pair) ?? []
    const name = decode(rawName, 'name of an option')
    const reader = readers[driver].get(name)
    // Behind a password with an unescaped "&" the next name is a piece of it.
    const printable =
      reader !== undefined || refused.has(name) || (/^[\w.-]{1,40}$/.test(name) && !query.includes('password'))
    const shownName = printable ? name : 'an option whose name is not shown'
    if (seen.has(name)) problems.add(`${shownName} is given twice`)
    else if (reader === undefined) problems.add(`${shownName} ${refused.get(name) ?? 'is not known'}`)
    else {
      const answer = reader(decode(rawValue, `value of ${name}`))
      if ('problem' in answer) problems.add(`${name} ${answer.problem}`)
      else if (Object.entries(answer.value).some(([key, value]) => (url[key as keyof Named] ?? value) !== value))
        problems.add(`${name} differs from what stands in front of the "?"`)
      else url = bare(url, answer.value)
    }
    seen.add(name)
  }
  if (problems.size > 0)
    throw invalid(`${[...problems].join('; ')} (options there are: ${[...readers[driver].keys()].join(', ')})`)
  return url
}
