// What Node's timers can count.

/** They hold 31 bits of milliseconds: a longer delay would be over at once. */
export const longestTimerMs = 2_147_483_647

/** The delay until a deadline in monotonic milliseconds, for a timer. */
export function msUntil(deadline: number): number {
  return Math.min(Math.max(0, deadline - performance.now()), longestTimerMs)
}
