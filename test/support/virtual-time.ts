/** Time that passes only when a test says so, for what is built on the fake driver: order and counts, never milliseconds. */

import { vi } from 'vitest'

// Taken before it is replaced: the fake driver answers in macrotasks.
const { setImmediate: soon } = globalThis

export interface VirtualTime extends Disposable {
  /** Lets so many milliseconds pass, one by one, each with all that follows from it; `each` sees every one of them. */
  pass(ms: number, each?: () => void): Promise<void>
}

/** Takes over clock and timers until its `using` block ends. */
export function virtualTime(): VirtualTime {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  return {
    async pass(ms, each) {
      for (let left = ms; left >= 0; left--) {
        for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => soon(resolve))
        each?.()
        if (left > 0) await vi.advanceTimersByTimeAsync(1)
      }
    },
    [Symbol.dispose]() {
      vi.useRealTimers()
    },
  }
}
