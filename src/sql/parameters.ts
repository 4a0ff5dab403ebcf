// Values for placeholders: named ones are rewritten to positional ones once per text, positional ones are counted, and every value
// is checked to be data. Called by the statement cache and by fragments, for each execution. It converts nothing, and no
// message holds a value: positions, names and types only.
import { ParameterError } from '../errors/index.ts'
import type { Dialect, Placeholders } from './dialect.ts'
import { builderOf, hasMethod, missingImport, toStatement, isPlain } from './statement.ts'
import { describeType, isWellFormed } from '../util/options.ts'
import { isBoxedPrimitive, isMap, isNativeError, isSet } from 'node:util/types'

/**
 * A decimal number as text, which a driver sends as a number. MySQL compares text and decimals as doubles, so that neighbours of
 * more than 15 digits are equal. For every driver that does not know it, it is its text.
 */
export class DecimalParameter {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): string {
    return this.text
  }
}

export interface NamedText {
  /** With the placeholders of the dialect. */
  readonly text: string
  /** One for each value that is sent, in their order. */
  readonly names: readonly string[]
}

/** For messages: `$1 …`, or `?` where placeholders have no numbers. */
export function placeholderNames({ placeholder }: Dialect): string {
  return placeholder.numbered ? `${placeholder.text(0)} …` : placeholder.text(0)
}

/**
 * Rewrites `:name` to the placeholders of the dialect; `null` when the text has none.
 *
 * Names are ASCII letters, digits, `_` and anything beyond ASCII. A colon inside quotes, comments, dollar quotes, casts
 * (`::`) and directly inside a subscript (`a[1:n]`, `a[:n]`) is no parameter: there, write `a[(:n)]`.
 *
 * @throws {ParameterError} when the text mixes `:name` and positional placeholders.
 */
export function namedForm(dialect: Dialect, text: string): NamedText | null {
  const { texts, uses, names } = dialect.cut(text, 'named')
  if (names.length === 0) return null
  const { placeholder } = dialect
  if (dialect.cut(text, 'positional').uses.length > 0)
    throw failure(`The text mixes ${placeholder.text(0)} and :name: use one kind of placeholder.`, text)
  const sent = placeholder.numbered ? names : uses.map((use) => names[use] ?? '')
  return { text: assemble(placeholder, texts, uses), names: sent }
}

/**
 * Joins texts with a placeholder between each two, set off by a space where it would become part of a word or of another
 * placeholder. `offsets` receives where each placeholder went.
 */
export function assemble(
  placeholder: Placeholders,
  texts: readonly string[],
  uses: readonly number[],
  offsets?: number[],
): string {
  let piece = texts[0] ?? ''
  let out = piece
  for (let index = 0; index < uses.length; index++) {
    if (piece === '' ? index > 0 : isWordPart(piece.charCodeAt(piece.length - 1))) out += ' '
    offsets?.push(out.length)
    piece = texts[index + 1] ?? ''
    out += `${placeholder.text(uses[index] ?? 0)}${isWordPart(piece.charCodeAt(0)) ? ' ' : ''}${piece}`
  }
  return out
}

/** Letters, digits, `_`, `$` and all beyond ASCII. */
function isWordPart(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 36 ||
    code >= 128
  )
}

/**
 * Checks values against a text whose placeholders need `expected` of them.
 *
 * @throws {ParameterError} for another number of values, more than the server takes, or a value that is no data.
 */
export function checkPositional(dialect: Dialect, expected: number, params: readonly unknown[], sql: string): void {
  const { length } = params
  if (length !== expected) throw failure(miscounted(dialect, expected, length), sql)
  if (length > dialect.placeholder.most) throw failure(tooMany(dialect, length), sql)
  for (let index = 0; index < length; index++) {
    const reason = refusal(params[index])
    if (reason !== undefined) throw failure(`Parameter ${nth(dialect, index)} ${reason}.`, sql)
  }
}

/**
 * The values of named parameters in the order of their numbers. Only own properties count.
 *
 * @throws {ParameterError} for names without a value, values without a name, and values that are no data.
 */
export function bindNamed(
  dialect: Dialect,
  names: readonly string[],
  values: Readonly<Record<string, unknown>>,
  sql: string,
): unknown[] {
  const missing = names.filter((name) => !Object.hasOwn(values, name))
  if (missing.length > 0) throw failure(`There is no value for ${list(missing)}.`, sql)
  const keys = Object.keys(values)
  const known = dialect.placeholder.numbered && keys.length === names.length ? null : new Set(names)
  if (known !== null && keys.length !== known.size) {
    const extra = keys.filter((key) => !known.has(key))
    if (extra.length > 0) throw failure(unexpected(extra), sql)
  }
  if (names.length > dialect.placeholder.most) throw failure(tooMany(dialect, names.length), sql)
  return names.map((name) => {
    const value = values[name]
    const reason = refusal(value)
    if (reason !== undefined) throw failure(`Parameter :${name} ${reason}.`, sql)
    return value
  })
}

