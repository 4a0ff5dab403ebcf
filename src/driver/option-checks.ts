// Checks of option values that concern connections. The descriptors of drivers are made of them. A problem never contains the value.
import { settingMisread } from '../sql/settings.ts'
import { anyOf, boolean, type Check, describeType, integer, isPlain } from '../util/options.ts'
import { checkConversions } from '../sql/conversions.ts'
import { longestTimerMs } from '../util/clock.ts'
import type { Parameter, Reader, Reading, Said } from './descriptor.ts'

/** Names of functions. */
export const functionNames: Check = (value) =>
  Array.isArray(value) && value.every((each) => typeof each === 'string' && /^[^\s.()"]+$/.test(each))
    ? undefined
    : 'must be a list of names of functions, without schema and brackets'

/** NUL ends a string in the protocol, so what follows it would be taken for another option: it is refused, not removed. */
export const text: Check = (value) => {
  if (typeof value !== 'string') return `must be a string; it is ${describeType(value)}`
  if (value === '') return 'must not be empty'
  return hasControl(value) ? 'must not contain control characters' : undefined
}

/** Characters are written as numbers: V8 needs a millisecond for the first `\p{…}` that it loads. */
export function hasControl(value: string): boolean {
  return /[^\x20-\x7e\xa0-\ud7ff\ue000-\u{10ffff}]/u.test(value)
}

/** Of either version: nothing has to be looked up. */
export const isAddress = (host: string): boolean => process.getBuiltinModule('node:net').isIP(host) !== 0

export const isIPv6 = (host: string): boolean => process.getBuiltinModule('node:net').isIPv6(host)

/** A host's name, an address, or the directory of a socket. Names outside of ASCII look like others, so they are refused. */
export const hostName: Check = (value) => {
  const problem = text(value)
  if (problem !== undefined) return problem
  const name = value as string
  if (name.startsWith('/')) return undefined
  if (name.includes(','))
    return 'must be a single host; several are given by the option hosts, or separated by commas in a URL'
  // In this order: Node.js takes milliseconds to compile its pattern of IPv6 addresses.
  if ((/^[a-z0-9_][a-z0-9._-]*$/i.test(name) && name.length <= 253) || isIPv6(name)) return undefined
  return 'must be a name, an address or the directory of a socket (names outside of ASCII are written with xn--)'
}

/** Several servers, tried in this order. */
const hostList: Check = (value) => {
  if (!Array.isArray(value) || value.length === 0) return 'must be an array of { host, port }, with one at least'
  const fits = (each: unknown): boolean =>
    isPlain(each) &&
    Object.keys(each).every((key) => key === 'host' || key === 'port') &&
    Object.hasOwn(each, 'host') &&
    hostName(each['host']) === undefined &&
    (each['port'] === undefined || integer(1, 65_535)(each['port']) === undefined)
  return value.every(fits) ? undefined : 'must have a host each, and a port from 1 to 65535 where it is not 5432'
}

const passwordOf =
  (wanted: string): Check =>
  (value) => {
    if (typeof value !== 'string') return `must be ${wanted}; it is ${describeType(value)}`
    return value.includes('\0') ? 'must not contain NUL' : undefined
  }

/** A password as a function gives it. */
export const passwordText: Check = passwordOf('a string')

const passwordGiven = passwordOf('a string or a function')

export const passwordOrFunction: Check = (value) => (typeof value === 'function' ? undefined : passwordGiven(value))

export const sessionSettings: Check = (value) => {
  if (!isPlain(value)) return 'must be an object with names and their values'
  const fits = ([name, each]: [string, unknown]): boolean =>
    /^[a-z_][\w.]*$/i.test(name) &&
    (typeof each === 'boolean' || Number.isFinite(each) || (typeof each === 'string' && !hasControl(each)))
  for (const [name, each] of Object.entries(value)) {
    const misread = settingMisread(name, String(each))
    if (misread !== undefined) return `has ${name}, which ${misread}`
  }
  return Object.entries(value).every(fits) ? undefined : 'must have names of settings with strings, numbers or booleans'
}

/** What is inside an object is checked where certificates are read. */
export const ssl: Check = (value) =>
  typeof value === 'boolean' || isPlain(value) ? undefined : 'must be true, false or an object with options of node:tls'

/** Options of every connection. */
const ofAll = {
  ssl,
  applicationName: text,
  settings: sessionSettings,
  statementCacheSize: integer(0, 100_000),
  int8: anyOf('number', 'bigint', 'string'),
  timestamp: anyOf('utc', 'local'),
  types: checkConversions,
} as const

const ofServer = {
  host: hostName,
  port: integer(1, 65_535),
  user: text,
  password: passwordOrFunction,
  database: text,
} as const

const ofDirectory = {
  directory: text,
  memory: (value: unknown) => (value === true || text(value) === undefined ? undefined : 'must be true or a name'),
} as const

/** Where a server is, and how it is spoken to. */
export const serverOptions: Readonly<Record<string, Check>> = {
  ...ofServer,
  hosts: hostList,
  targetSessionAttrs: anyOf('any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'),
  loadBalanceHosts: boolean,
  channelBinding: anyOf('disable', 'prefer', 'require'),
  allowCleartextPassword: boolean,
  ...ofAll,
}

/** A database inside the process; `ssl` has nothing to do there. */
export const directoryOptions: Readonly<Record<string, Check>> = { ...ofDirectory, ...ofAll }

/** Of drivers given as an object: what says where the database is, by either kind. */
export const anyPlaceOptions: Readonly<Record<string, Check>> = { ...ofServer, ...ofDirectory, ...ofAll }

export const nothing: Reading = { value: {} }
export const problem = (what: string): Reading => ({ problem: what })

/** One of some words; each gives what it means. */
export const words =
  (meanings: Readonly<Record<string, Said | string>>): Reader =>
  (value) => {
    const meaning = Object.hasOwn(meanings, value) ? meanings[value] : undefined
    if (typeof meaning === 'string') return problem(meaning)
    const known = Object.keys(meanings).filter((word) => typeof meanings[word] !== 'string')
    return meaning === undefined ? problem(`is not known; choose ${known.join(', ')}`) : { value: meaning }
  }

const whole = (value: string, most: number): number | undefined =>
  /^\d{1,9}$/.test(value) && Number(value) <= most ? Number(value) : undefined

export const number =
  (least: number, most: number, said: (value: number) => Said): Reader =>
  (value) => {
    const given = whole(value, most)
    return given === undefined || given < least
      ? problem(`must be a number from ${least} to ${most}`)
      : { value: said(given) }
  }

export const readHosts: Reader = (value) => {
  const hosts = value.split(',').map((host) => host || undefined)
  for (const host of hosts) {
    const wrong = host === undefined ? undefined : hostName(host)
    if (wrong !== undefined) return problem(wrong)
  }
  return { value: { hosts } }
}

export const readAddresses: Reader = (value) => {
  const addresses = value.split(',').map((address) => address || undefined)
  return addresses.every((address) => address === undefined || isAddress(address))
    ? { value: { addresses } }
    : problem('must be an IP address')
}

export const readPorts: Reader = (value) => {
  const ports = value.split(',').map((port) => (port === '' ? undefined : (portOf(port) ?? 0)))
  return ports.includes(0) ? problem('must be a number from 1 to 65535') : { value: { ports } }
}

/** A port, or undefined for what is none. */
export function portOf(given: string): number | undefined {
  const port = /^\d{1,5}$/.test(given) ? Number(given) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** Whole seconds, and 0 or less as no limit. */
export const connectTimeout: Reader = (value) => {
  if (!/^-?\d{1,6}$/.test(value)) return problem('must be whole seconds; 0 is no limit')
  const seconds = Number(value)
  return { value: { connectTimeoutMs: seconds <= 0 ? longestTimerMs : seconds * 1_000 } }
}

/** What the URLs of all servers may have behind the `?`. */
export const serverParameters: ReadonlyMap<string, Parameter> = new Map<string, Parameter>([
  ['host', { read: readHosts }],
  ['port', { read: readPorts }],
  ['user', { read: (user) => ({ value: { user } }) }],
  ['connect_timeout', { read: connectTimeout }],
])
