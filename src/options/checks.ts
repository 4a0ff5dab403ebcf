// What a value of an option of the engine may be, beside what any option may be. Used by options.ts and tls.ts. A problem
// never contains the value.
import { isIPv6 } from 'node:net'
import { type Check, describeType, integer, isConforming, isPlain, isUtf8 } from '../util/checks.ts'

/** NUL ends a string in the protocol, so what follows it would be taken for another option: it is refused, not removed. */
export const text: Check = (value) => {
  if (typeof value !== 'string') return `must be a string; it is ${describeType(value)}`
  if (value === '') return 'must not be empty'
  return hasControl(value) ? 'must not contain control characters' : undefined
}

export function hasControl(value: string): boolean {
  return /[\p{Cc}\p{Cs}]/u.test(value)
}

/** A host's name, an address, or the directory of a socket. Names outside of ASCII look like others, so they are refused. */
export const hostName: Check = (value) => {
  const problem = text(value)
  if (problem !== undefined) return problem
  const name = value as string
  if (name.startsWith('/')) return undefined
  if (name.includes(','))
    return 'must be a single host; several are given by the option hosts, or separated by commas in a URL'
  if (isIPv6(name) || (/^[a-z0-9_][a-z0-9._-]*$/i.test(name) && name.length <= 253)) return undefined
  return 'must be a name, an address or the directory of a socket (names outside of ASCII are written with xn--)'
}

/** Several servers, tried in this order. */
export const hostList: Check = (value) => {
  if (!Array.isArray(value) || value.length === 0) return 'must be an array of { host, port }, with one at least'
  const fits = (each: unknown): boolean =>
    isPlain(each) &&
    Object.keys(each).every((key) => key === 'host' || key === 'port') &&
    Object.hasOwn(each, 'host') &&
    hostName(each['host']) === undefined &&
    (each['port'] === undefined || integer(1, 65_535)(each['port']) === undefined)
  return value.every(fits) ? undefined : 'must have a host each, and a port from 1 to 65535 where it is not 5432'
}

export const passwordOrFunction: Check = (value) => {
  if (typeof value === 'function') return undefined
  if (typeof value !== 'string') return `must be a string or a function; it is ${describeType(value)}`
  return value.includes('\0') ? 'must not contain NUL' : undefined
}

export const sessionSettings: Check = (value) => {
  if (!isPlain(value)) return 'must be an object with names and their values'
  const fits = ([name, each]: [string, unknown]): boolean =>
    /^[a-z_][\w.]*$/i.test(name) &&
    (typeof each === 'boolean' || Number.isFinite(each) || (typeof each === 'string' && !hasControl(each)))
  for (const [name, each] of Object.entries(value))
    if (name.toLowerCase() === 'client_encoding' && !isUtf8(String(each)))
      return 'has client_encoding, which can be nothing but UTF8: text is sent and read in no other encoding'
    else if (name.toLowerCase() === 'standard_conforming_strings' && !isConforming(String(each)))
      return 'has standard_conforming_strings, which can be nothing but on: quotes would end elsewhere than they are read'
  return Object.entries(value).every(fits) ? undefined : 'must have names of settings with strings, numbers or booleans'
}