/** Why a value cannot be a parameter, as the rest of a sentence; `undefined` when it can. Cheap for plain data. */
export function refusal(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return undefined
    case 'object':
      return value === null ? undefined : objectRefusal(value, 0)
    case 'undefined':
      return 'is undefined: pass null for SQL NULL'
    case 'function':
    case 'symbol':
    default:
      return `is a ${typeof value}: only data can be sent`
  }
}

function objectRefusal(value: object, depth: number): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return arrayRefusal(value as readonly unknown[], depth)
  if (prototype === Date.prototype) return Number.isNaN((value as Date).getTime()) ? 'is an invalid Date' : undefined
  if (ArrayBuffer.isView(value)) return undefined
  if (hasMethod(value, toStatement)) return `is a query (${describeType(value)}): interpolate it in db.sql\`…\` instead`
  if (prototype === Object.prototype || prototype === null) return undefined
  const builder = builderOf(value)
  if (builder !== undefined)
    return `is ${describeType(value)}, a query builder's object and not data: ${missingImport(builder)}, and interpolate it in db.sql\`…\``
  if (hasMethod(value, 'then')) return `is ${describeType(value)}, a promise: await it first`
  return undefined
}

/** Elements are checked too, and arrays inside; objects inside are sent as they are. */
function arrayRefusal(values: readonly unknown[], depth: number): string | undefined {
  if (depth > 32) return 'is an array nested too deeply'
  for (let index = 0; index < values.length; index++) {
    const element = values[index]
    const reason =
      typeof element === 'object' && element !== null ? objectRefusal(element, depth + 1) : refusal(element)
    if (reason !== undefined) return `holds an element, [${index}], that ${reason}`
  }
  return undefined
}

const failure = (message: string, sql: string): ParameterError => new ParameterError(message, { statement: { sql } })

const values = (count: number): string => (count === 1 ? '1 value was' : `${count} values were`)

/** For messages: `$3`, or `number 3` where placeholders have no numbers. */
function nth({ placeholder }: Dialect, index: number): string {
  return placeholder.numbered ? placeholder.text(index) : `number ${index + 1}`
}

function miscounted(dialect: Dialect, expected: number, given: number): string {
  const { placeholder } = dialect
  const wanted =
    expected === 0
      ? 'no placeholder'
      : expected === 1
        ? `one placeholder, ${placeholder.text(0)}`
        : placeholder.numbered
          ? `placeholders up to ${placeholder.text(expected - 1)}`
          : `${expected} placeholders`
  const advice = expected === 0 ? ` A placeholder is ${placeholder.text(0)} or :name.` : ''
  return `The text has ${wanted}, but ${values(given)} given.${advice}`
}

const tooMany = ({ title, placeholder: { most, insteadOfMore } }: Dialect, count: number): string =>
  `${title} takes at most ${most} parameters, ${count} were given: send them in batches${insteadOfMore}.`

/** The options of statements and cursors. */
const options: ReadonlySet<string> = new Set('timeoutMs signal on from types into rows batchSize'.split(' '))

function unexpected(extra: readonly string[]): string {
  const advice = extra.some((name) => options.has(name)) ? ' Options come after the parameters, which may be [].' : ''
  return `The text has no placeholder for ${list(extra)}.${advice}`
}

/** A few names, shortened: they may come from a request. */
function list(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => (/^\w{1,40}$/.test(name) ? `:${name}` : JSON.stringify(name.slice(0, 40))))
  return shown.join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '')
}

/** Why no server can store a text, as the rest of a sentence; `undefined` when it can. */
export function textRefusal(text: string): string | undefined {
  if (text.includes('\0')) return 'text with a NUL character'
  if (!isWellFormed(text)) return 'text with half of a surrogate pair'
  return undefined
}

// JSON text of values that are sent: what `JSON.stringify` makes, less what it would change in silence. It leaves out, makes NULL
// or makes empty whatever JSON has no form for; here that is refused, at any depth, by the path to it. Used for parameters and
// for JSON columns of models. No message holds a value.

/** `what` goes on behind a subject: `is a Map, …` or `holds, at .items[2], a Map, …`. */
type Refuse = (what: string) => never

/**
 * The JSON text of a value. Instances of classes are written by their `toJSON`, else by their own enumerable members, as
 * `JSON.stringify` does; members that are undefined are left out. Calls `refuse` for what JSON cannot say.
 */
export function jsonText(value: unknown, refuse: Refuse): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return JSON.stringify(new Check(refuse).plain(value))
}

/** Deeper than this, a value is looked at for a circle. */
const suspicious = 64

/** PostgreSQL's own reader gives up at about as many. */
const deepest = 5000

