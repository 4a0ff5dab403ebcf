// A server that refuses writes although nobody asked for that: a primary that a failover has made a standby, or a standby
// that an old address leads to. Operations report here when they fail so. The connection is closed at the end of its unit;
// the pool hears why, and opens all anew when it happens twice.
import type { Failure, RawConnection } from '../driver/driver.ts'
import { Pin } from '../sql/compiled.ts'
import type { Engine } from './engine.ts'
import type { EngineOp } from './query/op.ts'

/** PostgreSQL: read_only_sql_transaction. */
const readOnly = '25006'
const settingName = /(?:^|\W)(?:default_)?transaction_read_only\b/

/** Whether the server refused a statement because it takes no writes. */
export function isReadOnly({ kind, fields }: Failure): boolean {
  return kind === 'server' && fields?.['code'] === readOnly
}

/** Called when `op` has failed on `raw` because the server takes no writes. */
export function noteReadOnly(op: EngineOp, raw: RawConnection, failure: Failure): void {
  const { engine, slot, transaction, stmt } = op
  // What is classed as a read may share its connection with others, and needs no primary.
  if (stmt.cls === 'read' || transaction?.outermost.options.readOnly === true || asked(engine)) return
  if (slot !== null && ((slot.pins & Pin.settings) !== 0 || names(slot.settings))) return
  const stale: Failure = { ...failure, kind: 'lost' }
  if (transaction !== null) transaction.outermost.stale = stale
  else if (raw.status === 'idle' && raw.inFlight === 0) raw.destroy(stale)
}

/** The engine itself is one that only reads. */
function asked({ options: { connection } }: Engine): boolean {
  const { settings, options } = connection
  return names(settings) || (typeof options === 'string' && settingName.test(options))
}

function names(settings: unknown): boolean {
  return (
    typeof settings === 'object' && settings !== null && Object.keys(settings).some((name) => settingName.test(name))
  )
}
