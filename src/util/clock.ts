// Every timer and clock of the package. They are taken when this module loads, so tests that put fake timers in place of the
// real ones stop none of ours: a pool opens connections, waits and gives up in real time. No other module names the globals.
import { inRoot } from './context.ts'

const {
  setTimeout: laterOf,
  clearTimeout: dropLater,
  setInterval: everyOf,
  clearInterval: dropEvery,
  setImmediate: soonOf,
  queueMicrotask: nextOf,
  Date: Calendar,
} = globalThis
const tickOf = process.nextTick.bind(process)
// `performance` would be loaded by its first use, for half a millisecond.
const { hrtime } = process
const startMs = sinceMs(0) - process.uptime() * 1_000
const monotonic = (): number => sinceMs(startMs)

function sinceMs(startedMs: number): number {
  const time = hrtime()
  return time[0] * 1_000 + time[1] / 1e6 - startedMs
}

const calendar = Calendar.now.bind(Calendar)

/** Its own tests put something else in its members. */
export interface Clock {
  /** Monotonic milliseconds: those of `performance.now()`, to within one. */
  now: () => number
  /** Milliseconds since 1970. */
  date: () => number
  setTimeout<A extends unknown[]>(work: (...args: A) => void, delayMs: number, ...args: A): NodeJS.Timeout
  clearTimeout(timer: NodeJS.Timeout | undefined): void
  setInterval(work: () => void, pauseMs: number): NodeJS.Timeout
  clearInterval(timer: NodeJS.Timeout): void
  setImmediate<A extends unknown[]>(work: (...args: A) => void, ...args: A): void
  queueMicrotask(work: () => void): void
  /** After the code that runs now, before promises. */
  nextTick(work: () => void): void
}

export const clock: Clock = {
  now: monotonic,
  date: calendar,
  setTimeout: laterOf,
  clearTimeout: dropLater,
  setInterval: everyOf,
  clearInterval: dropEvery,
  setImmediate: soonOf,
  queueMicrotask: nextOf,
  nextTick: tickOf,
}

/** How far `performance.now()` is ahead of this clock, for subscribers that show its times beside others. */
export function aheadMs(): number {
  const { performance } = globalThis
  return performance.now() - clock.now()
}

/** The default of `closeTimeoutMs`. */
export const defaultCloseTimeoutMs = 10_000

/** The delay until a deadline in monotonic milliseconds, for a timer. */
export function msUntil(deadline: number): number {
  return Math.min(Math.max(0, deadline - clock.now()), longestTimerMs)
}

/** Waits; rejects with the reason of `signal` as soon as that aborts. */
export function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clock.clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = clock.setTimeout(
      () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      },
      Math.min(delayMs, longestTimerMs),
    )
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

/** The longest delay of a timer: Node.js keeps it in 31 bits, and a longer one would be over at once. */
export const longestTimerMs = 2_147_483_647

/** A timer this late means that the event loop stood still: answers that already arrived are read before anything expires. */
export const stallMs = 100

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let settle: Omit<Deferred<T>, 'promise'> | undefined
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }))
  return { promise, ...(settle as Omit<Deferred<T>, 'promise'>) }
}

const firstMs = 50
const mostMs = 5_000
/** While somebody waits: one small attempt this often is cheap, and who waits is served soon after the server is back. */
const mostWaitingMs = 75

/** The pause between attempts to reach something that cannot be reached. */
export class Backoff {
  #pauseMs = 0
  #until = 0

  /** What is left of the pause, in milliseconds. */
  get leftMs(): number {
    return Math.max(0, this.#until - clock.now())
  }

  succeeded(): void {
    this.#pauseMs = 0
    this.#until = 0
  }

  /** Doubles the pause with decorrelated jitter: the clients of one server must not come back together. */
  failed(waiting: boolean): void {
    const span = Math.max(firstMs, this.#pauseMs * 3)
    this.#pauseMs = Math.min(waiting ? mostWaitingMs : mostMs, firstMs + Math.random() * (span - firstMs))
    this.#until = clock.now() + this.#pauseMs
  }
}

/** The answer, or false when the deadline, in monotonic milliseconds, comes first. */
export function before(deadline: number, answer: Promise<boolean>): Promise<boolean>
/** What the work gives, or `late` when the deadline comes first. */
export function before<T, L>(deadline: number, work: Promise<T>, late: L): Promise<T | L>
export async function before(deadline: number, work: Promise<unknown>, late: unknown = false): Promise<unknown> {
  if (deadline === Infinity) return work
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<unknown>((resolve) => {
    const expire = (): void => {
      if (clock.now() - deadline > stallMs) clock.setImmediate(resolve, late)
      else resolve(late)
    }
    timer = inRoot(() => clock.setTimeout(expire, msUntil(deadline)))
  })
  try {
    return await Promise.race([work, over])
  } finally {
    clock.clearTimeout(timer)
  }
}
