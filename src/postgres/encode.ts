// Parameters to what Bind carries: text, bytes or NULL. Called by sessions before a byte of the statement is written, so a
// value that cannot be written fails its operation alone. Messages name the position of a parameter, never its value.
import { isBoxedPrimitive } from 'node:util/types'
import { GeneverError, ParameterError } from '../errors/index.ts'
import { jsonText, textRefusal } from '../sql/parameters.ts'
import { arrayText, localText, numberText, timestampText } from './text-forms.ts'
import { binaryArray, binaryArrayOf } from './binary-array.ts'
import { mostParameters } from './dialect.ts'
import { isJson, Oid } from './type-table.ts'
import { TypeBook } from './types/book.ts'
import { elementOf, firstOfDatabase } from './types/built-in.ts'

/** What users have said of how values are written. */
export interface Writers {
  /** They have said it of some type. */
  readonly writes: boolean
  /** Null: nothing of this one. */
  writer(type: number): ((value: object) => string) | null
  /** What also writes it in binary, or the elements of an array type. Null: it is written as text. */
  binaryWriter(type: number): { readonly element: number; readonly write: (value: object) => Uint8Array | null } | null
  /** Whether an array among values of this type, of which users have said how they are written, is one of the values. */
  isValue(type: number, items: readonly unknown[]): boolean
}

/** How parameters are written: by what is known of types, and by what users have said of them. */
export interface Writing {
  readonly book: TypeBook
  readonly converter: Writers | null
}

/** A parameter as it travels: text format, which a positive number of 31 bits has by its digits; binary format; NULL. */
export type Encoded = string | number | Uint8Array | null

type Written = Exclude<Encoded, number>

/** node-postgres reads the count in ParameterDescription as a signed number, and throws where nobody can catch it. */
export const mostDescribed = 32_767

/**
 * True when a parameter cannot be written before its type is known: an array is JSON for `json` and an array for all else, an
 * object with a text form of its own (a date, a decimal) is JSON or that text, bytes are no number, an object is no array, and users say
 * how objects are written.
 */
export function needsTypes(params: readonly unknown[], converter: Writers | null): boolean {
  const all = converter?.writes === true
  for (let i = 0; i < params.length; i++) {
    const value = params[i]
    if (typeof value === 'object' && value !== null && (all || dependsOnType(value))) return true
  }
  return false
}

/** @throws {ParameterError} when one of them cannot be written */
export function encodeAll(params: readonly unknown[], types: readonly number[] | null, as: Writing): Encoded[] {
  if (params.length > mostParameters) {
    throw new ParameterError(`A statement takes at most ${mostParameters} parameters, not ${params.length}`)
  }
  // oxlint-disable-next-line unicorn/no-new-array -- a list that grows has room for seventeen at once
  const encoded = new Array<Encoded>(params.length)
  let long = false
  for (let i = 0; i < params.length; i++) {
    const value = params[i]
    let each = plainly(value, i)
    if (each === undefined) {
      const type = types?.[i] ?? 0
      each = (typeof value === 'object' ? inBinary(value as object, type, as) : null) ?? encode(value, type, i, as)
    }
    encoded[i] = each
    long ||= isLong(each)
  }
  return long ? small(encoded) : encoded
}

/** What a message of the protocol may have, beside some bytes for names and formats. */
const mostBytes = 0x3fff_fffe - 1_000_000
/** As many shorter ones as a statement may have are less than that. */
const longLength = 5_000

function isLong(value: Encoded): boolean {
  return typeof value === 'object'
    ? value !== null && value.length > longLength
    : typeof value === 'string' && value.length > longLength
}

/** @throws {ParameterError} where the server would end the session, for more than it takes in one message */
function small(encoded: Encoded[]): Encoded[] {
  let size = 0
  for (const each of encoded)
    if (each !== null && typeof each !== 'number')
      size += typeof each === 'string' ? Buffer.byteLength(each) : each.length
  if (size <= mostBytes) return encoded
  throw new ParameterError(
    `The parameters have ${size} bytes together, and PostgreSQL takes 1 GB in one statement. Nothing was sent: send less at once.`,
  )
}

/**
 * As `encodeAll`, of values that are written alike whatever their types. Null: one of them is not, or there are too many.
 * @throws {ParameterError} when one of them cannot be written
 */
export function encodePlain(params: readonly unknown[]): Encoded[] | null {
  if (params.length > mostParameters) return null
  // oxlint-disable-next-line unicorn/no-new-array -- as above
  const encoded = new Array<Encoded>(params.length)
  let long = false
  for (let i = 0; i < params.length; i++) {
    const plain = plainly(params[i], i)
    if (plain === undefined) return null
    encoded[i] = plain
    long ||= isLong(plain)
  }
  return long ? small(encoded) : encoded
}

