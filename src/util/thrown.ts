// Values that were thrown. `contain` calls code of the user where no code of the user could catch, and passes on what it throws. The other
// functions make text of a thrown value for messages; such a value can be anything, also an object that throws when it is read.
import type { inspect } from 'node:util'
import { captureStack, GeneverError, type TlsTrouble } from '../errors/index.ts'

const longestText = 200

/**
 * Calls `work`; what it throws goes to `failed`, and so does what a promise it gives rejects with. Never throws, unless
 * `failed` does.
 */
export function contain(work: () => unknown, failed: (thrown: unknown) => void): void {
  try {
    const result = work()
    if (isThenable(result)) result.then(undefined, failed)
  } catch (thrown) {
    failed(thrown)
  }
}

/** Throws only what the value's own `then` throws when it is read. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

/** For messages: on one line, because a text must not move the cursor of a terminal either. */
export function inOneLine(text: string): string {
  return text.replaceAll(/(?:\s|[^\x20-\x7e\xa0-\u{10ffff}])+/gu, ' ').trim()
}

/** `TypeError: it is not a function`; never throws. */
export function thrownText(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)
    return text.length > longestText ? `${text.slice(0, longestText)}…` : text
  } catch {
    return 'something that cannot be read'
  }
}

/** The text in a property of what was thrown, undefined if there is none; never throws. */
export function textIn(thrown: unknown, property: 'code' | 'message'): string | undefined {
  try {
    const value: unknown = (thrown as Readonly<Record<string, unknown>> | null | undefined)?.[property]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** Why TLS could not be had, by the codes and words of Node.js, node-postgres, mysql2 and the drivers; null: it is not that. */
export function tlsTrouble(cause: unknown): TlsTrouble | null {
  const [code = '', message = ''] = [textIn(cause, 'code'), textIn(cause, 'message')]
  if (/does not support (?:SSL|secure) connection/i.test(message)) return 'missing'
  if (/^(?:ERR_TLS_CERT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code)) return 'certificate'
  // mysql2 has one code for all that can be wrong, and some runtimes have none.
  if (/^(?:HANDSHAKE_.*)?$/.test(code) && message.includes('certificate')) return 'certificate'
  return /^(?:ERR_TLS|ERR_SSL|HANDSHAKE_)/.test(code) ? 'other' : null
}

/** Whether a call has failed before it returned its promise, since somebody asked. */
let failedAtOnce = false

/** For what rejects a promise that its caller does not have yet. */
export function noteFailure(): void {
  failedAtOnce = true
}

/** For a method that is not async and rejects all the same. */
export function rejected(error: unknown): Promise<never> {
  noteFailure()
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what was thrown goes on
  return Promise.reject(error)
}

/** As `work`. Mistakes reject, like everything else that can go wrong with a call. */
export function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return rejected(error)
  }
}

/**
 * For `then()` of an object that runs when it is awaited. The engine of JavaScript calls that, and not the code that awaits it, so the
 * stack of an error that is thrown at once has no line of the caller. It gets the stack of the `await`.
 */
export function whenAwaited<T>(run: Promise<T>): Promise<T> {
  if (!failedAtOnce) return run
  failedAtOnce = false
  return withStackOfAwait(run)
}

async function withStackOfAwait<T>(run: Promise<T>): Promise<T> {
  try {
    return await run
  } catch (error) {
    if (error instanceof GeneverError) captureStack(error, withStackOfAwait)
    throw error
  }
}

/** `inspect.custom`, as the manual of Node writes it: an import of `node:util` takes a millisecond. */
export const inspected: typeof inspect.custom = Symbol.for('nodejs.util.inspect.custom') as typeof inspect.custom

// What `console.log` and `util.inspect` show of our objects is what their `toString()` says: what they are doing now,
// never a password or a parameter value.
const PrintedByToString = class {
  [inspected](): string {
    return (this as { toString(): string }).toString()
  }
}

/** The base of every object users hold: inspected, it prints `toString()`. */
export const Printable: new () => object = PrintedByToString
