// Frames: the entries of the context. A frame says which slot, transaction, settings or binding a piece of code runs
// with. It lives as long as the callback it was made for, even if its connection is lost or goes back.
import type { TransactionEndedError } from '../../errors/index.ts'
import type { Place } from '../../observe/place.ts'
import type { Lease } from '../../pool/lease.ts'
import type { Settings } from '../../sql/settings.ts'
import { Printable } from '../../util/thrown.ts'
import type { EngineCore, QueryDefaults } from '../core.ts'

export type { Settings }

/** A slot, as the context knows it. */
export interface Holder {
  readonly engine: EngineCore
  readonly lease: Lease | null
  readonly closed: boolean
  readonly settings: Settings | null
  readonly top: Enclosing | null
  /** How many callbacks it is ambient in now. */
  ambient: number
}

/** A transaction that code runs in, as the context knows it. */
export interface Enclosing {
  readonly engine: EngineCore
  readonly slot: Holder
  readonly place: Place
  readonly handle: Handle
  readonly defaults: QueryDefaults | null
  /** Ended by hand. */
  readonly manual: boolean
  /** It takes new work, unless one around it does not. */
  readonly taking: boolean
  /** It and all around it take new work. */
  readonly open: boolean
  ended(): TransactionEndedError
  endedMessage(): string
  /** Why a statement that belongs inside may not run after all. `issued`: it was so before the callback had returned. */
  refusal(issued?: boolean): Error | null
  /** It is `outer`, or a savepoint of it, however deep. */
  isWithin(outer: object): boolean
  admitsFrom(chain: Link | undefined, handle: Handle | null): boolean
}

/** Marks handles in the types: nothing else can be given in place of options. */
export declare const handle: unique symbol

export interface IsHandle {
  readonly [handle]: true
}

/** A `Connection` or a `Transaction`. In place of the options of a call it is `{ on: handle }`. */
export interface Handle extends IsHandle {
  /** @internal The chain of the code that made the handle. */
  readonly chain: Link | undefined
  /** @internal The transaction it belongs to: its statements run in it while it is open, and nowhere afterwards. Null: none. */
  readonly home: Enclosing | null
  /** @internal The overlay in which it was made; null: in none. */
  readonly overlay: Frame | null
  /** @internal Defaults for the statements sent through it. */
  defaultsHere(): QueryDefaults | null
}

/**
 * - `owner`: code inside shares the slot of this frame (`scope`).
 * - `run`: as `owner`, for a connection that is there before and after it; once it has ended it is passed over.
 * - `transaction`: code inside runs in this transaction.
 * - `reusing`: shares the slot of the frame around it; it only carries defaults.
 * - `orphan`: holds a connection that is not ambient (`reusable: false`); its own settings hold for all code inside.
 * - `overlay`: code inside runs on the connection that is there, or on one that it borrows, with these settings.
 * - `detached`: code inside sees nothing of the frames around it.
 * - `bind`: a `Db` resolves to another engine inside.
 */
export type FrameKind = 'owner' | 'run' | 'transaction' | 'reusing' | 'orphan' | 'overlay' | 'detached' | 'bind'

export class Frame {
  readonly kind: FrameKind
  readonly engine: EngineCore
  /** The `Db` through which the frame was opened, so that an unbound copy finds its engine inside. */
  readonly db: object | null
  /** Null once the frame has ended: a finished request keeps nothing alive. */
  slot: Holder | null
  readonly transaction: Enclosing | null
  /** The handle that `current` gives inside. Frames without a handle make one on demand. */
  connection: Handle | null = null
  /** Defaults for the statements inside, those around it included. */
  defaults: QueryDefaults | null = null
  /** Settings of what runs inside, on this connection and on every one borrowed there. An overlay without any says nothing. */
  readonly settings: Settings | null
  live = true
  /** Of detached work: the chain of code that awaits it, and so gives nothing back meanwhile. */
  awaited: Link | undefined = undefined
  /** Of detached work: the frames with a slot around the code that started it, which may keep their connections until it has ended. */
  around: readonly Frame[] | null = null
  /** The manual transaction opened in this frame, while it is open. */
  manual: { readonly record: Enclosing; warned: boolean } | null = null

  constructor(
    kind: FrameKind,
    engine: EngineCore,
    db: object | null,
    slot: Holder | null,
    transaction: Enclosing | null,
    settings: Settings | null,
  ) {
    this.kind = kind
    this.engine = engine
    this.db = db
    this.slot = slot
    this.transaction = transaction
    this.settings = settings
    if (kind === 'overlay' && settings !== null) engine.overlaid = true
    if (slot !== null && (kind === 'owner' || kind === 'run')) slot.ambient++
  }

  end(): void {
    if (this.slot !== null && (this.kind === 'owner' || this.kind === 'run')) this.slot.ambient--
    this.live = false
    this.slot = null
    this.connection = null
    this.awaited = undefined
    this.around = null
  }
}

export class Link extends Printable {
  readonly frame: Frame
  readonly next: Link | undefined

  constructor(frame: Frame, next: Link | undefined) {
    super()
    this.frame = frame
    this.next = next
  }

  /** Node shows the store of a promise that is inspected: there is nothing in it for a reader. */
  override toString(): string {
    return `Context { ${this.frame.kind} }`
  }
}

/** Whether that frame is around the code that made the handle, and holds for it. */
export function isAround(frame: Frame, made: Handle | null): made is Handle {
  for (let link = made?.chain; link !== undefined; link = link.next) {
    if (link.frame === frame) return true
    if (link.frame.kind === 'detached' && link.frame.engine === frame.engine) return false
  }
  return false
}

/** The overlay to which a handle belongs that code with this chain makes, of `home` if there is one. */
export function overlayOf(engine: EngineCore, chain: Link | undefined, home: Handle | null = null): Frame | null {
  if (!engine.overlaid) return null
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine) continue
    if (frame.kind === 'detached') break
    if (frame.kind === 'overlay' && frame.settings !== null) return isAround(frame, home) ? home.overlay : frame
  }
  return home === null ? null : home.overlay
}

/** The frames with a slot that code with this chain runs inside of, or was detached from. */
export function slotFrames(chain: Link | undefined): readonly Frame[] {
  const found: Frame[] = []
  for (let link = chain; link !== undefined; link = link.next) found.push(link.frame, ...(link.frame.around ?? []))
  return found.filter((frame) => frame.live && frame.slot !== null)
}

/**
 * Whether code with this chain keeps a connection of `engine`, or a transaction elsewhere, until what it asks for has come: itself, or
 * as work detached from code that may await it.
 */
export function keepsOthersWaiting(engine: EngineCore, chain: Link | undefined): boolean {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (keeps(frame, engine) || frame.around?.some((each) => keeps(each, engine)) === true) return true
  }
  return false
}

function keeps({ engine: owner, live, slot }: Frame, engine: EngineCore): boolean {
  const lease = live && slot !== null ? slot.lease : null
  return lease !== null && (owner === engine || lease.raw.status !== 'idle')
}
