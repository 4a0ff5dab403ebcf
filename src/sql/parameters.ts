// Values for placeholders: named ones are rewritten to `$1 …` once per text, positional ones are counted, and every value
// is checked to be data. Called by the statement cache and by fragments, for each execution. It converts nothing, and no
// message holds a value: positions, names and types only.
import { ParameterError } from '../errors/index.ts'
import { builderOf, hasMethod } from './foreign.ts'
import { missingImport, toStatement } from './statement.ts'
import { assemble, Scanner, Token } from './text/scan.ts'
import { describeType } from '../util/checks.ts'

/** The protocol counts parameters in 16 bits. */
const mostParameters = 65_535

export interface NamedText {
  /** With `$1 …`, one number for each name. */
  readonly text: string
  /** In the order of their numbers. */
  readonly names: readonly string[]
}

/**
 * Rewrites `:name` to `$n`; `null` when the text has none.
 *
 * Names are ASCII letters, digits, `_` and anything beyond ASCII. A colon inside quotes, comments, dollar quotes, casts
 * (`::`) and directly inside a subscript (`a[1:n]`, `a[:n]`) is no parameter: there, write `a[(:n)]`.
 *
 * @throws {ParameterError} when the text mixes `$1` and `:name`.
 */
export function parseNamed(text: string): NamedText | null {
  const scanner = new Scanner(text)
  const known = new Map<string, number>()
  const texts: string[] = []
  const uses: number[] = []
  let from = 0
  let positional = false
  for (let kind = scanner.next(); kind !== Token.end; kind = scanner.next()) {
    if (kind === Token.parameter) positional = true
    if (kind !== Token.named) continue
    const name = text.slice(scanner.start + 1, scanner.end)
    const use = known.get(name) ?? known.size
    known.set(name, use)
    texts.push(text.slice(from, scanner.start))
    uses.push(use)
    from = scanner.end
  }
  if (known.size === 0) return null
  if (positional) throw failure('The text mixes $1 and :name: use one kind of placeholder.', text)
  texts.push(text.slice(from))
  return { text: assemble(texts, uses), names: [...known.keys()] }
}

/**
 * Checks values against a text whose highest placeholder is `$expected`.
 *
 * @throws {ParameterError} for another number of values, more than 65,535, or a value that is no data.
 */
export function checkPositional(expected: number, params: readonly unknown[], sql: string): void {
  const { length } = params
  if (length !== expected) throw failure(miscounted(expected, length), sql)
  if (length > mostParameters) throw failure(tooMany(length), sql)
  for (let index = 0; index < length; index++) {
    const reason = refusal(params[index])
    if (reason !== undefined) throw failure(`Parameter $${index + 1} ${reason}.`, sql)
  }
}

/**
 * The values of named parameters in the order of their numbers. Only own properties count.
 *
 * @throws {ParameterError} for names without a value, values without a name, and values that are no data.
 */
export function bindNamed(names: readonly string[], values: Readonly<Record<string, unknown>>, sql: string): unknown[] {
  const missing = names.filter((name) => !Object.hasOwn(values, name))
  if (missing.length > 0) throw failure(`No value was given for ${list(missing)}.`, sql)
  const keys = Object.keys(values)
  if (keys.length !== names.length) {
    const known = new Set(names)
    const extra = keys.filter((key) => !known.has(key))
    if (extra.length > 0) throw failure(unexpected(extra), sql)
  }
  if (names.length > mostParameters) throw failure(tooMany(names.length), sql)
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
    return `is ${describeType(value)}, a query builder's object and no data: ${missingImport(builder)}, and interpolate it in db.sql\`…\``
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

function miscounted(expected: number, given: number): string {
  const wanted =
    expected === 0 ? 'no placeholder' : expected === 1 ? 'one placeholder, $1' : `placeholders up to $${expected}`
  return `The text has ${wanted}, but ${values(given)} given.`
}

const tooMany = (count: number): string =>
  `PostgreSQL takes at most ${mostParameters} parameters, ${count} were given: send them in batches, or as arrays with unnest($1).`

function unexpected(extra: readonly string[]): string {
  const options = extra.some((name) => name === 'timeoutMs' || name === 'signal')
  return `The text has no placeholder for ${list(extra)}.${options ? ' Options come after the parameters.' : ''}`
}

/** A few names, shortened: they may come from a request. */
function list(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => (/^\w{1,40}$/.test(name) ? `:${name}` : JSON.stringify(name.slice(0, 40))))
  return shown.join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '')
}

/** Why PostgreSQL cannot store a text, as the rest of a sentence; `undefined` when it can. */
export function textRefusal(text: string): string | undefined {
  if (text.includes('\0')) return 'text with a NUL character'
  if (!(text as WellFormed).isWellFormed()) return 'text with half of a surrogate pair'
  return undefined
}

/** In every supported Node.js, not yet in the library of types. */
type WellFormed = string & { isWellFormed(): boolean }
