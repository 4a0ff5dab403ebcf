// What the pool learns from connections that died: one lost socket makes the others suspect, a server that shut down
// makes all of them useless. It only decides; the pool acts.
import type { Failure } from '../driver/driver.ts'
import { clock } from '../util/clock.ts'

/** It is going away, or takes no writes. (PostgreSQL: admin_shutdown, crash_shutdown, cannot_connect_now, read_only_sql_transaction.) */
const shutdown: ReadonlySet<string> = new Set(['57P01', '57P02', '57P03', '25006'])
/** The session itself was at fault: its transaction was idle, or took, for too long. */
const ownFault: ReadonlySet<string> = new Set(['25P03', '25P04'])
/** Two such answers this close together mean the server and not one session. */
const windowMs = 5_000
/** A connection that was heard of this recently is taken without asking it. */
const freshMs = 1_000

export class Health {
  #lastShutdown = -Infinity
  /** Connections heard of before this moment are asked whether they still answer. */
  #suspectUntil = -Infinity

  /** What the end of a connection says of the others: nothing, to ask them first, or to open all anew. */
  judge(failure: Failure): 'well' | 'suspect' | 'replace' {
    if (failure.kind === 'closed' || ownFault.has(failure.fields?.['code'] ?? '')) return 'well'
    const now = clock.now()
    this.#suspectUntil = now
    if (!shutdown.has(failure.fields?.['code'] ?? '')) return 'suspect'
    const again = now - this.#lastShutdown < windowMs
    this.#lastShutdown = now
    return again ? 'replace' : 'suspect'
  }

  /** Whether an idle connection may be taken without asking it. */
  fresh(idleSince: number, now: number): boolean {
    return now - idleSince < freshMs && idleSince > this.#suspectUntil
  }
}
