// The root of every error this package throws, and the test that works across two copies of it. Imported by the other
// files of this folder only; everybody else imports index.ts. Holds no text: who throws an error composes its message.

/**
 * What became of the work of the statement or transaction that failed.
 *
 * - `not_started`: the server never got it, so it can be done again.
 * - `rolled_back`: it was undone, so it can be done again.
 * - `committed`: it took effect, although an error is thrown.
 * - `unknown`: it may or may not have taken effect.
 */
export type Outcome = 'not_started' | 'rolled_back' | 'committed' | 'unknown'

/** What the constructor of every error takes beside its message. */
export interface ErrorDetails {
  /** What led to this error. */
  readonly cause?: unknown
  /** Default: what the documentation of the class says. */
  readonly outcome?: Outcome | undefined
  /** The statement that failed, without its parameters. */
  readonly statement?: { readonly sql: string } | undefined
  /** Default: what the documentation of the class says. */
  readonly retryable?: boolean | undefined
  /** What a client sent is wrong. Default: what the documentation of the class says. */
  readonly clientError?: boolean | undefined
  /** Default: 400 for an error of a client, else what the documentation of the class says. */
  readonly suggestedStatus?: number | undefined
}

/** The same in every copy of the package that is loaded. */
const brand: symbol = Symbol.for('genever.error')

/**
 * The root of every error this package throws.
 *
 * Neither the message nor what `util.inspect` prints holds a password or the value of a parameter; SQL text does appear,
 * as it was given. `docs/errors.md` has a heading for every `code`.
 */
export class GeneverError extends Error {
  /** The code of the errors of this class; it never changes. */
  static readonly code: string = 'GENEVER_ERROR'
  /** Default of `retryable`. */
  static readonly retryable: boolean = false
  /** Default of `outcome`. */
  static readonly outcome: Outcome = 'unknown'
  /** Default of `clientError`. */
  static readonly clientError: boolean = false
  /** Default of `suggestedStatus`. */
  static readonly suggestedStatus: number | undefined = undefined

  /** Stable, upper case, starts with `GENEVER_`. */
  readonly code: string
  /** Whether doing the same again may succeed, and cannot do anything twice. */
  readonly retryable: boolean
  readonly outcome: Outcome
  /** True where the cause is what a client sent: a cursor, a key, a name of a column. Absent otherwise. */
  declare readonly clientError?: true
  /**
   * The status of a web answer that fits. No framework acts on it by itself: the `errorHandler()` of a plug-in does. Absent
   * where the fault is nobody's but the server's.
   */
  declare readonly suggestedStatus?: number
  /** The statement that failed, never its parameters; absent where there was none. */
  declare readonly statement?: { readonly sql: string }

  constructor(message: string, details: ErrorDetails = {}) {
    nameErrors(new.target)
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = new.target.code
    this.retryable = details.retryable ?? new.target.retryable
    this.outcome = details.outcome ?? new.target.outcome
    const ofClient = details.clientError ?? new.target.clientError
    if (ofClient) this.clientError = true
    const status = details.suggestedStatus ?? new.target.suggestedStatus ?? (ofClient ? 400 : undefined)
    if (status !== undefined) this.suggestedStatus = status
    if (details.statement !== undefined) this.statement = { sql: details.statement.sql }
  }

  static {
    Object.defineProperty(this.prototype, brand, { value: true })
  }
}

/** A class of errors, from whichever copy of the package. */
export interface ErrorKind<E extends GeneverError> {
  readonly code: string
  readonly prototype: E
}

/**
 * Whether something thrown is an error of this package; with a code or class, one of that kind or of a kind below it.
 *
 * Unlike `instanceof` it also recognises errors of another copy of the package (two versions in one dependency tree, or
 * one bundled). The code may be given without `GENEVER_`.
 *
 * @example
 * if (isGeneverError(error, UniqueViolationError)) return `${error.constraint} is taken`
 * if (isGeneverError(error, 'CONSTRAINT_VIOLATION')) return 'refused by a constraint'
 */
export function isGeneverError<E extends GeneverError>(error: unknown, kind: ErrorKind<E>): error is E
export function isGeneverError(error: unknown, code?: string): error is GeneverError
export function isGeneverError(error: unknown, kind?: string | ErrorKind<GeneverError>): boolean {
  if (typeof error !== 'object' || error === null || !(brand in error)) return false
  if (kind === undefined) return true
  const code = typeof kind === 'string' ? kind : kind.code
  return codesOf(error).includes(code.startsWith('GENEVER_') ? code : `GENEVER_${code}`)
}

/** The codes of its class and the classes above. */
function codesOf(error: object): unknown[] {
  const codes: unknown[] = [(error as { code?: unknown }).code]
  for (let kind: unknown = error.constructor; typeof kind === 'function'; kind = Object.getPrototypeOf(kind))
    codes.push((kind as { code?: unknown }).code)
  return codes
}

/**
 * Gives the errors of a class its name, on the prototype so that the first line of the stack has it too. Names of ours
 * come from the code (`GENEVER_NOT_BOUND`: `NotBoundError`), because bundlers shorten the names of classes.
 */
function nameErrors(kind: typeof GeneverError): void {
  if (Object.hasOwn(kind.prototype, 'name') || !Object.isExtensible(kind.prototype)) return
  const named = kind !== GeneverError && Object.hasOwn(kind, 'code') && kind.code.startsWith('GENEVER_')
  const value = kind === GeneverError ? 'GeneverError' : named ? nameFromCode(kind.code) : kind.name
  Object.defineProperty(kind.prototype, 'name', { value, writable: true, configurable: true })
}

function nameFromCode(code: string): string {
  const words = code.slice('GENEVER_'.length).toLowerCase().split('_')
  return `${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')}Error`
}
