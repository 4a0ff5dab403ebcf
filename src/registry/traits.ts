// What a database is known by among the global ones, and where two calls differ. Everything is kept as digests: a source holds
// a password, and what is kept for the process can be looked at by anybody in it.
import { createHash } from 'node:crypto'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import { UsageError } from '../errors/index.ts'
import { resolveOptions } from '../options/options.ts'
import { parseUrl } from '../options/url.ts'
import { describeType, isPlain } from '../util/options.ts'

export type GlobalSource = string | URL | EngineOptions

export interface Traits {
  /** Equal for everything that leads to the same database in the same way. */
  readonly key: string
  /** For messages: without the password. */
  readonly target: string
  /** Every option that does not name the database, by its path (`pool.max`), as a digest. */
  readonly options: Readonly<Record<string, string>>
  /** The options that were asked for; the others have their defaults. */
  readonly asked: readonly string[]
}

/** Members of a resolved connection that do not say which database it is. */
const notOfPlace: readonly string[] = [
  'password',
  'ssl',
  'applicationName',
  'int8',
  'timestamp',
  'types',
  'statementCacheSize',
]
/** What is resolved into a form that cannot be compared; what was given is compared instead. */
const asGiven: readonly string[] = ['password', 'ssl']
const notCompared: readonly string[] = ['connection', 'driver', 'descriptor', 'dialect', 'describe']

/** @throws {InvalidUrlError}, {InvalidOptionError}, {UsageError} */
export function traitsOf(source: GlobalSource, options: EngineOptions | undefined): Traits {
  const given = source instanceof URL ? source.href : source
  if (typeof given !== 'string' && !isPlain(given))
    throw new UsageError(`globalDb() takes a URL or options of the database, not ${describeType(source)}.`)
  const resolved = resolveOptions(given, options)
  const said: EngineOptions = { ...(typeof given === 'string' ? {} : given), ...options }
  const url = typeof given === 'string' ? parseUrl(given) : undefined
  const { connection } = resolved
  const place = [
    Object.entries(connection).filter(([name]) => !notOfPlace.includes(name)),
    Object.entries(url ?? {}).filter(([name]) => /^(?:ssl|systemRoots)/.test(name)),
    said.ssl,
    resolved.driver,
  ]
  const compared = {
    ...Object.fromEntries(Object.entries(resolved).filter(([name]) => !notCompared.includes(name))),
    ...Object.fromEntries(notOfPlace.map((name) => [name, connection[name]])),
    password: url?.password?.() ?? said.password,
    ssl: undefined,
    replicas: said.replicas,
  }
  const flat = flatten(compared)
  // What a URL says behind its "?" was asked for as well.
  const plain = url === undefined ? undefined : flatten(defaultsBeside(given as string))
  const inUrl = Object.keys(flat).filter(
    (name) => plain !== undefined && !asGiven.includes(name) && name in plain && plain[name] !== flat[name],
  )
  const asked = Object.keys(flatten(said)).filter((name) => name in flat)
  if (compared.password !== undefined) asked.push('password')
  return {
    key: digest(textOf(place)),
    target: resolved.describe(),
    options: flat,
    asked: [...new Set([...asked, ...inUrl])],
  }
}

function defaultsBeside(url: string): object {
  const { name: _name, ...resolved } = resolveOptions(url.split('?')[0])
  return {
    ...Object.fromEntries(Object.entries(resolved).filter(([name]) => !notCompared.includes(name))),
    ...Object.fromEntries(notOfPlace.map((name) => [name, resolved.connection[name]])),
  }
}

/** The options of the second that are not as the first has them. */
export function differences(first: Traits, second: Traits): string[] {
  return second.asked.filter((name) => first.options[name] !== second.options[name]).toSorted()
}

/** A digest for everything that has a value, by its path. */
function flatten(value: object, path: string = ''): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [key, each] of Object.entries(value)) {
    const name = path === '' ? key : `${path}.${key}`
    if (each === undefined) flat[name] = ''
    else if (isPlain(each)) Object.assign(flat, flatten(each, name))
    else flat[name] = digest(textOf(each))
  }
  return flat
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

const objects = new WeakMap<object, number>()
let numbered = 0

/** The same text for the same thing, whatever the order of its members. Functions are known by their text, objects of a class by themselves. */
export function textOf(value: unknown): string {
  if (typeof value === 'function') return `function ${String(value)}`
  if (value instanceof URL) return JSON.stringify(value.href)
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`
  if (typeof value !== 'object' || value === null) return `${typeof value} ${String(value)}`
  if (ArrayBuffer.isView(value)) return `bytes ${digest(Buffer.from(value.buffer).toString('base64'))}`
  if (!isPlain(value)) {
    if (!objects.has(value)) objects.set(value, ++numbered)
    return `object ${objects.get(value)}`
  }
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${textOf(each)}`).join()}}`
}
