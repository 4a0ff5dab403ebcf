// Objects of options: the one way in which they are read, at every door. Only own members count, each is read once, and
// what does not exist or does not fit is refused together, by name, before anything happens. A table has a check for each
// member of the type of the options.
import { GeneverError, InvalidOptionError, type OptionProblem, UsageError } from '../errors/index.ts'
import { longestTimerMs } from './clock.ts'

// Checks of values, as small functions, for every layer that takes something from a user. A message names a value by its type, never by
// its content. Nothing here knows of databases.

/** Whether UTF-8 can hold a text: it has no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  return (text as WellFormed).isWellFormed()
}

/** In every supported Node.js, not yet in the library of types. */
type WellFormed = string & { isWellFormed(): boolean }

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

/** As `describeType`, but a number by its value: for what should be one that is never secret. */
export function describeNumber(value: unknown): string {
  return typeof value === 'number' ? String(value) : describeType(value)
}

export const must =
  (wanted: string, fits: (value: unknown) => boolean): Check =>
  (value) =>
    fits(value) ? undefined : `must be ${wanted}; it is ${describeType(value)}`

/** As `must`, for numbers: one that does not fit is shown. */
export const mustBeNumber =
  (wanted: string, fits: (value: unknown) => boolean): Check =>
  (value) =>
    fits(value) ? undefined : `must be ${wanted}; it is ${describeNumber(value)}`

export const boolean: Check = must('true or false', (value) => typeof value === 'boolean')

export const callback: Check = must('a function', (value) => typeof value === 'function')

export const anyOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string) ? undefined : `must be ${values.map((each) => `'${each}'`).join(' or ')}`

/** `endless`: Infinity will do too. */
type Endless = 'or Infinity'

