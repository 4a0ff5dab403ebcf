// Parameters to what Bind carries: text, bytes or NULL. Called by sessions before a byte of the statement is written, so a
// value that cannot be written fails its operation alone. Messages name the position of a parameter, never its value.
import { ParameterError } from '../../errors/index.ts'
import { textRefusal } from '../../sql/parameters.ts'
import { arrayText, timestampText } from './text-forms.ts'
import { elementOf, isJson, Oid } from './rows/type-table.ts'

/** A parameter as it travels: text format, binary format, NULL. */
export type Encoded = string | Uint8Array | null

/** The count in Bind has two bytes. */
export const mostParameters = 65_535

/** node-postgres reads the count in ParameterDescription as a signed number, and throws where nobody can catch it. */
export const mostDescribed = 32_767

/**
 * True when a parameter cannot be written before its type is known: an array is JSON for `json` and an array for all else,
 * and an object with a text form of its own (a date, a decimal) is JSON or that text.
 */
export function needsTypes(params: readonly unknown[]): boolean {
  for (const value of params) {
    if (typeof value !== 'object' || value === null) continue
    if (Array.isArray(value) || (hasOwnText(value) && !isBytes(value))) return true
  }
  return false
}

/** @throws {ParameterError} when one of them cannot be written */
export function encodeAll(params: readonly unknown[], types: readonly number[] | null): Encoded[] {
  if (params.length > mostParameters) {
    throw new ParameterError(`A statement takes at most ${mostParameters} parameters, not ${params.length}`)
  }
  const encoded: Encoded[] = []
  for (let i = 0; i < params.length; i++) {
    const value = params[i]
    if (typeof value === 'string') {
      encoded.push(checked(value, i))
    } else if (typeof value === 'number') encoded.push(String(value))
    else encoded.push(value === null ? null : encode(value, types?.[i] ?? 0, i))
  }
  return encoded
}

/** As far as it can be told without types. @throws {ParameterError} when one of them can be written in no way */
export function checkAll(params: readonly unknown[]): void {
  encodeAll(
    params.map((value) => (needsTypes([value]) ? null : value)),
    null,
  )
  params.forEach((value, i) => {
    if (!needsTypes([value])) return
    try {
      encode(value, 0, i)
    } catch {
      encode(value, Oid.json, i)
    }
  })
}

function encode(value: unknown, type: number, position: number): Encoded {
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'object' && value !== null) return encodeObject(value, type, position)
  return refuse(position, `a value of type ${typeof value}`)
}

function encodeObject(value: object, type: number, position: number): Encoded {
  if (isBytes(value)) return bytes(value)
  if (value instanceof Date) {
    const text = timestampText(value) ?? refuse(position, 'an invalid date')
    return isJson(type) ? JSON.stringify(value) : text
  }
  if (isJson(type)) return json(value, position)
  if (Array.isArray(value)) return guarded(position, () => arrayText(elementsOf(value, type), element(type, position)))
  if (hasOwnText(value)) {
    const own = guarded(position, () => value.toJSON())
    if (typeof own === 'string') return checked(own, position)
  }
  return json(value, position)
}

/** For `json[]` the inner arrays are JSON; for all else they are dimensions. */
function elementsOf(array: readonly unknown[], type: number): readonly unknown[] {
  return isJson(elementOf(type)) ? array.map((item) => (Array.isArray(item) ? new JsonArray(item) : item)) : array
}

class JsonArray {
  readonly items: readonly unknown[]

  constructor(items: readonly unknown[]) {
    this.items = items
  }
}

function element(type: number, position: number): (value: unknown) => string | null {
  const inner = elementOf(type)
  return (value) => {
    if (value === null || value === undefined) return null
    if (value instanceof JsonArray) return json(value.items, position)
    const text =
      typeof value === 'string' ? value : typeof value === 'number' ? String(value) : encode(value, inner, position)
    if (text instanceof Uint8Array)
      return `\\x${Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('hex')}`
    return text === null ? null : checked(text, position)
  }
}

function json(value: object, position: number): string {
  if (value instanceof Map || value instanceof Set) refuse(position, 'a Map or Set, which JSON would make empty')
  const text = guarded(position, () => JSON.stringify(value) as string | undefined)
  return text ?? refuse(position, 'an object that is nothing as JSON')
}

/** Runs code of the values themselves (`toJSON`, getters), which may throw or never end in a circle. */
function guarded<T>(position: number, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof ParameterError) throw error
    const circular = error instanceof TypeError || error instanceof RangeError
    return refuse(
      position,
      circular ? 'an object that JSON cannot hold: circular, or with a bigint' : 'an object that threw',
    )
  }
}

/** Text that arrives as it is: without NUL, which PostgreSQL cannot store, or half a character, which UTF-8 has no form for. */
function checked(text: string, position: number): string {
  const problem = textRefusal(text)
  return problem === undefined ? text : refuse(position, problem)
}

function hasOwnText(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function isBytes(value: object): value is ArrayBufferView | ArrayBuffer {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer
}

function bytes(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (value instanceof Uint8Array) return value
  return value instanceof ArrayBuffer
    ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

function refuse(position: number, what: string): never {
  throw new ParameterError(`Parameter $${position + 1} is ${what}`)
}
