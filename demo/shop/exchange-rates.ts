// Another service, far away: asking it takes 200 ms and no database.
import { setTimeout as sleep } from 'node:timers/promises'

const answerAfterMs = 200

/** Who waits for an answer at this moment. */
export const waiting = { requests: 0 }

export async function exchangeRate(): Promise<number> {
  waiting.requests++
  try {
    await sleep(answerAfterMs)
    return 1.08
  } finally {
    waiting.requests--
  }
}
