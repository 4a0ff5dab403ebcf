// What a value may be, as small functions, and how a value is named in a message: by its type, never by what it holds. For
// every layer that takes something from a user. It knows nothing of databases.
import { UsageError } from '../errors/index.ts'
import { longestTimerMs } from './timers.ts'

/** Whether an encoding of PostgreSQL is the one that text is sent and read in. */
export function isUtf8(encoding: string): boolean {
  return /^(?:utf-?8|unicode)$/i.test(encoding)
}

/** Whether `standard_conforming_strings` stays as texts are read here: a backslash in quotes is a character like any other. */
export function isConforming(value: string): boolean {
  return /^(?:on|true|yes|1|t|y)$/i.test(value)
}

/** What is wrong with a value, as a clause that follows the name of the option; undefined: nothing. */
export type Check = (value: unknown) => string | undefined

/** Undefined where a proxy throws. */
function prototypeOf(value: object): object | null | undefined {
  try {
    return Object.getPrototypeOf(value) as object | null
  } catch {
    return undefined
  }
}

/** Names the type of a value, with its class and without anything of its content. */
export function describeType(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Number.isNaN(value)) return 'NaN'
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return `a ${typeof value}`
  const prototype = prototypeOf(value)
  const made = typeof prototype === 'object' && prototype !== null ? prototype.constructor : undefined
  const name = typeof made === 'function' ? made.name : ''
  return name === 'Object' || !/^[\w$]{1,60}$/.test(name) ? 'an object' : `an object of class ${name}`
}

export const must =
  (wanted: string, fits: (value: unknown) => boolean): Check =>
  (value) =>
    fits(value) ? undefined : `must be ${wanted}; it is ${describeType(value)}`

export const boolean: Check = must('true or false', (value) => typeof value === 'boolean')

export const callback: Check = must('a function', (value) => typeof value === 'function')

export const anyOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string) ? undefined : `must be ${values.map((each) => `'${each}'`).join(' or ')}`

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

/** How long something may take; `Infinity` is no limit. */
export const duration: Check = must(
  'a number of milliseconds, 0 or more, or Infinity for no limit',
  (value) => typeof value === 'number' && value >= 0,
)

/** An `AbortSignal`, also one of another realm. */
export const abortSignal: Check = must('an AbortSignal', (value) => {
  if (value instanceof AbortSignal) return true
  if (typeof value !== 'object' || value === null) return false
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  )
})

/** An object literal or one without prototype, of any realm; not an array, an instance of a class, or a URL object. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = prototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return true
  return (
    typeof prototype === 'object' &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, 'isPrototypeOf')
  )
}

/** A copy without prototype of the own properties of objects, later ones over earlier ones: `Object.prototype` may be polluted. */
export function bare<T extends object>(...objects: readonly (T | undefined)[]): T {
  return Object.assign(Object.create(null), ...objects) as T
}

/** @throws {UsageError} unless it is a function, such as the callback of `scope()`. */
export function needsFunction(value: unknown, method: string, what: string = 'the work to run'): void {
  if (typeof value !== 'function')
    throw new UsageError(`${method} takes a function, ${what}; it was given ${describeType(value)}.`)
}

/** A copy without prototype, without what is undefined. */
export function defined<T extends object>(values: T): T {
  return bare(Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))) as T
}
