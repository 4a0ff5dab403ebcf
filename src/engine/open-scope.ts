// A scope without one callback around it, for plug-ins: a framework says when a request begins and when its response is
// over, and neither is the end of a function. Only `run` makes it ambient, for a callback as everywhere else.
import { Connection } from './connection.ts'
import { currentChain, type Link, push, runIn, defaultsWith } from './context/chain.ts'
import { Frame, type Settings } from './context/frame.ts'
import { settingsOf } from '../sql/settings.ts'
import type { Tags } from '../sql/tags.ts'
import type { Engine } from './engine.ts'
import { Reads } from './hosts/host.ts'
import { LooseSlot } from './slot/loose-slot.ts'
import { mergedSettings } from './source.ts'

export interface OpenScopeOptions {
  /** The holder of the connection, for messages. It has no values of the user. */
  readonly what: string | (() => string)
  /** As of `scope()`. */
  readonly settings?: Settings | undefined
  /** As of `scope()`. */
  readonly hold?: boolean | undefined
  /** The tags of its statements, beside those of the engine. */
  readonly tags?: Tags | undefined
  /** Aborts whatever runs or waits on the connection, and refuses all that comes later. */
  readonly signal?: AbortSignal | undefined
}

/** A lazy connection for all that runs inside of `run`. Never shares the connection of a scope around it. */
export class OpenScope {
  readonly connection: Connection
  readonly #engine: Engine
  readonly #slot: LooseSlot
  readonly #frame: Frame
  readonly #chain: Link

  constructor(engine: Engine, db: object | null, options: OpenScopeOptions) {
    const around = currentChain()
    const { what, hold, tags, signal } = options
    const query = tags === undefined ? null : defaultsWith(tags.over(engine.options.query.tags))
    const settings = settingsOf(options.settings)
    const all = around === undefined && settings === undefined ? null : mergedSettings(engine, around, settings)
    this.#engine = engine
    this.#slot = new LooseSlot(engine, all, typeof what === 'string' ? what : { describe: what }, signal ?? null)
    this.connection = new Connection(engine, this.#slot, around, 'owner', query)
    if (hold === true) this.connection.hold()
    else if (engine.hosts !== null) this.#slot.reads = new Reads(null, null)
    this.#frame = new Frame('owner', engine, db, this.#slot, null, all)
    this.#frame.connection = this.connection
    this.#frame.defaults = query
    this.#chain = push(this.#frame, around)
  }

  /** Calls `work` with the connection ambient for it and all it starts; as often as wanted. */
  run<R>(work: () => R): R {
    return runIn(this.#chain, work)
  }

  /** The transaction that is open is the last: behind its COMMIT the connection may go to whoever waits for one. */
  answers(): void {
    this.#slot.answers = true
  }

  /**
   * From now on the connection goes back whenever nothing runs, waits or is open on it: an open transaction or cursor keeps
   * it until it ends. Later statements borrow and give back at once. Idempotent.
   */
  loosen(): void {
    this.#slot.loosen()
  }

  /**
   * Ends it for good: cursors are closed, managed transactions finish first, the handle is released. Idempotent. Gives what
   * is still to be waited for, which never rejects; null when the connection is back.
   */
  end(): Promise<void> | null {
    if (!this.#frame.live) return null
    this.#frame.end()
    return this.#engine.closeSlot(this.#slot)?.catch(() => {}) ?? null
  }
}
