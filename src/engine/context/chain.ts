// The context: an immutable chain of frames in one AsyncLocalStorage, and the rules of looking something up in it.
// Only a callback changes what is current. The chain never grows without bound: pushing drops what can no longer be
// reached, so its length is at most the live frames plus one end marker per engine.
import { TransactionEndedError, TransactionStateError } from '../../errors/index.ts'
import type { Lease } from '../../pool/lease.ts'
import { ContextStore } from '../../util/context.ts'
import { sameSettings } from '../../sql/settings.ts'
import { Tags, type TagValues } from '../../sql/tags.ts'
import { isThenable } from '../../util/thrown.ts'
import type { EngineCore, QueryDefaults } from '../core.ts'
import {
  type Enclosing,
  type Frame,
  type FrameKind,
  type Handle,
  type Holder,
  isAround,
  Link,
  type Settings,
} from './frame.ts'

export { Link }

/** Of frames that have ended these say nothing, unless they had settings. */
const silent: ReadonlySet<FrameKind> = new Set(['orphan', 'overlay', 'run'])

/** Frames that do not change the slot or the transaction of the code inside. They change its settings only if they have any. */
const passing: ReadonlySet<FrameKind> = new Set(['reusing', 'orphan', 'overlay', 'bind'])

const store: ContextStore<Link> = new ContextStore()

/** The chain of the code that is running, undefined outside every frame. */
export function currentChain(): Link | undefined {
  return store.get()
}

/** The transaction of `engine`, or of any engine, that code with this chain runs in; null when none is open around it. */
export function openTransaction(engine: EngineCore | null, chain: Link | undefined): Enclosing | null {
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

/**
 * Runs `work` with `chain` as the current context. If it returns a thenable that is no promise, such as a query that was not
 * awaited, that is awaited there, because it belongs to the frame it was returned in.
 */
export function runIn<R>(chain: Link | undefined, work: () => R): R {
  const result = store.run(chain, work)
  if (result instanceof Promise || !isThenable(result)) return result
  return store.run(chain, () => new Promise((resolve, reject) => void result.then(resolve, reject))) as R
}

/** Runs `work` in a chain with `frame` on top of the current one. */
export function runInFrame<R>(frame: Frame, work: () => R): R {
  return runIn(push(frame, store.get()), work)
}

/** Why the frame that was found cannot be used. */
type Problem = 'ended' | 'lost' | 'differs'

/**
 * The frame whose slot a statement of `engine` uses here, or null when there is none and it stands alone.
 * @throws {TransactionEndedError} when the innermost frame is a transaction that has ended.
 * @throws {TransactionStateError} when the innermost frame has ended and carried settings, or the connection that is
 * ambient is without the settings of a scope inside that is not.
 */
export function ambientFrame(engine: EngineCore, chain: Link | undefined): Frame | null {
  return find(engine, chain, refuse)
}

/** As `ambientFrame`, but null instead of an error. */
export function quietAmbientFrame(engine: EngineCore, chain: Link | undefined): Frame | null {
  return find(engine, chain, none)
}

/** The scope around, if it is what is nearest. */
export function scopeIn(engine: EngineCore | null, chain: Link): Frame | null {
  const frame = engine === null ? null : quietAmbientFrame(engine, chain)
  return frame?.kind === 'transaction' ? null : frame
}

function find(
  engine: EngineCore,
  chain: Link | undefined,
  problem: (problem: Problem, frame: Frame) => null,
): Frame | null {
  let needed: Settings | null = null
  let lost: Settings | null = null
  let over: Frame | null = null
  let left: Settings | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.engine !== engine) continue
    const { kind } = frame
    if (kind === 'owner' || kind === 'run' || kind === 'transaction') {
      const usable = kind === 'transaction' ? (frame.transaction as Enclosing).open : isOpen(frame.slot)
      if (frame.live && usable) {
        const { settings } = over ?? frame
        if (lost !== null && !covers(settings, lost)) return problem('lost', frame)
        if (left !== null && !sameSettings(settings, left)) return problem('lost', frame)
        return needed === null || sameSettings(settings, needed) ? frame : problem('differs', frame)
      }
      if (kind === 'transaction') return problem('ended', frame)
      if (kind === 'run' && !frame.live) {
        lost ??= frame.settings
        continue
      }
      return frame.settings === null || inherits(engine, link, frame.settings) ? null : problem('lost', frame)
    }
    if (kind === 'detached') break
    if (kind === 'orphan' && frame.settings !== null) {
      if (frame.live) needed ??= frame.settings
      else lost ??= frame.settings
    }
    if (kind === 'overlay' && frame.settings !== null) {
      if (frame.live) over ??= frame
      else left ??= frame.settings
    }
  }
  return (lost ?? left) !== null && chain !== undefined && settingsOf(engine, chain) === 'lost'
    ? problem('lost', chain.frame)
    : null
}

