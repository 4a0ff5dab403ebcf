// One pool for a database and process, behind all that ask for it: opened by the first use, closed by whoever asks for it or
// by the last `run()`, and opened again by the next use. Also what it is known by among the others, and where two calls differ:
// as digests, since a source holds a password, and what is kept for the process can be looked at by anybody in it.
import { Db } from '../db/db.ts'
import { currentChain } from '../engine/context/chain.ts'
import type { CloseOptions, Engine } from '../engine/engine.ts'
import { dialectOf, type EngineOptions } from '../engine/open/create-engine.ts'
import { nothingClosed } from '../engine/open/opening.ts'
import { UsageError } from '../errors/index.ts'
import { resolveOptions } from '../options/options.ts'
import { parseUrl } from '../options/url.ts'
import type { CloseReport } from '../pool/contract.ts'
import type { Bakery } from '../sql/baked.ts'
import type { Dialect } from '../sql/dialect.ts'
import { inRoot } from '../util/context.ts'
import { describeType, isPlain } from '../util/options.ts'

/** The database of `globalDb()`, by its URL or its options. */
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

/** The pool, as a handle on it knows it. */
export interface Home {
  readonly target: string
  /** Of the database that it would open, where that is known. */
  readonly dialect: Dialect | undefined
  /** It was closed, and nobody has used it since: others may say how it is opened. */
  readonly forgotten: boolean
  engineHere(bakery: Bakery): Engine | Promise<Engine>
  engineQuietly(): Engine | null
  /** Opens it for somebody who says when they are done. */
  enter(bakery: Bakery): Promise<Visit>
  close(options?: CloseOptions): Promise<CloseReport>
}

export interface Visit {
  readonly engine: Engine
  /** Closes what was opened for visitors alone when the last of them leaves. */
  leave(): Promise<void>
}

export class SharedPool implements Home {
  traits: Traits
  /** Where it was asked for first. */
  place: string
  #source: GlobalSource
  #options: EngineOptions | undefined
  /** Opens and closes; null while nobody has used it. */
  #opener: Db | null = null
  #closing: Promise<CloseReport> | null = null
  /** Somebody else than visitors uses it. */
  #claimed = false
  #visitors = 0
  #forgotten = false

  constructor(traits: Traits, place: string, source: GlobalSource, options: EngineOptions | undefined) {
    this.traits = traits
    this.place = place
    this.#source = source
    this.#options = options
  }

  get target(): string {
    return this.traits.target
  }

  get dialect(): Dialect | undefined {
    return dialectOf(this.#source, this.#options)
  }

  /** Nothing is open or being opened. */
  get atRest(): boolean {
    return this.#opener === null
  }

  get forgotten(): boolean {
    return this.#forgotten && this.#opener === null
  }

  engineHere(bakery: Bakery): Engine | Promise<Engine> {
    if (this.#closing !== null) return this.#after(this.#closing, bakery)
    if (!this.#claimed && !this.#isVisitor()) this.#claimed = true
    return this.#open(bakery).engineHere()
  }

  engineQuietly(): Engine | null {
    return this.#closing === null ? (this.#opener?.engineQuietly() ?? null) : null
  }

  async enter(bakery: Bakery): Promise<Visit> {
    while (this.#closing !== null) await this.#closing.catch(() => {})
    this.#visitors++
    let opener: Db | null = null
    const leave = async (): Promise<void> => {
      this.#visitors--
      // Visitors of what was closed meanwhile have nothing to close.
      if (this.#visitors === 0 && !this.#claimed && opener !== null && opener === this.#opener) await this.close()
    }
    try {
      opener = this.#open(bakery)
      return { engine: await opener.engineHere(), leave }
    } catch (error) {
      await leave()
      throw error
    }
  }

  close(options?: CloseOptions): Promise<CloseReport> {
    const opener = this.#opener
    if (this.#closing !== null) {
      // Who comes later may have less patience.
      void opener?.close(options).catch(() => {})
      return this.#closing
    }
    if (opener === null) {
      this.#forgotten = true
      return Promise.resolve(nothingClosed)
    }
    const closing = this.#close(opener, options).finally(() => (this.#closing = null))
    this.#closing = closing
    return closing
  }

  /** From now on it is opened with these. What is open is closed, in the background. */
  replace(traits: Traits, place: string, source: GlobalSource, options: EngineOptions | undefined): void {
    this.traits = traits
    this.place = place
    this.#source = source
    this.#options = options
    void inRoot(() => this.close()).catch(() => {})
  }

  async #close(opener: Db, options: CloseOptions | undefined): Promise<CloseReport> {
    // It throws where it would wait for its own caller; then it stays open.
    const report = await opener.close(options)
    this.#opener = null
    this.#claimed = false
    this.#forgotten = true
    return report
  }

  async #after(closing: Promise<unknown>, bakery: Bakery): Promise<Engine> {
    await closing.catch(() => {})
    return this.engineHere(bakery)
  }

  #open(bakery: Bakery): Db {
    if (this.#opener === null) {
      this.#opener = this.#options === undefined ? new Db(this.#source) : new Db(this.#source, this.#options)
      this.#opener.bakery = bakery
      this.#forgotten = false
    }
    return this.#opener
  }

  /** Whether this code runs inside of a `run()` on this pool. */
  #isVisitor(): boolean {
    const engine = this.#opener?.engineQuietly()
    if (engine === undefined || engine === null) return false
    for (let link = currentChain(); link !== undefined; link = link.next)
      if (link.frame.kind === 'bind' && link.frame.engine === engine && link.frame.live) return true
    return false
  }
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
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(text).digest('base64')
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
