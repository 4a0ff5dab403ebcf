// Waiting until a deadline in monotonic milliseconds, and no longer.
import { clock, msUntil } from './clock.ts'

/** A timer this late means that the event loop stood still: an answer that has arrived meanwhile is read first. */
const stallMs = 100

/** The answer, or false when the deadline comes first. */
export async function before(deadline: number, answer: Promise<boolean>): Promise<boolean> {
  if (deadline === Infinity) return answer
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    const expire = (): void => {
      if (clock.now() - deadline > stallMs) clock.setImmediate(resolve, false)
      else resolve(false)
    }
    timer = clock.setTimeout(expire, msUntil(deadline))
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clock.clearTimeout(timer)
  }
}
