// Database URLs: parsed strictly by hand, because the URL class of Node takes a password with an unescaped `#` or `/` for
// a host and keeps the whole text in its error. Called by options.ts and for messages. Opens no file, reads no environment
// variable, and never repeats a value: whatever looks wrong may be a piece of a password.
import { isIPv6 } from 'node:net'
import { InvalidUrlError } from '../errors/index.ts'
import { bare } from '../util/checks.ts'
import { hasControl, hostName } from './checks.ts'
import {
  formatPlace,
  mysqlParameters,
  type Place,
  placesOf,
  portOf,
  postgresParameters,
  refusedParameters,
  type Said,
} from './url-parameters.ts'

export interface ParsedUrl extends Omit<Said, 'hosts' | 'addresses' | 'ports'> {
  readonly driver: 'postgres' | 'pg' | 'pglite' | 'mysql'
  /** Without brackets; a directory if it starts with `/`. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** Instead of host and port, when there are several, or an address that is not looked up. */
  readonly places?: readonly Place[] | undefined
  /** A function, so that printing does not show it. */
  readonly password?: (() => string) | undefined
  /** PGlite. */
  readonly directory?: string | undefined
  /** PGlite: true, or the name of a database shared in this process. */
  readonly memory?: true | string | undefined
}

const drivers: ReadonlyMap<string, ParsedUrl['driver']> = new Map([
  ['postgres', 'postgres'],
  ['postgresql', 'postgres'],
  ['pg', 'pg'],
  ['pglite', 'pglite'],
  ['mysql', 'mysql'],
  ['mariadb', 'mysql'],
])

const schemes: string = [...drivers.keys()].map((each) => `${each}:`).join(', ')

/** What else people have in a variable of that name, and how it is written here. */
function schemeAdvice(text: string): string {
  if (/^jdbc:/i.test(text)) return '; leave out "jdbc:", and write user and password in front of the host'
  if (/^(postgres(ql)?|mysql|mariadb)\+\w+:/i.test(text))
    return '; leave out the "+" and what stands between it and the ":"'
  if (/^prisma(\+\w+)?:/i.test(text)) return '; give the URL of the database, not that of a proxy'
  if (/^[a-z_]+=/i.test(text)) return '; a URL is expected, not a list of keywords with values'
  return ''
}

const longestUrl = 16_384

/**
 * Parses `postgres://user:password@host:port/database?option=value`, with the schemes `postgres`, `postgresql`, `pg`
 * (node-postgres), `mysql`, `mariadb`; `pglite://memory`, `pglite://memory/name`, `pglite:./directory`.
 *
 * User, password, database and values are percent-decoded; `+` stays a plus. Several hosts are separated by commas. The
 * parameters behind the `?` are those of libpq and of the hosts of databases, as `url-parameters.ts` has them. All others
 * are refused together, by name, with what to use instead.
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
  if (/^["'`]/.test(text))
    throw invalid('it begins with a quotation mark; a variable holds the URL without quotation marks')
  if (text.includes('#')) throw invalid('it contains a "#"; write it as %23')
  if (text.includes('\\')) throw invalid('it contains a backslash; write it as %5C')
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(text) ?? []
  const driver = drivers.get(scheme.toLowerCase())
  if (driver === undefined) throw invalid(`it starts with none of ${schemes}${schemeAdvice(text)}`)
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
  const { driver, host, port, user, database, directory, memory, places } = target
  if (directory !== undefined) return `${driver}:${directory}`
  if (memory !== undefined) return `${driver}://memory${memory === true ? '' : `/${encodeURIComponent(memory)}`}`
  const socket = places === undefined && host?.startsWith('/') === true
  const where =
    places === undefined
      ? formatPlace(socket ? undefined : host, port)
      : places.map((each) => formatPlace(each.host?.replaceAll('/', '%2F'), each.port)).join(',')
  const who = user === undefined && secret === '' ? '' : `${encodeURIComponent(user ?? '')}${secret}@`
  const path = database === undefined ? '' : `/${encodeURIComponent(database)}`
  const scheme = driver === 'pg' ? 'postgres' : driver
  return `${scheme}://${who}${where}${path}${socket ? `?host=${host}` : ''}`
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
  const said = parseQuery(query, driver, {
    ...parsePlaces(place),
    user: decodeOptional(user, 'user'),
    database: decodeOptional(path, 'database'),
  })
  const { hosts: _hosts, addresses: _addresses, ports: _ports, ...url } = said
  return {
    driver,
    ...url,
    ...whereOf(said),
    password: password === '' || password === undefined ? undefined : () => password,
  }
}

/** One host has a host and a port, as ever. */
function whereOf(said: Said): Pick<ParsedUrl, 'host' | 'port' | 'places'> {
  const places = placesOf(said)
  if (typeof places === 'string') throw invalid(places)
  const [first] = places
  if (places.length > 1 || first?.address !== undefined) return { places: Object.freeze(places) }
  return { host: first?.host, port: first?.port }
}

