// What a value of an option may be, as small functions, and the walk over an object of options that collects every
// problem at once. Used by options.ts and tls.ts. A problem never contains the value.
import { isIPv6 } from 'node:net'
import { InvalidOptionError, type OptionProblem } from '../errors/index.ts'
import { longestTimerMs } from '../util/timers.ts'

/** What is wrong with a value, as a clause that follows the option's name; undefined: nothing. */
export type Check = (value: unknown) => string | undefined

/** A check for each option of a group; a nested group has its own. */
export type Checks<T> = { readonly [K in keyof Required<T>]: Check | GroupCheck }
export interface GroupCheck {
  readonly group: Readonly<Record<string, Check | GroupCheck>>
}

const shown = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value)

const must =
  (wanted: string, fits: (value: unknown) => boolean): Check =>
  (value) =>
    fits(value) ? undefined : `must be ${wanted}; it is ${shown(value)}`

export const boolean: Check = must('true or false', (value) => typeof value === 'boolean')

export const callback: Check = must('a function', (value) => typeof value === 'function')

export const anyOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string) ? undefined : `must be ${values.map((each) => `'${each}'`).join(' or ')}`

/** NUL ends a string in the protocol, so what follows it would be taken for another option: it is refused, not removed. */
export const text: Check = (value) => {
  if (typeof value !== 'string') return `must be a string; it is ${shown(value)}`
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
  if (name.includes(',')) return 'must be a single host: several are not supported'
  if (isIPv6(name) || (/^[a-z0-9_][a-z0-9._-]*$/i.test(name) && name.length <= 253)) return undefined
  return 'must be a name, an address or the directory of a socket (names outside of ASCII are written with xn--)'
}

export const passwordOrFunction: Check = (value) => {
  if (typeof value === 'function') return undefined
  if (typeof value !== 'string') return `must be a string or a function; it is ${shown(value)}`
  return value.includes('\0') ? 'must not contain NUL' : undefined
}

export const sessionSettings: Check = (value) => {
  if (!isPlain(value)) return 'must be an object with names and their values'
  const fits = ([name, each]: [string, unknown]): boolean =>
    /^[a-z_][\w.]*$/i.test(name) &&
    (typeof each === 'boolean' || Number.isFinite(each) || (typeof each === 'string' && !hasControl(each)))
  return Object.entries(value).every(fits) ? undefined : 'must have names of settings with strings, numbers or booleans'
}

/** A whole number. */
export const integer = (least: number, most: number = Number.MAX_SAFE_INTEGER, endless: boolean = false): Check =>
  must(
    `a whole number ${most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`}${endless ? ', or Infinity' : ''}`,
    (value) =>
      (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) || (endless && value === Infinity),
  )

/** A duration in milliseconds. 0 means "at once" where it is allowed, never "no limit". */
export const milliseconds = (least: 0 | 1, endless: boolean = false): Check =>
  must(
    `milliseconds from ${least} to ${longestTimerMs}${endless ? ', or Infinity' : ''}`,
    (value) =>
      (typeof value === 'number' && value >= least && value <= longestTimerMs) || (endless && value === Infinity),
  )

/** An object literal or one without prototype; not an array, a class's instance, or a URL object. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** A copy without prototype of the own properties of objects, later ones over earlier ones: `Object.prototype` may be polluted. */
export function bare<T extends object>(...objects: readonly (T | undefined)[]): T {
  return Object.assign(Object.create(null), ...objects) as T
}

/**
 * Copies what is given, without what is inherited, into objects without prototype.
 * Adds to `problems` every option that does not exist or does not fit, and leaves it out.
 */
export function pick<T>(given: unknown, checks: Checks<T>, problems: OptionProblem[], group: string = ''): T {
  const picked = bare<Record<string, unknown>>()
  if (given === undefined) return picked as T
  if (!isPlain(given)) {
    problems.push({ name: group === '' ? 'options' : group, problem: `must be an object; it is ${shown(given)}` })
    return picked as T
  }
  for (const [key, value] of Object.entries(given)) {
    const name = group === '' ? key : `${group}.${key}`
    const check = Object.hasOwn(checks, key) ? checks[key as keyof Checks<T>] : undefined
    if (check === undefined)
      problems.push({ name, problem: `is not an option (there are ${Object.keys(checks).join(', ')})` })
    else if (value === undefined) continue
    else if (typeof check === 'object') picked[key] = pick(value, check.group, problems, name)
    else {
      const problem = check(value)
      if (problem === undefined) picked[key] = value
      else problems.push({ name, problem })
    }
  }
  return picked as T
}

/** @throws {InvalidOptionError} naming every problem, if there is one. */
export function refuse(problems: readonly OptionProblem[]): void {
  if (problems.length === 0) return
  const list = problems.map(({ name, problem }) => `${JSON.stringify(name.slice(0, 60))} ${problem}`).join('; ')
  throw new InvalidOptionError(`The options cannot be used: ${list}.`, { options: problems })
}
