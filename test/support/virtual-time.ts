/** Time that passes only when a test says so, for what is built on the fake driver: order and counts, never milliseconds. */

import { vi } from 'vitest'
import { clock } from '../../src/util/clock.ts'

// Taken before it is replaced: the fake driver answers in macrotasks.
const { setImmediate: soon } = globalThis

export interface VirtualTime extends Disposable {
  /** Lets so many milliseconds pass, one by one, each with all that follows from it; `each` sees every one of them. */
  pass(ms: number, each?: () => void): Promise<void>
}

/** Takes over clock and timers until its `using` block ends. */
export function virtualTime(): VirtualTime {
  fakeClock()
  return {
    async pass(ms, each) {
      for (let left = ms; left >= 0; left--) {
        for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => soon(resolve))
        each?.()
        if (left > 0) await vi.advanceTimersByTimeAsync(1)
      }
    },
    [Symbol.dispose]: realClock,
  }
}

const real = { ...clock }

/** Fake timers for the test and for the package, which never uses those of a test by itself. */
export function fakeClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const { setTimeout, clearTimeout, performance } = globalThis
  Object.assign(clock, { setTimeout, clearTimeout, now: () => performance.now() })
}

/** Ends `fakeClock()`. */
export function realClock(): void {
  Object.assign(clock, real)
  vi.useRealTimers()
}

export interface LeapingTime extends Disposable {
  /** Puts the clock of the package forward at once, and does what is due then. */
  leap(ms: number): void
  /** How many timers wait for a leap. */
  readonly pending: number
}

/**
 * Real time but for what the package does much later: that comes only by a leap, however busy the machine is. `farMs`: of its timers
 * that many milliseconds away, and more.
 */
export function leapingTime(farMs = 10_000): LeapingTime {
  const far = new Map<object, { readonly at: number; readonly work: () => void }>()
  let ahead = 0
  Object.assign(clock, {
    now: () => real.now() + ahead,
    setTimeout: (work: () => void, delayMs: number) => {
      if (delayMs < farMs) return real.setTimeout(work, delayMs)
      const timer = { unref: () => timer, ref: () => timer }
      far.set(timer, { at: clock.now() + delayMs, work })
      return timer
    },
    clearTimeout: (timer: NodeJS.Timeout | undefined) => {
      if (timer === undefined || !far.delete(timer)) real.clearTimeout(timer)
    },
  })
  return {
    get pending() {
      return far.size
    },
    leap(ms) {
      ahead += ms
      for (const [timer, { at, work }] of far) if (at <= clock.now() && far.delete(timer)) work()
    },
    [Symbol.dispose]: realClock,
  }
}
