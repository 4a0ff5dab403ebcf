// What travels between the thread that waits and its worker, and errors on that way. Everything can be cloned.
import * as errors from '../errors/index.ts'

export type SyncMethod = 'all' | 'first' | 'one' | 'oneOrNone' | 'scalar' | 'status'

export type Work =
  | { readonly kind: 'query'; readonly method: SyncMethod; readonly text: string; readonly params: unknown }
  | { readonly kind: 'call'; readonly module: string; readonly name: string; readonly args: readonly unknown[] }
  | { readonly kind: 'close' }

export interface Request {
  readonly id: number
  readonly work: Work
  /** Settings of the scope around the call. */
  readonly settings: Readonly<Record<string, string>> | null
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: ErrorData
}

/** Cells of the memory that both threads see. */
export const Cell = {
  /** How many answers were posted: what the other thread sleeps on. */
  answers: 0,
  /** 1 when the worker has ended. */
  ended: 1,
} as const

/** How the worker is started. */
export interface WorkerStart {
  readonly memory: SharedArrayBuffer
  readonly source: unknown
  /** The address of a module that is loaded first; its export `options` completes the options. */
  readonly setup: string | null
}

export interface ErrorData {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly fields: Readonly<Record<string, unknown>>
  readonly cause?: ErrorData
}

const deepest = 5

/** An error as data: its class by name, and the fields that can be cloned. Anything else that was thrown is an error too. */
export function toData(thrown: unknown, depth: number = 0): ErrorData {
  if (!(thrown instanceof Error))
    return { name: 'Error', message: `The function threw ${describe(thrown)}, no error.`, stack: undefined, fields: {} }
  const fields: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(thrown)) if (key !== 'cause' && isPlainData(value)) fields[key] = value
  const data = { name: thrown.name, message: thrown.message, stack: thrown.stack, fields }
  return thrown.cause === undefined || depth === deepest ? data : { ...data, cause: toData(thrown.cause, depth + 1) }
}

/** The error again, of its own class if that is one of Genever's or of JavaScript's. */
export function fromData({ name, message, stack, fields, cause }: ErrorData): Error {
  const kind = kinds.get(name)
  const error = Object.create((kind ?? Error).prototype as object) as Error
  const own = { message, stack, ...fields, ...(cause === undefined ? {} : { cause: fromData(cause) }) }
  for (const [key, value] of Object.entries(own)) {
    const enumerable = Object.hasOwn(fields, key)
    Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true })
  }
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, writable: true, configurable: true })
  return error
}

const kinds: ReadonlyMap<string, { readonly prototype: unknown }> = new Map<string, { readonly prototype: unknown }>([
  ...[Error, TypeError, RangeError, SyntaxError, ReferenceError].map((kind) => [kind.name, kind] as const),
  ...Object.values(errors)
    .filter((each): each is typeof errors.GeneverError => typeof each === 'function' && 'code' in each)
    .map((kind) => [nameOf(kind), kind] as const),
])

/** Bundlers shorten the names of classes: a class of ours is known by its code. */
function nameOf({ code }: { readonly code: string }): string {
  const words = code
    .replace(/^GENEVER_/, '')
    .toLowerCase()
    .split('_')
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  return code === 'GENEVER_ERROR' ? 'GeneverError' : `${name}Error`
}

function isPlainData(value: unknown): boolean {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
}

function describe(thrown: unknown): string {
  return thrown === null ? 'null' : typeof thrown === 'object' ? 'an object' : `a ${typeof thrown}`
}
