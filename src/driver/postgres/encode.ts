// Parameters to what Bind carries: text, bytes or NULL. Called by sessions before a byte of the statement is written, so a
// value that cannot be written fails its operation alone. Messages name the position of a parameter, never its value.
import { isBoxedPrimitive } from 'node:util/types'
import { GeneverError, ParameterError } from '../../errors/index.ts'
import { jsonText } from '../../sql/json.ts'
import { textRefusal } from '../../sql/parameters.ts'
import { arrayText, timestampText } from './text-forms.ts'
import { isJson, Oid } from './rows/type-table.ts'
import { firstOfUsers, TypeBook } from './type-book.ts'

/** A parameter as it travels: text format, binary format, NULL. */
export type Encoded = string | Uint8Array | null

/** The count in Bind has two bytes. */
export const mostParameters = 65_535

/** node-postgres reads the count in ParameterDescription as a signed number, and throws where nobody can catch it. */
export const mostDescribed = 32_767

/**
 * True when a parameter cannot be written before its type is known: an array is JSON for `json` and an array for all else, an
 * object with a text form of its own (a date, a decimal) is JSON or that text, and bytes are no number.
 */
export function needsTypes(params: readonly unknown[]): boolean {
  for (const value of params) if (typeof value === 'object' && value !== null && dependsOnType(value)) return true
  return false
}

/** @throws {ParameterError} when one of them cannot be written */
export function encodeAll(params: readonly unknown[], types: readonly number[] | null, book: TypeBook): Encoded[] {
  if (params.length > mostParameters) {
    throw new ParameterError(`A statement takes at most ${mostParameters} parameters, not ${params.length}`)
  }
  const encoded: Encoded[] = []
  for (let i = 0; i < params.length; i++) {
    const value = params[i]
    if (typeof value === 'string') {
      encoded.push(checked(value, i))
    } else if (typeof value === 'number') encoded.push(numberText(value))
    else encoded.push(value === null ? null : encode(value, types?.[i] ?? 0, i, book))
  }
  return encoded
}

/** As far as it can be told without types. @throws {ParameterError} when one of them can be written in no way */
export function checkAll(params: readonly unknown[]): void {
  encodeAll(
    params.map((value) => (needsTypes([value]) ? null : value)),
    null,
    typeless,
  )
  params.forEach((value, i) => {
    if (!needsTypes([value])) return
    try {
      encode(value, 0, i, typeless)
    } catch {
      encode(value, Oid.json, i, typeless)
    }
  })
}

/** Those of the parameters' types that have to be looked up before the parameters can be written. */
export function unknownTypes(params: readonly unknown[], types: readonly number[], book: TypeBook): number[] {
  const unknown = book.unknown(types)
  return unknown.length === 0 ? unknown : book.unknown(types.filter((_, i) => needsTypes([params[i]])))
}

const typeless = new TypeBook()

/** A number keeps the sign of its zero. */
function numberText(value: number): string {
  return value === 0 && Object.is(value, -0) ? '-0' : String(value)
}

function encode(value: unknown, given: number, position: number, book: TypeBook): Encoded {
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'object' && value !== null) return encodeObject(value, book.base(given), position, book)
  return refuse(position, `is a value of type ${typeof value}`)
}

function encodeObject(value: object, type: number, position: number, book: TypeBook): Encoded {
  if (isBytes(value)) return bytes(value, type, position)
  if (value instanceof Date) {
    const text = timestampText(value) ?? refuse(position, 'is an invalid date')
    return isJson(type) ? JSON.stringify(value) : text
  }
  if (isJson(type)) return json(value, position)
  if (Array.isArray(value)) return array(value, book.element(type), position, book)
  if (isBoxedPrimitive(value)) return own(value.valueOf(), position)
  if (hasOwnText(value)) {
    const text = guarded(position, () => value.toJSON())
    if (typeof text === 'string') return checked(text, position)
  }
  return json(value, position)
}

/** The value in an object of the language's own, such as `new Number(5)`. */
function own(value: unknown, position: number): string {
  return typeof value === 'number' ? numberText(value) : checked(String(value), position)
}

/** What is an element by itself although it is an array: JSON, or an array in a domain. All else are dimensions. */
function array(values: readonly unknown[], type: number, position: number, book: TypeBook): string {
  const base = book.base(type)
  const apart = isJson(base) || (base !== type && book.element(type) !== 0)
  const items = apart ? values.map((item) => (Array.isArray(item) ? new Whole(item) : item)) : values
  return guarded(position, () => arrayText(items, (item) => element(item, type, position, book)))
}

/** An array that is one element. */
class Whole {
  readonly items: readonly unknown[]

  constructor(items: readonly unknown[]) {
    this.items = items
  }
}

function element(value: unknown, type: number, position: number, book: TypeBook): string | null {
  if (typeof value === 'string') return checked(value, position)
  if (typeof value === 'number') return numberText(value)
  if (value === null) return null
  if (value === undefined) return refuse(position, 'holds an element that is undefined: pass null')
  const text = encode(value instanceof Whole ? value.items : value, type, position, book)
  if (!(text instanceof Uint8Array)) return text
  const base = book.base(type)
  if (base === 0 || base === Oid.bytea || base >= firstOfUsers)
    return `\\x${Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('hex')}`
  return refuse(position, 'holds bytes, for elements that are no bytea')
}

function json(value: object, position: number): string {
  return guarded(position, () => jsonText(value, (what) => refuse(position, what)))
}

/** Runs code of the values themselves (`toJSON`, getters), which may throw, or nest them too deeply. */
function guarded<T>(position: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof GeneverError) throw error
    return refuse(position, error instanceof RangeError ? 'is nested too deeply' : 'is an object that threw')
  }
}

/** Text that arrives as it is: without NUL, which PostgreSQL cannot store, or half a character, which UTF-8 has no form for. */
function checked(text: string, position: number): string {
  const problem = textRefusal(text)
  return problem === undefined ? text : refuse(position, `is ${problem}`, true)
}

function dependsOnType(value: object): boolean {
  return Array.isArray(value) || isBytes(value) || hasOwnText(value)
}

function hasOwnText(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function isBytes(value: object): value is ArrayBufferView | ArrayBuffer {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer
}

/** Of the types of the server, those whose binary form is bytes or text of the user's; a number would be made of any bytes. */
const takeBytes: ReadonlySet<number> = new Set([0, 17, 19, 25, 114, 142, 705, 1042, 1043, 2950, 3802])

function bytes(value: ArrayBufferView | ArrayBuffer, type: number, position: number): Uint8Array {
  if (type < firstOfUsers && !takeBytes.has(type)) refuse(position, 'is bytes, for a type that is not made of bytes')
  if (value instanceof Uint8Array) return value
  return value instanceof ArrayBuffer
    ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

/** `what` is the rest of a sentence. */
function refuse(position: number, what: string, clientError = false): never {
  throw new ParameterError(`Parameter $${position + 1} ${what}.`, { clientError })
}