/**
 * The settings of what code with this chain runs on `slot`: those of the innermost overlay around it, or of the frame of that
 * connection. A handle that was made in an overlay keeps them elsewhere. Overlays around the code that made a handle do not count: what
 * the handle was made with is nearer.
 * @throws {TransactionStateError} when the code runs on after the frame with its settings has ended.
 */
export function settingsOn(slot: Holder, chain: Link | undefined, handle: Handle | null): Settings | null {
  if (!slot.engine.overlaid) return slot.settings
  const made = handle === null ? null : handle.overlay
  let base: Frame | null = null
  let over: Frame | null = null
  let left: Settings | null = null
  let outside = made !== null
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== slot.engine) continue
    if (frame.kind === 'detached') break
    if (frame === made) outside = false
    if (base !== null) continue
    if (frame.kind === 'overlay') {
      if (frame.settings === null) continue
      if (!frame.live) left ??= over === null ? frame.settings : null
      else if (made !== null || !isAround(frame, handle)) over ??= frame
    } else if (frame.slot === slot && frame.kind !== 'orphan') base = frame
    else if (frame.kind === 'owner' && over === null) left = null
  }
  if (made !== null && outside) {
    if (!made.live) throw settingsLost()
    return made.settings
  }
  const settings = over !== null ? over.settings : base !== null ? base.settings : slot.settings
  if (left !== null && (base !== null || over !== null) && !sameSettings(settings, left)) throw settingsLost()
  return settings
}

/** Whether a scope around that one lives, and has the same settings. */
function inherits(engine: EngineCore, { next }: Link, settings: Settings): boolean {
  const outer = settingsOf(engine, next)
  return outer !== 'lost' && covers(outer, settings)
}

function isOpen(slot: Holder | null): boolean {
  return slot !== null && !slot.closed
}

function refuse(problem: Problem, { transaction, live }: Frame): never {
  if (problem === 'lost') throw settingsLost()
  if (problem === 'ended') {
    const record = transaction as Enclosing
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

/** Whether all that is needed is among the settings, with the same values. */
function covers(settings: Settings | null, needed: Settings): boolean {
  return needed === settings || Object.entries(needed).every(([name, value]) => settings?.[name] === value)
}

/**
 * The settings for connections of `engine` borrowed here.
 * @throws {TransactionStateError} when they belong to a frame that has ended, and nothing around it that lives has them:
 * without them a statement would run as somebody else.
 */
export function ambientSettings(engine: EngineCore, chain: Link | undefined): Settings | null {
  const settings = settingsOf(engine, chain)
  if (settings === 'lost') throw settingsLost()
  return settings
}

/** The settings of the scope that code with this chain was started in, whether that has ended or not. */
export function settingsAround(engine: EngineCore, chain: Link | undefined): Settings | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || (passing.has(frame.kind) && frame.settings === null)) continue
    if (frame.settings !== null || frame.live || frame.kind === 'detached') return frame.settings
  }
  return null
}

function settingsOf(engine: EngineCore, chain: Link | undefined): Settings | 'lost' | null {
  let lost: Settings | null = null
  let left: Settings | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.engine !== engine || (passing.has(frame.kind) && frame.settings === null)) continue
    if (!frame.live && frame.settings !== null) {
      if (frame.kind === 'detached') return 'lost'
      if (frame.kind === 'overlay') left ??= frame.settings
      // It may have had them from a scope around it that lives.
      lost ??= frame.settings
      continue
    }
    if (!frame.live && (frame.kind === 'run' || frame.kind === 'transaction')) continue
    if (left !== null && !sameSettings(frame.settings, left)) return 'lost'
    return lost === null || covers(frame.settings, lost) ? frame.settings : 'lost'
  }
  return lost === null ? null : 'lost'
}

/** Defaults for statements issued here, given by the innermost live scope or transaction that has any. */
export function ambientDefaults(engine: EngineCore, chain: Link | undefined): QueryDefaults | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || frame.kind === 'bind' || frame.kind === 'orphan' || frame.kind === 'overlay')
      continue
    if (frame.kind === 'detached' || (!frame.live && frame.kind !== 'reusing' && frame.kind !== 'run')) return null
    if (frame.live && frame.defaults !== null) return frame.defaults
  }
  return null
}

