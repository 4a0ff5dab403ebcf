// Database URLs: parsed strictly by hand, because the URL class of Node takes a password with an unescaped `#` or `/` for
// a host and keeps the whole text in its error. Called by options.ts and for messages. Opens no file, reads no environment
// variable, and never repeats a value: whatever looks wrong may be a piece of a password.
import type { Descriptor, Place, Said, UrlParameters } from '../driver/descriptor.ts'
import { hasControl, hostName, isIPv6, portOf } from '../driver/option-checks.ts'
import { drivers } from '../driver/registry.ts'
import { InvalidUrlError } from '../errors/index.ts'
import { bare, nearest } from '../util/options.ts'

export interface ParsedUrl extends Omit<Said, 'hosts' | 'addresses' | 'ports'> {
  /** The name of the driver of its scheme. */
  readonly driver: string
  /** Without brackets; a directory if it starts with `/`. */
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** Instead of host and port, when there are several, or an address that is not looked up. */
  readonly places?: readonly Place[] | undefined
  /** Of a database inside the process. */
  readonly directory?: string | undefined
  /** The same in memory: true, or the name of a database shared in this process. */
  readonly memory?: true | string | undefined
}

/** What else people have in a variable of that name, and how it is written here. */
function schemeAdvice(text: string): string {
  if (/^jdbc:/i.test(text)) return '; leave out "jdbc:", and write user and password in front of the host'
  if (drivers.byScheme(/^([a-z]+)\+\w+:/i.exec(text)?.[1]?.toLowerCase() ?? '') !== undefined)
    return '; leave out the "+" and the text up to the ":"'
  if (/^prisma(\+\w+)?:/i.test(text)) return '; give the URL of the database, not that of a proxy'
  return ''
}

const schemes = (): string => drivers.all.flatMap((each) => each.schemes.map((scheme) => `${scheme}:`)).join(', ')

const longestUrl = 16_384

/**
 * Parses `postgres://user:password@host:port/database?option=value`, with the scheme of a driver of servers; and with that of a
 * database inside the process `pglite://memory`, `pglite://memory/name`, `pglite:./directory`.
 *
 * User, password, database and values are percent-decoded; `+` stays a plus. Several hosts are separated by commas. The
 * parameters behind the `?` are those of the driver's descriptor. All others
 * are refused together, by name, with what to use instead.
 *
 * @throws {InvalidUrlError} for everything it does not understand completely; the error holds no part of the URL but names
 *   of options.
 * @see PostgreSQL manual, "Connection URIs".
 */
