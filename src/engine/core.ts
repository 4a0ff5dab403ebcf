// The interface of an engine for all of its parts: the pool, the dialect, clocks, options and names. Nothing here opens or runs
// anything. `Engine` implements it; the files below it know no more of the engine.
import type { LeakWatch } from '../observe/reports.ts'
import type { Place } from '../observe/place.ts'
import type { ResolvedOptions } from '../options/options.ts'
import type { PoolStats } from '../pool/contract.ts'
import type { Pool } from '../pool/pool.ts'
import type { Bakery } from '../sql/baked.ts'
import type { Compiled } from '../sql/compiled.ts'
import type { StatementCache } from '../sql/compile.ts'
import type { Conversions } from '../sql/conversions.ts'
import type { Dialect } from '../sql/dialect.ts'
import type { TagValues } from '../sql/tags.ts'
import type { Ticker } from '../util/ticker.ts'
import type { Failure, RawConnection } from '../driver/driver.ts'
import type { ServerInfo } from '../observe/channels.ts'
import type { Functions } from './functions.ts'
import type { noteReadOnly } from './hosts/read-only.ts'
import type { switchOps } from './switching.ts'

/** With replicas: the servers on which a read may run. */
export type From = 'primary' | 'replica'

/** A read that is on its way on a database with replicas. */
export interface Routed {
  readonly stmt: Compiled
  /** The pool it was given to; null: it has a slot, or goes to the primary. */
  readonly away: Pool | null
  readonly slot: { readonly reads: { readonly pool: Pool | null } | null } | null
  /** Its settings. */
  readonly wanted: object | null
}

/** The servers of an engine that has several. */
export interface HostSet {
  /** Somebody waits for a connection. */
  awaited(): void
  /** A statement is sent. */
  sent(): void
  /** A statement that may have written was answered, or its answer did not come. */
  noteWrite(): void
  /** The server of the primary refused a write, for it takes none. */
  noteStale(): void
  /** Whether a read that failed on a replica runs on the primary instead. */
  retriesOnPrimary(op: Routed, failure: Failure): boolean
  serverOf(raw: RawConnection): ServerInfo | null
}

/** Counts what scopes send. */
export interface Watching {
  /** A statement is sent in a scope or transaction. */
  sent(
    scope: object,
    op: { readonly stmt: Compiled; readonly params: readonly unknown[]; readonly trace: object | null },
  ): void
}

/** Defaults for the statements of a connection or transaction. */
export interface QueryDefaults {
  /** How long each may take, from the call to the answer, in milliseconds. */
  readonly timeoutMs?: number | undefined
  /**
   * Names that the server shows behind the text of each statement, such as `{ action: 'checkout' }`, in the form of sqlcommenter:
   * `/*action='checkout'*\/`. Tags of a scope or transaction add to those around it, and win over equal names. Each statement is
   * prepared once for each set of tags, so give names of places in the program, never ids. A statement that has a comment, that
   * changes the session, or that begins or ends a transaction gets none.
   */
  readonly tags?: TagValues | undefined
}

/** The limits of one statement: how long it may take, and the signal that stops it. */
export interface Limits {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface EngineCore {
  readonly name: string
  readonly closed: boolean
  readonly pool: Pool
  readonly ticker: Ticker
  readonly statements: StatementCache
  /** The part that is loaded with the first engine that is opened. */
  readonly runtime: { readonly noteReadOnly: typeof noteReadOnly; readonly switchOps: typeof switchOps }
  readonly dialect: Dialect
  readonly options: ResolvedOptions
  /** Null unless a leak report is wanted. */
  readonly leaks: LeakWatch | null
  /** Null unless slow or repeated statements are to be reported. */
  readonly watch: Watching | null
  /** The statements of each `Db` on it that `prebake` prepares on new connections. */
  readonly bakeries: Set<Bakery>
  /** The functions and triggers that may leave something in sessions. */
  readonly functions: Functions
  /** Plain reads that were quick when they were last measured, and those that were slow. One in neither may be slow. */
  readonly quickReads: WeakSet<Compiled>
  readonly slowReads: WeakSet<Compiled>
  /** Places where transactions were begun that kept a connection from others, as far as notices have named them. */
  readonly toldPlaces: Set<string>
  /** The conversions of types that users want, those of this statement too; null: none. @throws {UsageError} where the driver cannot. */
  conversions(own: unknown): Conversions | null
  /** Null unless it has replicas. */
  readonly hosts: HostSet | null
  /** The engines of the same database, this one among them. */
  readonly twins: { readonly count: number; readonly told: Set<string> }
  /** There was a frame whose settings may be others than those of the connection its code runs on. */
  overlaid: boolean
  stats(): PoolStats
  /** The deadline of a statement: its own, else the default nearest to it. */
  until(options: Limits | null, defaults: Limits | null): number
  signal(options: Limits | null): AbortSignal | null
  cursorName(): string
  /** Where a connection is borrowed, if anybody may ask. `waits`: it is not there yet. */
  borrowPlace(waits: boolean): Place | null
  /** Where a transaction is begun at `now`, if that is free. */
  beginPlace(now: number, skip?: (...args: never[]) => unknown): Place
}
