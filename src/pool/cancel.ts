// The one way in which the pool and those above it stop a statement on the server.
import type { Op, RawConnection } from '../driver/driver.ts'
import { clock } from '../util/clock.ts'

/** Asks the server to stop `op`; a connection whose state is not known afterwards is closed. Never rejects. */
export async function cancelOrDestroy(raw: RawConnection, op: Op, timeoutMs: number): Promise<void> {
  const end = await raw.cancel(op, clock.now() + timeoutMs)
  if (end === 'broken') raw.destroy({ kind: 'lost', outcome: 'unknown' })
}
