// The context: an immutable chain of frames in one AsyncLocalStorage, and the rules of looking something up in it.
// Only a callback changes what is current. The chain never grows without bound: pushing drops what can no longer be
// reached, so its length is at most the live frames plus one end marker per engine.
import { TransactionStateError } from '../../errors/index.ts'
import type { Lease } from '../../pool/lease.ts'
import { ContextStore } from '../../util/context.ts'
import { Printable } from '../../util/printable.ts'
import type { Engine } from '../engine.ts'
import type { Handle } from '../handle.ts'
import type { Slot } from '../slot/slot.ts'
import { runEnded } from '../transaction/ended.ts'
import type { TransactionRecord } from '../transaction/record.ts'
import type { QueryDefaults } from '../query/query-options.ts'
import type { Frame, FrameKind, Settings } from './frame.ts'

/** Frames that say nothing of the slot or the transaction of what runs inside; nor of its settings, unless they have any. */
const passing: ReadonlySet<FrameKind> = new Set(['reusing', 'orphan', 'bind'])

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

const store: ContextStore<Link> = new ContextStore()

/** The chain of the code that is running, undefined outside every frame. */
export function currentChain(): Link | undefined {
  return store.get()
}

/** The transaction of `engine`, or of any engine, that code with this chain runs in; null when none is open around it. */
export function openTransaction(engine: Engine | null, chain: Link | undefined): TransactionRecord | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (engine !== null && frame.engine !== engine) continue
    if (frame.kind === 'detached' && frame.live) return null
    if (frame.transaction !== null && frame.live) return frame.transaction
  }
  return null
}

/** The chain with `frame` on top, without what can no longer be reached. */
export function push(frame: Frame, chain: Link | undefined): Link {
  return new Link(frame, compact(chain, frame))
}

/** Runs `work` with `chain` as the current context. */
export function runIn<R>(chain: Link | undefined, work: () => R): R {
  return store.run(chain, work)
}

/** Runs `work` in a chain with `frame` on top of the current one. */
export function runInFrame<R>(frame: Frame, work: () => R): R {
  return store.run(push(frame, store.get()), work)
}

/** Why the frame that was found cannot be used. */
type Problem = 'ended' | 'lost' | 'differs'

/**
 * The frame whose slot a statement of `engine` uses here, or null when there is none and it stands alone.
 * @throws {TransactionEndedError} when the innermost frame is a transaction that has ended.
 * @throws {TransactionStateError} when the innermost frame has ended and carried settings, or the connection that is
 * ambient is without the settings of a scope inside that is not.
 */
export function ambientFrame(engine: Engine, chain: Link | undefined): Frame | null {
  return find(engine, chain, refuse)
}

/** As `ambientFrame`, but null instead of an error. */
export function quietAmbientFrame(engine: Engine, chain: Link | undefined): Frame | null {
  return find(engine, chain, none)
}

function find(
  engine: Engine,
  chain: Link | undefined,
  problem: (problem: Problem, frame: Frame) => null,
): Frame | null {
  let needed: Settings | null = null
  let lost: Settings | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.engine !== engine) continue
    const { kind } = frame
    if (kind === 'owner' || kind === 'run' || kind === 'transaction') {
      const usable = kind === 'transaction' ? (frame.transaction as TransactionRecord).open : isOpen(frame.slot)
      if (frame.live && usable) {
        if (lost !== null && !has(frame.slot, lost)) return problem('lost', frame)
        return needed === null || has(frame.slot, needed) ? frame : problem('differs', frame)
      }
      if (kind === 'transaction') return problem('ended', frame)
      if (kind === 'run' && !frame.live) {
        lost ??= frame.settings
        continue
      }
      return frame.settings === null || inherits(engine, link, frame.settings) ? null : problem('lost', frame)
    }
    if (kind === 'detached') return null
    if (kind === 'orphan' && frame.settings !== null) {
      if (frame.live) needed ??= frame.settings
      else lost ??= frame.settings
    }
  }
  return null
}

/** Whether a scope around that one lives, and has the same settings. */
function inherits(engine: Engine, { next }: Link, settings: Settings): boolean {
  const outer = settingsOf(engine, next)
  return outer !== 'lost' && covers(outer, settings)
}

function isOpen(slot: Slot | null): boolean {
  return slot !== null && !slot.closed
}

function refuse(problem: Problem, { transaction, live }: Frame): never {
  if (problem === 'lost') throw settingsLost()
  if (problem === 'ended') {
    const record = transaction as TransactionRecord
    throw live || !record.open ? record.ended() : runEnded(record)
  }
  throw new TransactionStateError(
    'This code runs inside of a scope({ reusable: false }) whose settings the ambient connection does not have. Use the ' +
      'connection of that scope, or pass reuse: false for another one with its settings.',
  )
}

function none(): null {
  return null
}

/** Whether connections of that slot have all these settings. */
function has(slot: Slot | null, needed: Settings): boolean {
  return covers(slot?.settings ?? null, needed)
}

function covers(settings: Settings | null, needed: Settings): boolean {
  return needed === settings || Object.entries(needed).every(([name, value]) => settings?.[name] === value)
}

/**
 * The settings for connections of `engine` borrowed here.
 * @throws {TransactionStateError} when they belong to a frame that has ended, and nothing around it that lives has them:
 * without them a statement would run as somebody else.
 */
