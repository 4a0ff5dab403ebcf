// Room for prepared statements on a server, which keeps only so many for all its sessions (`max_prepared_stmt_count`). When it has no
// room for a further one, the sessions of this process give theirs up, each when its statement has ended.
import { before, clock } from '../../util/clock.ts'
import { LinkedSet } from '../../util/linked-list.ts'

export interface Holder {
  /** Where its session is. */
  readonly server: string
  /** Settles when the server has closed them. */
  giveUp(): Promise<unknown>
}

const holders = new LinkedSet<Holder>()

/** A session may have a long statement to run, or a connection that hangs. */
const patienceMs = 10_000

export function holds(holder: Holder): void {
  holders.add(holder)
}

export function holdsNoMore(holder: Holder): void {
  holders.delete(holder)
}

/** Settles when they have given up what they had prepared there, or will do so later. */
export async function makeRoom(server: string): Promise<void> {
  const asked = [...holders].filter((each) => each.server === server).map((each) => each.giveUp())
  await before(
    clock.now() + patienceMs,
    Promise.all(asked).then(() => true),
  )
}
