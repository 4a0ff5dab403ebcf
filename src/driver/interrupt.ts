// Asks the server to stop a running statement, for the sessions of all drivers.
import { before, clock } from '../util/clock.ts'

/**
 * `served`: the request has had its effect, if any. `unsent`: there was nothing to stop, the unit had not gone out and has
 * been failed. `failed`: nobody knows. `refused`: there was no connection for the request, which has reached nothing.
 */
export type Interruption = 'served' | 'unsent' | 'failed' | 'refused'

const firstPauseMs = 50
const late = Symbol('late')

/**
 * Asks the server to stop what runs, until `settled`: a request may overtake the statement it is meant for, and has no effect then; and a
 * server that has no room for it now may have some later.
 */
export async function interrupt(
  request: (deadline: number) => Promise<Interruption>,
  settled: Promise<unknown>,
  deadline: number,
): Promise<Interruption> {
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    const interruption = await request(deadline)
    if (interruption === 'unsent' || interruption === 'failed') return interruption
    if ((await before(Math.min(clock.now() + pauseMs, deadline), settled, late)) !== late) return 'served'
    if (clock.now() >= deadline) return 'failed'
  }
}