class Check {
  readonly #refuse: Refuse
  readonly #path: (string | number)[] = []
  readonly #around = new Set<object>()

  constructor(refuse: Refuse) {
    this.#refuse = refuse
  }

  /** The value without what `JSON.stringify` would ask for its own form; itself where there is nothing of that. */
  plain(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) ? value : this.#stop(`the number ${value}, which JSON cannot hold`)
      case 'object':
        return value === null ? null : this.#object(value)
      case 'bigint': {
        // Some programs teach it to all of them.
        const own = (BigInt.prototype as { toJSON?: unknown }).toJSON
        if (typeof own === 'function') return this.plain(own.call(value))
        return this.#stop('a bigint, which JSON cannot hold: pass it as text or as a number')
      }
      case 'undefined':
        return this.#stop('undefined: pass null')
      case 'function':
      case 'symbol':
      default:
        return this.#stop(`a ${typeof value}: only data can be sent`)
    }
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return this.#inside(value, () => this.#items(value))
    if (value instanceof Date && value.toJSON === Date.prototype.toJSON)
      return Number.isNaN(value.getTime()) ? this.#stop('an invalid date') : value
    if (isPlain(value) && !hasMethod(value, 'toJSON')) return this.#inside(value, () => this.#members(value, value))
    return this.#instance(value)
  }

  #instance(value: object, asItIs = false): unknown {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
      return this.#stop('bytes, which JSON cannot hold: pass them as text')
    if (isBoxedPrimitive(value)) return this.plain(value.valueOf())
    if (hasMethod(value, toStatement) || builderOf(value) !== undefined)
      return this.#stop(`${describeType(value)}, which is SQL and not data`)
    if (!asItIs && hasMethod(value, 'toJSON')) {
      const key = this.#path.at(-1) ?? ''
      const own = (value as { toJSON(key: string): unknown }).toJSON(String(key))
      if (typeof own !== 'object' || own === null) return this.plain(own)
      // What it gives is taken as it is, whatever further form that has.
      return Array.isArray(own) ? this.#inside(own, () => [...this.#items(own)]) : this.#instance(own, true)
    }
    if (hasMethod(value, 'then')) return this.#stop(`${describeType(value)}, a promise: await it first`)
    if (isMap(value) || isSet(value) || isNativeError(value))
      return this.#stop(`${describeType(value)}, which JSON would make empty`)
    const members = this.#inside(value, () => this.#members(value, asItIs ? null : value))
    if (!isPlain(value) && Object.keys(value).length === 0)
      return this.#stop(`${describeType(value)}, which has no enumerable members that JSON could show`)
    return members
  }

  #items(items: readonly unknown[]): readonly unknown[] {
    let made: unknown[] | null = null
    for (let i = 0; i < items.length; i++) {
      this.#path.push(i)
      const item = this.plain(items[i])
      this.#path.pop()
      if (made !== null) made.push(item)
      else if (item !== items[i]) made = [...items.slice(0, i), item]
    }
    return made ?? items
  }

  /** `same` is given back when no member changed; null: a copy is needed. A method that makes its form is no member. */
  #members(value: object, same: object | null): object {
    let made: Record<string, unknown> | null = same === null ? {} : null
    const keys = Object.keys(value)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string
      const given = (value as Readonly<Record<string, unknown>>)[key]
      if (given === undefined || (key === 'toJSON' && typeof given === 'function')) continue
      this.#path.push(key)
      const member = this.plain(given)
      this.#path.pop()
      if (made === null && member !== given) {
        made = {}
        for (const before of keys.slice(0, i))
          setMember(made, before, (value as Readonly<Record<string, unknown>>)[before])
      }
      if (made !== null) setMember(made, key, member)
    }
    return made ?? (same as object)
  }

  #inside<T>(value: object, work: () => T): T {
    const depth = this.#path.length
    if (depth < suspicious) return work()
    if (this.#around.has(value)) return this.#stop('an object that holds itself, which JSON cannot hold')
    if (depth > deepest) return this.#stop(`more than ${deepest} levels`)
    this.#around.add(value)
    const done = work()
    this.#around.delete(value)
    return done
  }

  #stop(what: string): never {
    if (this.#path.length === 0) return this.#refuse(`is ${what}`)
    return this.#refuse(`holds, at ${pathText(this.#path)}, ${what}`)
  }
}

/** `__proto__` is a member like any other. */
function setMember(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  else target[key] = value
}

const shownAtMost = 8

/** `.items[2].name`. Long paths are shortened, and keys that may be data are not shown. */
function pathText(path: readonly (string | number)[]): string {
  const shown = path.slice(0, shownAtMost)
  const text = shown.map((key) =>
    typeof key === 'number' ? `[${key}]` : /^[\w$]{1,40}$/.test(key) ? `.${key}` : '[…]',
  )
  return text.join('') + (path.length > shownAtMost ? '…' : '')
}
