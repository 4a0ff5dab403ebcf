// A deadline for work that has none of its own.
import { inRoot } from '../../util/context.ts'

/** Node's timers hold 31 bits of milliseconds. */
const longestMs = 2 ** 31 - 1

/** True when the work ends before the deadline (monotonic milliseconds); what it rejects with is thrown. */
export async function inTime(deadline: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    const ms = Math.min(Math.max(0, deadline - performance.now()), longestMs)
    timer = inRoot(() => setTimeout(resolve, ms, false))
  })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