/** Undefined: how it is written depends on its type. */
function plainly(value: unknown, position: number): Encoded | undefined {
  if (typeof value === 'string') return checked(value, position)
  if (typeof value === 'number') return isDigits(value) ? value : numberText(value)
  if (value === null) return null
  return typeof value === 'boolean' ? String(value) : undefined
}

/** Null: it is written as text, where it is said what is wrong with it. */
function inBinary(value: object, type: number, as: Writing): Uint8Array | null {
  try {
    const said = as.converter?.binaryWriter(type) ?? null
    if (said !== null && said.element === 0) return said.write(value)
    if (!Array.isArray(value)) return null
    return said === null ? longArray(value, type, as) : binaryArrayOf(value, said.element, said.write)
  } catch {
    return null
  }
}

function longArray(values: readonly unknown[], type: number, { book, converter }: Writing): Uint8Array | null {
  const of = elementOf(book.base(type))
  if ((of === Oid.timestamp || of === Oid.date) && book.local) return null
  if (converter !== null && (converter.writer(type) ?? converter.writer(of)) !== null) return null
  return binaryArray(values, of)
}

/** As far as it can be told without types. @throws {ParameterError} when one of them can be written in no way */
export function checkAll(params: readonly unknown[], converter: Writers | null): void {
  encodeAll(
    params.map((value) => (needsTypes([value], converter) ? null : value)),
    null,
    typeless,
  )
  // What users write themselves may be anything.
  if (converter?.writes === true) return
  params.forEach((value, i) => {
    if (!needsTypes([value], null)) return
    try {
      encode(value, 0, i, typeless)
    } catch {
      encode(value, Oid.json, i, typeless)
    }
  })
}

/** Those of the parameters' types that have to be looked up before the parameters can be written. */
export function unknownTypes(
  params: readonly unknown[],
  types: readonly number[],
  { book, converter }: Writing,
): number[] {
  const unknown = book.unknown(types)
  return unknown.length === 0 ? unknown : book.unknown(types.filter((_, i) => needsTypes([params[i]], converter)))
}

/**
 * What a statement is parsed for: the types by which its parameters are written, 0 for all others. Null: none. A column may have another
 * type by now, and a value of the one before would be converted to it, between `timestamp` and `timestamptz` by the zone of the session. What
 * is written alike for both is left to the server.
 */
export function declaredTypes(
  params: readonly unknown[],
  types: readonly number[],
  { book, converter }: Writing,
): readonly number[] | null {
  let declared: number[] | null = null
  for (let i = 0; i < types.length; i++) {
    const [value, type = 0] = [params[i], types[i]]
    const open = typeof value === 'object' && value !== null && (converter?.writes === true || dependsOnType(value))
    const alike = converter?.writes !== true && !book.local && isOfTime(value, type, book)
    if (open && !alike) (declared ??= types.map(() => 0))[i] = type
  }
  return declared
}

const ofTime: ReadonlySet<number> = new Set([Oid.date, Oid.timestamp, Oid.timestamptz])

/** A date, or dates in an array, for a type of dates. */
function isOfTime(value: unknown, type: number, book: TypeBook): boolean {
  if (value instanceof Date) return ofTime.has(book.base(type))
  return (
    Array.isArray(value) &&
    value.some(isDate) &&
    value.every((each) => each === null || isDate(each)) &&
    ofTime.has(book.base(book.element(type)))
  )
}

const isDate = (value: unknown): boolean => value instanceof Date

const typeless: Writing = new TypeBook().writing

/** Whether its text is made of digits alone, which can be written without a text. */
function isDigits(value: number): boolean {
  return value > 0 && value === (value & 0x7f_ff_ff_ff)
}

/** The parameter that a conversion of the users' own is writing: what it asks to be written is a part of that. */
let ofParameter = 0

/**
 * The text of a part of a value that users have a conversion for: a member of a composite type, an end of a range. As a parameter of that
 * type would be written. What is missing is NULL.
 *
 * @throws {ParameterError}
 */
export function partText(value: unknown, type: number, as: Writing): string | null {
  return value === undefined ? null : element(value, type, ofParameter, as)
}

function encode(value: unknown, given: number, position: number, as: Writing): Written {
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'object' && value !== null) {
    const write = as.converter?.writer(given) ?? null
    if (write !== null) {
      ofParameter = position
      return checked(
        textOf(
          guarded(position, () => write(value)),
          position,
        ),
        position,
      )
    }
    return encodeObject(value, as.book.base(given), position, as)
  }
  return refuse(position, `is a value of type ${typeof value}`)
}

