/** Waiting for something to become true, instead of sleeping for as long as it usually takes. */

export interface UntilOptions {
  /** Default 60000. */
  readonly timeoutMs?: number | undefined
  /** Named in the error: 'the pool is empty'. */
  readonly what?: string | undefined
}

// Taken before any test replaces them by fake ones.
const { setTimeout: later, performance: clock } = globalThis

/**
 * Asks again and again until the answer is truthy, and resolves with it. A condition that throws counts as "not yet";
 * what it threw last is the cause of the error at the end of the time.
 */
export async function until<T>(
  condition: () => T | PromiseLike<T>,
  options: UntilOptions = {},
): Promise<NonNullable<T>> {
  const { timeoutMs = 60_000, what = condition.toString() } = options
  const end = clock.now() + timeoutMs
  let pauseMs = 1
  for (;;) {
    let cause: unknown
    try {
      const answer = await condition()
      if (answer) return answer
    } catch (error) {
      cause = error
    }
    if (clock.now() >= end) throw new Error(`Waited ${timeoutMs} ms in vain until: ${what}`, { cause })
    await new Promise((resolve) => later(resolve, pauseMs))
    pauseMs = Math.min(pauseMs * 2, 25)
  }
}
