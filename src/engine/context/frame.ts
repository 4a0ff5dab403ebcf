// Frames: the entries of the context. A frame says which slot, transaction, settings or binding a piece of code runs
// with. It lives as long as the callback it was made for; whatever becomes of its connection does not end it.
import type { Place } from '../../observe/place.ts'
import type { Link } from './chain.ts'
import type { Connection } from '../connection.ts'
import type { Engine } from '../engine.ts'
import type { QueryDefaults } from '../query/query-options.ts'
import type { Slot } from '../slot/slot.ts'
import type { TransactionRecord } from '../transaction/record.ts'

export type Settings = Readonly<Record<string, string>>

/**
 * - `owner`: what is inside shares the slot of this frame (`scope`).
 * - `run`: as `owner`, for a connection that is there before and after it; once it has ended it is passed over.
 * - `transaction`: what is inside runs in this transaction.
 * - `reusing`: shares the slot of the frame around it; it only carries defaults.
 * - `orphan`: holds a connection that is not ambient (`reusable: false`); settings of its own hold for all that is inside.
 * - `detached`: what is inside sees nothing of the frames around it.
 * - `bind`: a `Db` resolves to another engine inside.
 */
export type FrameKind = 'owner' | 'run' | 'transaction' | 'reusing' | 'orphan' | 'detached' | 'bind'

export class Frame {
  readonly kind: FrameKind
  readonly engine: Engine
  /** The `Db` through which the frame was opened, so that an unbound copy finds its engine inside. */
  readonly db: object | null
  /** Null once the frame has ended: a finished request keeps nothing alive. */
  slot: Slot | null
  readonly transaction: TransactionRecord | null
  /** What `current` gives inside: made on demand for frames that have no handle of their own. */
  connection: Connection | null = null
  /** Defaults for the statements inside, those around it included. */
  defaults: QueryDefaults | null = null
  /** Settings of the session for every connection borrowed inside. */
  readonly settings: Settings | null
  live = true
  /** Of detached work: the chain of code that awaits it, and so gives nothing back meanwhile. */
  awaited: Link | undefined = undefined
  /** The manual transaction opened in this frame, while it is open. */
  manual: { readonly place: Place; warned: boolean } | null = null

  constructor(
    kind: FrameKind,
    engine: Engine,
    db: object | null,
    slot: Slot | null,
    transaction: TransactionRecord | null,
    settings: Settings | null,
  ) {
    this.kind = kind
    this.engine = engine
    this.db = db
    this.slot = slot
    this.transaction = transaction
    this.settings = settings
    if (slot !== null && (kind === 'owner' || kind === 'run')) slot.ambient++
  }

  end(): void {
    if (this.slot !== null && (this.kind === 'owner' || this.kind === 'run')) this.slot.ambient--
    this.live = false
    this.slot = null
    this.connection = null
    this.awaited = undefined
  }
}
