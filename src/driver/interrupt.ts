// How a session has its server stop what runs.
import { before, clock } from '../util/clock.ts'

/**
 * `served`: the request has had its effect, if any. `unsent`: there was nothing to stop, the unit had not gone out and has
 * been failed. `failed`: nobody knows.
 */
export type Interruption = 'served' | 'unsent' | 'failed'

const firstPauseMs = 50
const late = Symbol('late')

/** Asks the server to stop what runs, until `settled`: a request may overtake the statement it is meant for, and has no effect then. */
export async function interrupt(
  request: (deadline: number) => Promise<Interruption>,
  settled: Promise<unknown>,
  deadline: number,
): Promise<Interruption> {
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    const interruption = await request(deadline)
    if (interruption !== 'served' || (await before(clock.now() + pauseMs, settled, late)) !== late) return interruption
    if (clock.now() >= deadline) return 'failed'
  }
}