function parsePlaces(authority: string): Pick<Said, 'hosts' | 'ports'> {
  const places = authority.split(',').map(parsePlace)
  if (places.length === 1 && places[0]?.host === undefined && places[0]?.port === undefined) return {}
  const ports = places.map(({ port }) => port)
  const hosts = places.map(({ host }) => host)
  return {
    hosts: hosts.every((host) => host === undefined) && hosts.length === 1 ? undefined : hosts,
    ports: ports.every((port) => port === undefined) ? undefined : ports,
  }
}

function parsePlace(place: string): Place {
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

function parsePort(text: string): number {
  const port = portOf(text)
  if (port === undefined)
    throw invalid(
      'the port is not a number from 1 to 65535, or the password has a special character that is not percent-encoded',
    )
  return port
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

/** Adds the parameters to what was named in front of them; the same thing may be said twice, but not differently. */
function parseQuery(query: string, driver: 'postgres' | 'pg' | 'mysql', named: Said): Said {
  const parameters = driver === 'mysql' ? mysqlParameters : postgresParameters
  const seen = new Set<string>()
  const problems = new Set<string>()
  let said = bare(named)
  for (const pair of query.split('&').filter((each) => each !== '')) {
    const [, rawName = '', rawValue = ''] = /^([^=]*)=?(.*)$/.exec(pair) ?? []
    const name = decode(rawName, 'name of an option')
    const parameter = parameters.get(name)
    // Behind a password with an unescaped "&" the next name is a piece of it.
    const printable =
      parameter !== undefined ||
      refusedParameters.has(name) ||
      (/^[\w.-]{1,40}$/.test(name) && !query.includes('password'))
    const shownName = printable ? name : 'an option whose name is not shown'
    if (seen.has(name)) problems.add(`${shownName} is given twice`)
    else if (parameter === undefined)
      problems.add(
        `${shownName} ${(driver !== 'mysql' && refusedParameters.get(name)) || unknownParameter(parameters)}`,
      )
    else {
      const answer = parameter.read(decode(rawValue, `value of ${name}`))
      if ('problem' in answer) problems.add(`${name} ${answer.problem}`)
      else if (differs(said, answer.value)) problems.add(`${name} differs from what stands in front of it`)
      else said = bare(said, answer.value)
    }
    seen.add(name)
  }
  if (said.systemRoots === true && (said.sslmode ?? 'verify-full') !== 'verify-full')
    problems.add('sslrootcert=system needs sslmode=verify-full')
  if (said.sslnegotiation === 'direct' && !/^(require|no-verify|verify-)/.test(said.sslmode ?? ''))
    problems.add('sslnegotiation=direct needs sslmode=require, verify-ca or verify-full')
  if (problems.size > 0) throw invalid([...problems].join('; '))
  return said.systemRoots === true ? { ...said, sslmode: 'verify-full' } : said
}

function unknownParameter(parameters: ReadonlyMap<string, unknown>): string {
  return `is not known (there are ${[...parameters.keys()].join(', ')}; settings of the server belong into options=-c%20NAME%3DVALUE)`
}

function differs(said: Said, more: Said): boolean {
  return Object.entries(more).some(([key, value]) => {
    const before: unknown = said[key as keyof Said]
    return before !== undefined && JSON.stringify(before) !== JSON.stringify(value)
  })
}
