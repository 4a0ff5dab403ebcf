// A wait for connections that cursors hold, each opened for itself and read by nobody at the moment: the loop that reads one of
// them may be what waits. Nobody can know, so it is told at once, where the wait begins.
import { notice } from '../../observe/notice.ts'
import { capturePlace, unknownPlace } from '../../observe/place.ts'
import type { Engine } from '../engine.ts'

/** Called synchronously by whoever joins the queue of the pool; `describe` is what waits, for places that are not known. */
export function tellOfCursors(engine: Engine, describe: () => string): void {
  const { pool } = engine
  if (pool.size < pool.max) return
  for (const { lease } of pool.members) if (lease?.holder.forCursor !== true || lease.raw.inFlight > 0) return
  const place = String(capturePlace())
  notice(
    'waiting-for-cursor',
    'A statement waits for a connection, and cursors opened outside of any transaction hold all of them. In the loop that reads ' +
      'the cursor it waits for itself: put the loop into transaction(work), read all rows first, or raise pool.max.',
    { engine: engine.name, places: [place === unknownPlace ? describe() : place, ...pool.holders()] },
  )
}