export function parseUrl(text: string): ParsedUrl {
  if (typeof text !== 'string') throw invalid('it is not a string')
  if (text === '') throw invalid('it is empty; an environment variable may be missing')
  if (text.length > longestUrl) throw invalid(`it is longer than ${longestUrl} characters`)
  if (isKeywords(text)) return Object.freeze(bare(parseKeywords(text)))
  if (/\s|[^\x20-\x7e\xa0-\ud7ff\ue000-\u{10ffff}]/u.test(text))
    throw invalid(
      'it contains a space, line break or control character, perhaps at its end; percent-encode what belongs to it',
    )
  if (/^["'`]/.test(text))
    throw invalid('it begins with a quotation mark; a variable holds the URL without quotation marks')
  if (text.includes('#')) throw invalid('it contains a "#"; write it as %23')
  if (text.includes('\\')) throw invalid('it contains a backslash; write it as %5C')
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(text) ?? []
  const driver = drivers.byScheme(scheme.toLowerCase())
  if (driver === undefined) throw invalid(`it starts with none of ${schemes()}${schemeAdvice(text)}`)
  const wrong = invalidFor(scheme.toLowerCase(), driver)
  return Object.freeze(
    bare(
      driver.where === 'directory'
        ? parseDirectory(driver, scheme.toLowerCase(), rest, wrong)
        : parseServer(driver, rest, wrong),
    ),
  )
}

export interface Target extends Omit<ParsedUrl, 'driver' | 'password'> {
  readonly driver: string
}

/** `postgres://app@localhost:5432/shop`, of what is known. */
export function formatTarget(target: Target): string {
  const { driver, host, port, user, database, directory, memory, places } = target
  if (directory !== undefined) return `${driver}:${directory}`
  if (memory !== undefined) return `${driver}://memory${memory === true ? '' : `/${encodeURIComponent(memory)}`}`
  const socket = places === undefined && host?.startsWith('/') === true
  const where =
    places === undefined
      ? formatPlace(socket ? undefined : host, port)
      : places.map((each) => formatPlace(each.host?.replaceAll('/', '%2F'), each.port)).join(',')
  const who = user === undefined ? '' : `${encodeURIComponent(user)}@`
  const path = database === undefined ? '' : `/${encodeURIComponent(database)}`
  const scheme = drivers.byName(driver)?.also?.[0] ?? driver
  return `${scheme}://${who}${where}${path}${socket ? `?host=${host}` : ''}`
}

/** Names the form of the scheme. */
function invalidFor(scheme: string, { where }: Pick<Descriptor, 'where'>): Wrong {
  const form =
    where === 'directory'
      ? `${scheme}://memory, ${scheme}://memory/name or ${scheme}:./directory`
      : `${scheme}://user:password@host:port/database?option=value`
  return (problem) =>
    new InvalidUrlError(
      `The database URL is not valid: ${problem}. Expected: ${form}, with special characters percent-encoded.`,
    )
}

/** For a text whose scheme is not known. */
const invalid: Wrong = invalidFor('postgres', { where: 'server' })

function invalidKeywords(problem: string): InvalidUrlError {
  return new InvalidUrlError(
    `The connection string is not valid: ${problem}. Expected: host=HOST port=PORT dbname=DATABASE user=USER password=PASSWORD, ` +
      'and other keywords of libpq. A value with spaces stands in single quotes, and a backslash stands before a quote or backslash in it.',
  )
}

function parseDirectory({ name: driver }: Descriptor, scheme: string, rest: string, wrong: Wrong): ParsedUrl {
  if (rest.includes('?')) throw wrong(`${scheme}: takes no options in the URL; a "?" in a directory is written as %3F`)
  if (rest === '//memory') return { driver, memory: true }
  if (rest.startsWith('//memory/')) return { driver, memory: decode(rest.slice('//memory/'.length), 'name', wrong) }
  if (rest.startsWith('//'))
    throw wrong(`after ${scheme}:// comes memory or memory/name; a directory is written ${scheme}:./directory`)
  if (rest === 'memory')
    throw wrong(`a database in memory is written ${scheme}://memory, a directory of this name ./memory`)
  return { driver, directory: decode(rest, 'directory', wrong) }
}

function parseServer({ name: driver, url: parameters }: Descriptor, rest: string, wrong: Wrong): ParsedUrl {
  const [, authority, path = '', query = ''] = /^\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/.exec(rest) ?? []
  if (authority === undefined) throw wrong('after the scheme comes //')
  // Otherwise a password with an unescaped "/" or "?" would be taken for a host, a database or an option.
  if (path.includes('@') || query.includes('@'))
    throw wrong(
      'there is an "@" behind the first "/" or "?"; write "/" in a password as %2F, "?" as %3F, other "@" as %40',
    )
  if (path.includes('/')) throw wrong('the name of the database contains a "/"; write it as %2F')
  const parts = authority.split('@')
  if (parts.length > 2)
    throw wrong('there is more than one "@" in front of the host; write those of user and password as %40')
  const [login = '', place = ''] = parts.length === 2 ? parts : ['', authority]
  const colon = login.indexOf(':')
  const user = colon === -1 ? login : login.slice(0, colon)
  const password = colon === -1 ? '' : decodeOptional(login.slice(colon + 1), 'password', wrong)
  const named: Said = {
    ...parsePlaces(place, wrong),
    user: decodeOptional(user, 'user', wrong),
    database: decodeOptional(path, 'database', wrong),
    password: password === '' || password === undefined ? undefined : () => password,
  }
  const said = readPairs(pairsIn(query, wrong), parameters ?? noParameters, named, wrong)
  return { driver, ...withPlaces(said, wrong) }
}

function withPlaces(said: Said, wrong: Wrong): Omit<ParsedUrl, 'driver'> {
  const { hosts: _hosts, addresses: _addresses, ports: _ports, ...url } = said
  return { ...url, ...whereOf(said, wrong) }
}

/** Of PostgreSQL, which alone has them. The last of several values of a keyword counts, and an empty one is none. */
function parseKeywords(text: string): ParsedUrl {
  const pairs = readKeywords(text)
  if (typeof pairs === 'string') throw invalidKeywords(pairs)
  const { name: driver = 'postgres', url = null } = drivers.byScheme('postgres') ?? {}
  const isOne = (name: string): boolean => url === null || url.known.has(name) || url.refused.has(name)
  const last = [...new Map(pairs)].filter(([name, value]) => value !== '' || !isOne(name))
  const said = readPairs(last.map(pairOf), url ?? noParameters, {}, invalidKeywords)
  return { driver, ...withPlaces(said, invalidKeywords) }
}

function pairOf([name, value]: readonly [string, string]): Pair {
  return [
    name,
    () => {
      if (hasControl(value)) throw invalidKeywords(`the value of ${name} contains a control character`)
      return value
    },
  ]
}

const noParameters: UrlParameters = { known: new Map(), refused: new Map(), complete: (said) => said }

/** One host has a host and a port, as ever. */
function whereOf(said: Said, wrong: Wrong): Pick<ParsedUrl, 'host' | 'port' | 'places'> {
  const places = placesOf(said)
  if (typeof places === 'string') throw wrong(places)
  const [first] = places
  if (places.length > 1 || first?.address !== undefined) return { places: Object.freeze(places) }
  return { host: first?.host, port: first?.port }
}

function parsePlaces(authority: string, wrong: Wrong): Pick<Said, 'hosts' | 'ports'> {
  const places = authority.split(',').map((each) => parsePlace(each, wrong))
  if (places.length === 1 && places[0]?.host === undefined && places[0]?.port === undefined) return {}
  const ports = places.map(({ port }) => port)
  const hosts = places.map(({ host }) => host)
  return {
    hosts: hosts.every((host) => host === undefined) && hosts.length === 1 ? undefined : hosts,
    ports: ports.every((port) => port === undefined) ? undefined : ports,
  }
}

function parsePlace(place: string, wrong: Wrong): Place {
  const parts = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::(.*))?$/.exec(place)
  if (parts === null) throw wrong('the part with the host is not understood; an IPv6 address is written in brackets')
  const [, address, name = '', port] = parts
  const raw = address ?? name
  const host = raw === '' && address === undefined ? undefined : parseHost(decode(raw, 'host', wrong), wrong)
  if (address !== undefined && !isIPv6(host ?? '')) throw wrong('the text in brackets is not an IPv6 address')
  return { host, port: port === undefined ? undefined : parsePort(port, wrong) }
}

function parseHost(host: string, wrong: Wrong): string {
  const problem = hostName(host)
  if (problem !== undefined) throw wrong(`the host ${problem}`)
  return host
}

function parsePort(text: string, wrong: Wrong): number {
  const port = portOf(text)
  if (port === undefined)
    throw wrong(
      'the port is not a number from 1 to 65535, or the password has a special character that is not percent-encoded',
    )
  return port
}

function decodeOptional(raw: string, what: string, wrong: Wrong): string | undefined {
  return raw === '' ? undefined : decode(raw, what, wrong)
}

function decode(raw: string, what: string, wrong: Wrong): string {
  let text: string
  try {
    text = decodeURIComponent(raw)
  } catch {
    throw wrong(`the ${what} has a "%" that does not start an escape; write "%" as %25`)
  }
  if (text === '') throw wrong(`the ${what} is empty`)
  if (hasControl(text)) throw wrong(`the ${what} contains an escaped control character`)
  return text
}

/** A value is read when its name is known. */
type Pair = readonly [name: string, value: () => string]
type Wrong = (problem: string) => InvalidUrlError

function pairsIn(query: string, wrong: Wrong): Pair[] {
  return query
    .split('&')
    .filter((each) => each !== '')
    .map((pair) => {
      const [, rawName = '', rawValue = ''] = /^([^=]*)=?(.*)$/.exec(pair) ?? []
      const name = decode(rawName, 'name of an option', wrong)
      return [name, () => decode(rawValue, `value of ${name}`, wrong)]
    })
}

/** Adds the parameters to what was named in front of them; the same thing may be said twice, but not differently. */
function readPairs(pairs: readonly Pair[], parameters: UrlParameters, named: Said, wrong: Wrong): Said {
  const { known, refused } = parameters
  const seen = new Set<string>()
  const problems = new Set<string>()
  let said = bare(named)
  const secret = pairs.some(([name]) => name === 'password')
  for (const [name, value] of pairs) {
    const parameter = known.get(name)
    // Behind a password with an unescaped "&" the next name is a piece of it.
    const printable = parameter !== undefined || refused.has(name) || (/^[\w.-]{1,40}$/.test(name) && !secret)
    const shownName = printable ? name : 'an option (its name is not shown)'
    if (seen.has(name)) problems.add(`${shownName} is given twice`)
    else if (parameter === undefined)
      problems.add(`${shownName} ${refused.get(name) ?? unknownParameter(shownName, known)}`)
    else {
      const answer = parameter.read(value())
      if ('problem' in answer) problems.add(`${name} ${answer.problem}`)
      else if (differs(said, answer.value)) problems.add(`${name} differs from what is said before it`)
      else said = bare(said, answer.value)
    }
    seen.add(name)
  }
  said = parameters.complete(said, problems)
  if (problems.size > 0) throw wrong([...problems].join('; '))
  return said
}

function unknownParameter(name: string, parameters: ReadonlyMap<string, unknown>): string {
  const near = nearest(name, [...parameters.keys()])
  if (near !== undefined) return `is not known; perhaps ${near} is meant`
  return `is not known (there are ${[...parameters.keys()].join(', ')}; settings of the server belong into options=-c%20NAME%3DVALUE)`
}

function differs(said: Said, more: Said): boolean {
  return Object.entries(more).some(([key, value]) => {
    const before: unknown = said[key as keyof Said]
    return before !== undefined && plain(before) !== plain(value)
  })
}

/** What a secret holds is compared, and not kept. */
function plain(value: unknown): string | undefined {
  return JSON.stringify(typeof value === 'function' ? (value as () => unknown)() : value)
}

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
  const name = host === undefined ? '' : host.includes(':') && isIPv6(host) ? `[${host.replace('%', '%25')}]` : host
  return `${name}${port === undefined ? '' : `:${port}`}`
}

// Connection strings of keywords and values, as libpq has them: `host=db.example port=5432 user='my app'`. Read by the same table
// of parameters as URLs. A problem never repeats a piece of the text, which may be one of a password.

/** Whether a text is one, and not a URL. */
function isKeywords(text: string): boolean {
  return /^\s*\w+\s*=/.test(text)
}

/**
 * The pairs in their order, or what is wrong, as a clause. A value ends at the next space unless it stands in single quotes; a
 * backslash takes the next character as it is.
 *
 * @see PostgreSQL manual, "Keyword/Value Connection Strings".
 */
export function readKeywords(text: string): readonly (readonly [name: string, value: string])[] | string {
  const pairs: (readonly [string, string])[] = []
  const pair = /\s*(?:$|([^\s=]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)|(?=\s|$)))/sy
  while (pair.lastIndex < text.length) {
    const found = pair.exec(text)
    if (found === null) return 'a keyword has no "=" behind it, or a value in quotes has no end'
    const [, name, quoted, unquoted] = found
    if (name === undefined) break
    pairs.push([name, (quoted ?? unquoted ?? '').replaceAll(/\\(.)/gs, (_, taken: string) => taken)])
  }
  return pairs
}
