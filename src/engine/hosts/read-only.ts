// Notices a server that refuses writes although nobody asked for that: a primary that a failover has made a standby, or a standby
// behind an old address. The connection is closed at the end of its unit. The pool hears why, and opens all connections again when it
// happens twice.
import type { Failure, RawConnection } from '../../driver/driver.ts'
import type { ResolvedOptions } from '../../options/options.ts'
import { Pin } from '../../sql/compiled.ts'
import type { Dialect } from '../../sql/dialect.ts'
import type { Settings } from '../../sql/settings.ts'

/** A statement, as far as it is needed here. A SELECT may call a function that writes. */
interface Failed {
  readonly engine: {
    readonly dialect: Dialect
    readonly options: Pick<ResolvedOptions, 'connection'>
    readonly hosts: { noteStale(): void } | null
  }
  readonly slot: { readonly pins: number } | null
  readonly wanted: Settings | null
  readonly transaction: {
    readonly outermost: {
      readonly options: { readonly readOnly?: boolean | undefined }
      advance(event: { readonly type: 'stale'; readonly failure: Failure }): unknown
    }
  } | null
}

/** Called when `op` has failed on `raw`, for whatever reason. */
export function noteReadOnly(op: Failed, raw: RawConnection, failure: Failure): void {
  const { engine, slot, transaction } = op
  const { dialect } = engine
  if (failure.kind !== 'server' || dialect.explain(failure.fields ?? {}).health !== 'standby') return
  if (transaction?.outermost.options.readOnly === true || isReadOnly(engine)) return
  if (slot !== null && ((slot.pins & Pin.settings) !== 0 || refusesWrites(dialect, op.wanted))) return
  engine.hosts?.noteStale()
  const stale: Failure = { ...failure, kind: 'lost' }
  if (transaction !== null) transaction.outermost.advance({ type: 'stale', failure: stale })
  else if (raw.status === 'idle' && raw.inFlight === 0) raw.destroy(stale)
}

/** Whether its options make it one that only reads. */
function isReadOnly({ dialect, options: { connection } }: Failed['engine']): boolean {
  const { settings, options } = connection
  if (/^(?:standby|prefer-standby|read-only)$/.test(String(connection['targetSessionAttrs']))) return true
  return refusesWrites(dialect, settings) || (typeof options === 'string' && dialect.settings.refusesWrites(options))
}

function refusesWrites(dialect: Dialect, settings: unknown): boolean {
  return (
    typeof settings === 'object' &&
    settings !== null &&
    Object.keys(settings).some((name) => dialect.settings.refusesWrites(name))
  )
}