/** What a conversion of the users' own has made. */
function textOf(written: unknown, position: number): string {
  return typeof written === 'string' ? written : refuse(position, 'was not made a text by the conversion of its type')
}

function encodeObject(value: object, type: number, position: number, as: Writing): Written {
  if (isBytes(value)) return bytes(value, type, position)
  if (type === Oid.bytea && dependsOnType(value)) refuse(position, 'is no bytes, for a type that is made of them')
  if (value instanceof Date) {
    const local = as.book.local && (type === Oid.timestamp || type === Oid.date)
    const text = (local ? localText(value) : timestampText(value)) ?? refuse(position, 'is an invalid date')
    return isJson(type) ? JSON.stringify(value) : text
  }
  if (isJson(type)) return json(value, position)
  if (Array.isArray(value)) {
    // The server would take some of them for a date: `{{1},{2,3}}` is the second of January.
    if (single.has(type))
      refuse(
        position,
        `is an array, for a type that is no array: a list of values is compared by = any($${position + 1})`,
      )
    return array(value, as.book.element(type), position, as)
  }
  if (isBoxedPrimitive(value)) return own(value.valueOf(), position)
  if (hasOwnText(value)) {
    const text = guarded(position, () => value.toJSON())
    if (typeof text === 'string') return checked(text, position)
  }
  // `{}` would be an empty array, and what JSON has made of a Buffer would be bytes.
  if (single.has(type) || as.book.element(type) !== 0)
    refuse(position, `is an object, for a type that is ${single.has(type) ? 'no object' : 'an array'}`)
  return json(value, position)
}

/** The value in an object of the language's own, such as `new Number(5)`. */
function own(value: unknown, position: number): string {
  return typeof value === 'number' ? numberText(value) : checked(String(value), position)
}

/** What is an element by itself although it is an array: JSON, an array in a domain, and what users write. All else are dimensions. */
function array(values: readonly unknown[], type: number, position: number, as: Writing): string {
  const { book, converter } = as
  const base = book.base(type)
  const always = isJson(base) || (base !== type && book.element(type) !== 0)
  const written = converter !== null && converter.writer(type) !== null ? converter : null
  const marked = (items: readonly unknown[]): unknown[] =>
    items.map((item) => {
      if (!Array.isArray(item)) return item
      return (written === null ? always : written.isValue(type, item)) ? new Whole(item) : marked(item)
    })
  const items = always || written !== null ? guarded(position, () => marked(values)) : values
  return guarded(position, () =>
    arrayText(items, (item) => element(item, type, position, as), book.known.delimiter(base)),
  )
}

/** An array that is one element. */
class Whole {
  readonly items: readonly unknown[]

  constructor(items: readonly unknown[]) {
    this.items = items
  }
}

function element(value: unknown, type: number, position: number, as: Writing): string | null {
  if (typeof value === 'string') return checked(value, position)
  if (value !== null && value !== undefined && typeof value !== 'object' && as.book.base(type) === Oid.bytea)
    return refuse(position, `holds a ${typeof value}, for elements that are bytes`)
  if (typeof value === 'number') return numberText(value)
  if (value === null) return null
  if (value === undefined) return refuse(position, 'holds an element that is undefined: pass null')
  const text = encode(value instanceof Whole ? value.items : value, type, position, as)
  if (!(text instanceof Uint8Array)) return text
  const base = as.book.base(type)
  if (base === 0 || base === Oid.bytea || base >= firstOfDatabase)
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
  return !isBoxedPrimitive(value)
}

function hasOwnText(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function isBytes(value: object): value is ArrayBufferView | ArrayBuffer {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer
}

/** Of the types of the server, those whose binary form is bytes or text of the user's; a number would be made of any bytes. */
const takeBytes: ReadonlySet<number> = new Set([0, 17, 19, 25, 114, 142, 705, 1042, 1043, 2950, 3802])

/** Those of the server of which no value is a list, nor looks like one as text. */
const single: ReadonlySet<number> = new Set([
  ...[16, 17, 20, 21, 23, 26, 28, 650, 700, 701, 774, 790, 829, 869, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562],
  ...[1700, 2950, 3220, 5069],
])

function bytes(value: ArrayBufferView | ArrayBuffer, type: number, position: number): Uint8Array {
  if (type < firstOfDatabase && !takeBytes.has(type)) refuse(position, 'is bytes, for a type that is not made of bytes')
  if (value instanceof Uint8Array) return value
  return value instanceof ArrayBuffer
    ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

/** `what` is the rest of a sentence. */
function refuse(position: number, what: string, clientError = false): never {
  throw new ParameterError(`Parameter $${position + 1} ${what}.`, { clientError })
}