/**
 * Defaults for a statement issued by a handle: those of the transaction it will run in, unless the handle was made inside of
 * that one, with defaults that are nearer.
 */
export function handleDefaults(slot: Holder, handle: Handle, own: QueryDefaults | null): QueryDefaults | null {
  const { top } = slot
  if (top === null || top.handle === handle || isInside(top, handle.chain)) return own
  return top.admitsFrom(store.get(), handle) ? top.defaults : own
}

/** The engine a `Db` is bound to by the innermost `withBind` around here, or by the frame opened through it. */
export function boundEngine(db: object, chain: Link | undefined): EngineCore | null {
  let framed: EngineCore | null = null
  for (let link = chain; link !== undefined; link = link.next) {
    const frame = link.frame
    if (frame.db !== db) continue
    if (frame.kind === 'bind') return frame.engine
    if (framed === null && frame.live) framed = frame.engine
  }
  return framed
}

/** Whether code with this chain runs inside of `transaction`. */
export function isInside(transaction: Enclosing, chain: Link | undefined): boolean {
  for (let link = chain; link !== undefined; link = link.next) {
    if (link.frame.transaction === transaction) return true
    if (link.frame.kind === 'detached' && link.frame.engine === transaction.engine) return false
  }
  return false
}

/** The innermost transaction on `slot` in whose frame code with this chain runs, ended or not. */
export function transactionOn(slot: Holder, chain: Link | undefined): Enclosing | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { transaction, kind, engine } = link.frame
    if (transaction !== null && transaction.slot === slot) return transaction
    if (kind === 'detached' && engine === slot.engine) return null
  }
  return null
}

/** The transaction of `engine` in whose frame code with this chain runs, ended or not. */
export function transactionAround(engine: EngineCore, chain: Link | undefined): Enclosing | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || passing.has(frame.kind) || (frame.kind === 'run' && !frame.live)) continue
    return frame.transaction ?? (frame.slot === null ? null : transactionOn(frame.slot, link.next))
  }
  return null
}

/** The leases of `engine` held by frames that code with this chain runs inside of, whether it can use them or not. */
export function heldLeases(engine: EngineCore, chain: Link | undefined): Set<Lease> {
  const held = new Set<Lease>()
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine === engine && frame.live && frame.slot?.lease) held.add(frame.slot.lease)
  }
  return held
}

/** The frames of `engine` that code with this chain runs inside of, their slots and transactions; some may come more than once. */
export function around(engine: EngineCore, chain: Link | undefined): readonly object[] {
  const found: object[] = []
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || !frame.live) continue
    found.push(frame)
    if (frame.slot !== null) found.push(frame.slot)
    if (frame.transaction !== null) found.push(frame.transaction)
    if (frame.awaited !== undefined) found.push(...around(engine, frame.awaited))
  }
  return found
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
    else if (frame.kind === 'reusing' || (frame.settings === null && silent.has(frame.kind))) continue
    else if (!marked.has(key)) {
      marked.add(key)
      kept.push(frame)
    }
  }
  return kept.reduceRight<Link | undefined>((next, frame) => new Link(frame, next), undefined)
}

/** For code that outlived a `run()` of a transaction which is still open. */
function runEnded({ place }: Enclosing): TransactionEndedError {
  return new TransactionEndedError(
    `The run() that this code belongs to has ended; the transaction begun at ${place} is still open. Await all its work ` +
      'inside of run(), or use the transaction by its handle.',
  )
}

/** Those of a frame: its own, and what they do not say by those around it. Tags add up, down to those of the engine. */
export function nestedDefaults(
  own: QueryDefaults | undefined,
  handle: Handle | null,
  engine: EngineCore,
  chain: Link | undefined,
): QueryDefaults | null {
  const outer = handle?.defaultsHere() ?? ambientDefaults(engine, chain)
  if (own === undefined) return outer
  const tags = tagsOf(outer) ?? engine.options.query.tags
  const timeoutMs = own.timeoutMs ?? outer?.timeoutMs
  return defaultsWith(own.tags === undefined ? tags : Tags.of(own.tags).over(tags), timeoutMs)
}

export function defaultsWith(tags: Tags | undefined, timeoutMs?: number): QueryDefaults {
  return { timeoutMs, tags: tags as unknown as TagValues | undefined }
}

/** They were read when the options were. */
export function tagsOf(defaults: QueryDefaults | null): Tags | undefined {
  return defaults?.tags as Tags | undefined
}
