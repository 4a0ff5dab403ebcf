// A deadline for work that has none of its own.
import { inRoot } from '../../util/context.ts'
import { clock, msUntil } from '../../util/clock.ts'

/** True when the work ends before the deadline (monotonic milliseconds); what it rejects with is thrown. */
export async function inTime(deadline: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = inRoot(() => clock.setTimeout(resolve, msUntil(deadline), false))
  })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clock.clearTimeout(timer)
  }
}