/** A whole number. */
export const integer = (least: number, most: number = Number.MAX_SAFE_INTEGER, endless?: Endless): Check =>
  mustBeNumber(
    `a whole number ${most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`}${endless === undefined ? '' : `, ${endless}`}`,
    (value) =>
      (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) ||
      (endless !== undefined && value === Infinity),
  )

/** A duration in milliseconds. 0 means "at once" where it is allowed, never "no limit". */
export const milliseconds = (least: 0 | 1, endless?: Endless): Check =>
  mustBeNumber(
    `milliseconds from ${least} to ${longestTimerMs}${endless === undefined ? '' : `, ${endless}`}`,
    (value) =>
      (typeof value === 'number' && value >= least && value <= longestTimerMs) ||
      (endless !== undefined && value === Infinity),
  )

/** How long something may take; `Infinity` is no limit. */
export const duration: Check = mustBeNumber(
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

/** Marks what a copy of the package has read and checked, for other copies, which check it again. */
const readMark: symbol = Symbol.for('genever.options')

/** The prototype of what was read and checked: options that go from door to door are looked at once. */
const checked: object = Object.freeze(Object.create(null, { [readMark]: { value: true } }) as object)

/** An object literal or one without prototype, of any realm; not an array, an instance of a class, or a URL object. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype = prototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return true
  return (
    typeof prototype === 'object' &&
    Object.getPrototypeOf(prototype) === null &&
    (Object.hasOwn(prototype, 'isPrototypeOf') || Object.hasOwn(prototype, readMark))
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

/** A check for each option of a group; a nested group has its own. */
export type Checks<T> = { readonly [K in keyof Required<T>]: Check | GroupCheck | Reading }

export interface GroupCheck {
  readonly group: Readonly<Record<string, Check | GroupCheck | Reading>>
  /** Another form of the option, which is no group; and both, as a clause. */
  readonly or?: (value: unknown) => boolean
  readonly wanted?: string
}

/** What is used in place of the value; throws an error of the package when there is nothing to use. */
export interface Reading {
  readonly read: (value: unknown) => unknown
}

/** Stands for the options as a whole where there is no name. */
const whole = 'options'

interface Unknown extends OptionProblem {
  /** The option that was probably meant. */
  readonly near: string | undefined
  readonly known: readonly string[]
}

/**
 * A copy of the options that are given, without what is inherited; those that are undefined are left out.
 * @param of What has these options: `transaction()`.
 * @param instead What stands for something else than options.
 * @throws {InvalidOptionError} naming every option that does not exist or does not fit.
 */
export function readOptions<T extends object>(
  given: unknown,
  checks: Checks<T>,
  of: string,
  instead: (given: unknown) => unknown = itself,
): T {
  if (given === undefined) return noOptions as T
  const problems: OptionProblem[] = []
  let read: T
  try {
    if (typeof given === 'object' && given !== null && Object.getPrototypeOf(given) === checked) return given as T
    read = copy<T>(instead(given), checks, problems, '', Object.create(checked) as Picked)
  } catch (cause) {
    if (cause instanceof GeneverError) throw cause
    throw new InvalidOptionError(`The options of ${of} cannot be read: reading them throws.`, { cause })
  }
  refuse(problems, of)
  return read
}

/** Options that were read before, with others on top. */
export function readAgain<T extends object>(read: Partial<T>, change?: Partial<T>): T {
  return Object.assign(Object.create(checked), read, change) as T
}

/** No option at all, not even one that a polluted `Object.prototype` has. */
export const noOptions: object = Object.freeze(Object.create(checked) as object)

const itself = (given: unknown): unknown => given

/**
 * Copies what is given, without what is inherited, into objects without prototype.
 * Adds to `problems` every option that does not exist or does not fit, and leaves it out.
 */
export function pick<T>(given: unknown, checks: Checks<T>, problems: OptionProblem[], group: string = ''): T {
  try {
    return copy(given, checks, problems, group, Object.create(null) as Picked)
  } catch (error) {
    if (error instanceof GeneverError) throw error
    problems.push({ name: group === '' ? whole : group, problem: 'cannot be read: reading them throws' })
    return bare() as T
  }
}

type Picked = Record<PropertyKey, unknown>

function copy<T>(given: unknown, checks: Checks<T>, problems: OptionProblem[], group: string, picked: Picked): T {
  if (given === undefined) return picked as T
  if (!isPlain(given)) {
    problems.push({
      name: group === '' ? whole : group,
      problem: `must be a plain object, not ${describeType(given)}`,
    })
    return picked as T
  }
  for (const key of Reflect.ownKeys(given)) {
    const check = Object.hasOwn(checks, key) ? checks[key as keyof Checks<T>] : undefined
    if (check === undefined) {
      problems.push(unknownOption(String(key), group, checks))
      continue
    }
    const value = given[key as string]
    if (value === undefined) continue
    if (typeof check === 'object' && 'read' in check) {
      picked[key] = check.read(value)
    } else if (typeof check === 'object') {
      if (check.or?.(value) === true) picked[key] = value
      else if (check.wanted === undefined || isPlain(value)) {
        const name = inGroup(String(key), group)
        picked[key] = copy(value, check.group, problems, name, Object.create(null) as Picked)
      } else
        problems.push({ name: inGroup(String(key), group), problem: `${check.wanted}; it is ${describeType(value)}` })
    } else {
      const problem = check(value)
      if (problem === undefined) picked[key] = value
      else problems.push({ name: inGroup(String(key), group), problem })
    }
  }
  return picked as T
}

const inGroup = (name: string, group: string): string => (group === '' ? name : `${group}.${name}`)

function unknownOption<T>(key: string, group: string, checks: Checks<T>): Unknown {
  const names = Object.keys(checks)
  // `pool.max` for `max`.
  const holder = names.find((name) => Object.hasOwn((checks[name as keyof T] as Partial<GroupCheck>).group ?? {}, key))
  const near = holder === undefined ? nearest(key, names) : `${holder}.${key}`
  return {
    name: inGroup(key, group),
    problem: `is not an option (there are ${names.join(', ')})`,
    near: near === undefined ? undefined : inGroup(near, group),
    known: names.map((name) => inGroup(name, group)),
  }
}

/** @throws {InvalidOptionError} naming every problem, if there is one. */
export function refuse(problems: readonly OptionProblem[], of: string): void {
  if (problems.length > 0)
    throw new InvalidOptionError(sentencesOf(problems, of), {
      options: problems.map(({ name, problem }) => ({ name, problem })),
    })
}

/** `Unknown option "isolationLevel" of transaction(). Did you mean "isolation"?` */
function sentencesOf(problems: readonly OptionProblem[], of: string): string {
  const unknown = problems.filter((each): each is Unknown => 'known' in each)
  const sentences = problems
    .filter((each) => !('known' in each))
    .map(({ name, problem }) => `The ${name === whole ? 'options' : `option ${quoted(name)}`} of ${of} ${problem}.`)
  if (unknown.length > 0) sentences.unshift(unknownSentence(unknown, of))
  return sentences.join(' ')
}

function unknownSentence(unknown: readonly Unknown[], of: string): string {
  const [first] = unknown
  const names = unknown.map(({ name }) => quoted(name)).join(', ')
  const meant = unknown.flatMap(({ name, near }) =>
    near === undefined ? [] : [unknown.length === 1 ? quoted(near) : `${quoted(near)} for ${quoted(name)}`],
  )
  const hint =
    meant.length > 0 ? `Did you mean ${meant.join(', ')}?` : `There ${isOne(first?.known)}: ${first?.known.join(', ')}.`
  return `Unknown option${unknown.length === 1 ? '' : 's'} ${names} of ${of}. ${hint}`
}

const isOne = (known: readonly string[] | undefined): string => (known?.length === 1 ? 'is' : 'are')

/** Shortened: a name may come from a request. */
const quoted = (name: string): string => JSON.stringify(name.slice(0, 60))

/** The known name that differs least, if that is little: in case, by a few letters, or by what follows. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.slice(0, 40).toLowerCase()
  let best: string | undefined
  let least = Infinity
  for (const candidate of known) {
    const text = candidate.toLowerCase()
    const begins = wanted.length >= 4 && text.length >= 4 && (text.startsWith(wanted) || wanted.startsWith(text))
    const distance = begins ? 1 : distanceOf(wanted, text)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return least <= (wanted.length < 4 ? 1 : Math.max(2, Math.floor(wanted.length / 3))) ? best : undefined
}

/** How many letters have to be changed, added or left out. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = one[i - 1] === other[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + change))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
