// The flat names of GINO's web extensions, and what each stands for: one table. Called by options.ts. Nothing else in the
// package knows these names.
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { type OptionProblem } from '../errors/index.ts'
import type { PoolOptions } from '../options/options.ts'
import { bare } from '../util/options.ts'

/**
 * The configuration of GINO's extensions by its own names, in camel case. `driver`, `host`, `port`, `user`, `password`,
 * `database`, `echo` and `ssl` are called the same in both forms.
 */
export interface FlatOptions {
  /** A database URL. It replaces `driver`, `host`, `port`, `user`, `password` and `database`. Nested: `url`. */
  readonly dsn?: string | undefined
  /** Nested: `pool.min`. */
  readonly poolMinSize?: number | undefined
  /** Nested: `pool.max`. */
  readonly poolMaxSize?: number | undefined
  /** Further attempts to reach the database after the first. Default 1. Nested: `retry.limit`. */
  readonly retryLimit?: number | undefined
  /** The same as `retryLimit`. */
  readonly retryTimes?: number | undefined
  /** Seconds between two attempts. Default 1. Nested: `retry.intervalMs`. */
  readonly retryInterval?: number | undefined
  /** Nested: `connectionForRequest`. */
  readonly useConnectionForRequest?: boolean | undefined
  /** Any further options of the engine. Nested: those options themselves. */
  readonly kwargs?: EngineOptions | undefined
}

interface Heir {
  /** The nested option, with its group. */
  readonly to: string
  readonly from?: ((value: unknown) => unknown) | undefined
}

const heirs: Readonly<Record<Exclude<keyof FlatOptions, 'kwargs'>, Heir>> = {
  dsn: { to: 'url' },
  poolMinSize: { to: 'pool.min' },
  poolMaxSize: { to: 'pool.max' },
  retryLimit: { to: 'retry.limit' },
  retryTimes: { to: 'retry.limit' },
  // What is no number is left as it is, to be refused where options are checked.
  retryInterval: { to: 'retry.intervalMs', from: (value) => (typeof value === 'number' ? value * 1000 : value) },
  useConnectionForRequest: { to: 'connectionForRequest' },
}

/** What `dsn` replaces. */
const replaced = ['driver', 'host', 'port', 'user', 'password', 'database'] as const

export const flatNames: readonly string[] = [...Object.keys(heirs), 'kwargs']

export interface Nested {
  readonly options: Record<string, unknown>
  /** The name the user gave for a nested one, for messages. */
  readonly spelled: ReadonlyMap<string, string>
}

/** The same options by their nested names; what is given by both names is a problem. */
export function nest(given: Readonly<Record<string, unknown>>, problems: OptionProblem[]): Nested {
  const { kwargs, ...rest } = given
  const named = bare<Record<string, unknown>>(rest)
  const options = bare<Record<string, unknown>>()
  const spelled = new Map<string, string>()
  for (const [name, value] of Object.entries(named)) {
    if (value === undefined || Object.hasOwn(heirs, name)) continue
    options[name] = isGroup(name, value) ? { ...value } : value
  }
  for (const [name, heir] of Object.entries(heirs)) {
    const value = named[name]
    if (value === undefined) continue
    const twin = spelled.get(heir.to) ?? (has(options, heir.to) ? heir.to : undefined)
    if (twin === undefined) set(options, heir.to, heir.from === undefined ? value : heir.from(value))
    else problems.push({ name, problem: `is the same as ${twin}, which is given too` })
    spelled.set(heir.to, name)
  }
  if (named['dsn'] !== undefined) for (const name of replaced) delete options[name]
  addKwargs(options, kwargs, problems)
  return { options, spelled }
}

function addKwargs(options: Record<string, unknown>, kwargs: unknown, problems: OptionProblem[]): void {
  if (kwargs === undefined) return
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs)) {
    problems.push({ name: 'kwargs', problem: 'must be an object' })
    return
  }
  for (const [name, value] of Object.entries(kwargs)) {
    if (value === undefined) continue
    if (isGroup(name, value))
      for (const [key, each] of Object.entries(value)) add(options, `${name}.${key}`, each, problems)
    else add(options, name, value, problems)
  }
}

function add(options: Record<string, unknown>, path: string, value: unknown, problems: OptionProblem[]): void {
  if (has(options, path)) problems.push({ name: `kwargs.${path}`, problem: 'is given outside of kwargs too' })
  else set(options, path, value)
}

type Group = Record<string, unknown>

const groups: readonly string[] = ['pool', 'query', 'retry', 'leak'] satisfies (keyof EngineOptions)[]

function isGroup(name: string, value: unknown): value is Group {
  return groups.includes(name) && typeof value === 'object' && value !== null && !Array.isArray(value)
}

function has(options: Group, path: string): boolean {
  const [name = '', key] = path.split('.')
  const value = options[name]
  if (key === undefined || value === undefined) return value !== undefined
  return isGroup(name, value) ? value[key as keyof PoolOptions] !== undefined : true
}

function set(options: Group, path: string, value: unknown): void {
  const [name = '', key] = path.split('.')
  if (key === undefined) options[name] = value
  else options[name] = { ...(options[name] as Group | undefined), [key]: value }
}