export function ambientSettings(engine: Engine, chain: Link | undefined): Settings | null {
  const settings = settingsOf(engine, chain)
  if (settings === 'lost') throw settingsLost()
  return settings
}

function settingsOf(engine: Engine, chain: Link | undefined): Settings | 'lost' | null {
  let lost: Settings | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.engine !== engine || (passing.has(frame.kind) && frame.settings === null)) continue
    if (!frame.live && frame.settings !== null) {
      if (frame.kind === 'detached') return 'lost'
      // It may have had them from a scope around it that lives.
      lost ??= frame.settings
      continue
    }
    if (!frame.live && (frame.kind === 'run' || frame.kind === 'transaction')) continue
    return lost === null || covers(frame.settings, lost) ? frame.settings : 'lost'
  }
  return lost === null ? null : 'lost'
}

/** Defaults for statements issued here, given by the innermost live scope or transaction that has any. */
export function ambientDefaults(engine: Engine, chain: Link | undefined): QueryDefaults | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || frame.kind === 'bind' || frame.kind === 'orphan') continue
    if (frame.kind === 'detached' || (!frame.live && frame.kind !== 'reusing' && frame.kind !== 'run')) return null
    if (frame.live && frame.defaults !== null) return frame.defaults
  }
  return null
}

/**
 * Defaults for a statement issued by a handle: those of the transaction it will run in, unless the handle was made inside of
 * that one, with defaults that are nearer.
 */
export function handleDefaults(slot: Slot, handle: Handle, own: QueryDefaults | null): QueryDefaults | null {
  const { top } = slot
  if (top === undefined || top.handle === handle || isInside(top, handle.chain)) return own
  return top.admitsFrom(store.get(), handle) ? top.defaults : own
}

/** The engine a `Db` is bound to by the innermost `withBind` around here, or by the frame opened through it. */
export function boundEngine(db: object, chain: Link | undefined): Engine | null {
  let framed: Engine | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.db !== db) continue
    if (frame.kind === 'bind') return frame.engine
    if (framed === null && frame.live) framed = frame.engine
  }
  return framed
}

/** Whether code with this chain runs inside of `transaction`. */
export function isInside(transaction: TransactionRecord, chain: Link | undefined): boolean {
  for (let link = chain; link !== undefined; link = link.next) {
    if (link.frame.transaction === transaction) return true
    if (link.frame.kind === 'detached' && link.frame.engine === transaction.engine) return false
  }
  return false
}

/** The innermost transaction on `slot` in whose frame code with this chain runs, ended or not. */
export function transactionOn(slot: Slot, chain: Link | undefined): TransactionRecord | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { transaction, kind, engine } = link.frame
    if (transaction !== null && transaction.slot === slot) return transaction
    if (kind === 'detached' && engine === slot.engine) return null
  }
  return null
}

/** The transaction of `engine` in whose frame code with this chain runs, ended or not. */
export function transactionAround(engine: Engine, chain: Link | undefined): TransactionRecord | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || passing.has(frame.kind) || (frame.kind === 'run' && !frame.live)) continue
    return frame.transaction ?? (frame.slot === null ? null : transactionOn(frame.slot, link.next))
  }
  return null
}

/** The leases of `engine` held by frames that code with this chain runs inside of, whether it can use them or not. */
export function heldLeases(engine: Engine, chain: Link | undefined): Set<Lease> {
  const held = new Set<Lease>()
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine === engine && frame.live && frame.slot?.lease) held.add(frame.slot.lease)
  }
  return held
}

/** The frames of `engine` that code with this chain runs inside of, their slots and transactions. */
export function around(engine: Engine, chain: Link | undefined): readonly object[] {
  const found: object[] = []
  if (chain === undefined) return found
  for (let link: Link | undefined = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || !frame.live) continue
    found.push(frame)
    if (frame.slot !== null) found.push(frame.slot)
    if (frame.transaction !== null) found.push(frame.transaction)
    if (frame.awaited !== undefined) found.push(...around(engine, frame.awaited))
  }
  return [...new Set(found)]
}

function settingsLost(): TransactionStateError {
  return new TransactionStateError(
    'This code still runs after the scope that carried its settings has ended, so its statement would run without them. ' +
      'Await it inside the scope, or start it with detached(work, { settings }).',
  )
}

/** Drops frames that no look-up can reach any more; shares the rest of the chain when there is nothing to drop. */
function compact(chain: Link | undefined, above: Frame): Link | undefined {
  const hidden = above.kind === 'detached' ? above.engine : null
  let droppable = hidden !== null
  for (let link = chain; link !== undefined; link = link.next) {
    if (!link.frame.live || link.frame.kind === 'detached') {
      droppable = true
      break
    }
  }
  if (!droppable) return chain
  const kept: Frame[] = []
  const marked = new Set<object>()
  if (above.kind === 'bind') marked.add(above.db as object)
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    const key = frame.kind === 'bind' ? (frame.db as object) : frame.engine
    if (frame.engine === hidden && frame.kind !== 'bind') continue
    if (frame.live && frame.kind !== 'detached') kept.push(frame)
    else if (frame.kind === 'reusing' || (frame.settings === null && (frame.kind === 'orphan' || frame.kind === 'run')))
      continue
    else if (!marked.has(key)) {
      marked.add(key)
      kept.push(frame)
    }
  }
  return kept.reduceRight<Link | undefined>((next, frame) => new Link(frame, next), undefined)
}
