// Every timer and clock of the package. They are taken when this module loads, so tests that put fake timers in place of the
// real ones stop none of ours: a pool opens connections, waits and gives up in real time. No other module names the globals.
import { longestTimerMs } from './timers.ts'

const {
  setTimeout: laterOf,
  clearTimeout: dropLater,
  setInterval: everyOf,
  clearInterval: dropEvery,
  setImmediate: soonOf,
  queueMicrotask: nextOf,
  performance: watch,
  Date: Calendar,
} = globalThis
const monotonic = watch.now.bind(watch)
const calendar = Calendar.now.bind(Calendar)

/** Its own tests put something else in its members. */
export interface Clock {
  /** Monotonic milliseconds. */
  now: () => number
  /** Milliseconds since 1970. */
  date: () => number
  setTimeout<A extends unknown[]>(work: (...args: A) => void, delayMs: number, ...args: A): NodeJS.Timeout
  clearTimeout(timer: NodeJS.Timeout | undefined): void
  setInterval(work: () => void, pauseMs: number): NodeJS.Timeout
  clearInterval(timer: NodeJS.Timeout): void
  setImmediate<A extends unknown[]>(work: (...args: A) => void, ...args: A): void
  queueMicrotask(work: () => void): void
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
}

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
