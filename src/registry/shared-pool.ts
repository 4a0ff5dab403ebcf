// One pool for a database and process, behind all that ask for it: opened by the first use, closed by whoever asks for it or
// by the last `run()`, and opened again by the next use.
import { Db } from '../db/db.ts'
import { currentChain } from '../engine/context/chain.ts'
import type { CloseOptions, Engine } from '../engine/engine.ts'
import { nothingClosed } from '../engine/open/opening.ts'
import type { EngineOptions } from '../engine/open/create-engine.ts'
import type { CloseReport } from '../pool/contract.ts'
import type { Bakery } from '../sql/baked.ts'
import { inRoot } from '../util/context.ts'
import type { GlobalSource, Traits } from './traits.ts'

/** What a handle needs of the pool behind it. */
export interface Home {
  readonly target: string
  /** It was closed, and nobody has used it since: others may say how it is opened. */
  readonly forgotten: boolean
  engineHere(bakery: Bakery): Engine | Promise<Engine>
  engineQuietly(): Engine | null
  /** Opens it for somebody who says when they are done. */
  enter(bakery: Bakery): Promise<Visit>
  close(options?: CloseOptions): Promise<CloseReport>
}

export interface Visit {
  readonly engine: Engine
  /** Closes what was opened for visitors alone when the last of them leaves. */
  leave(): Promise<void>
}

export class SharedPool implements Home {
  traits: Traits
  /** Where it was asked for first. */
  place: string
  #source: GlobalSource
  #options: EngineOptions | undefined
  /** Opens and closes; null while nobody has used it. */
  #opener: Db | null = null
  #closing: Promise<CloseReport> | null = null
  /** Somebody else than visitors uses it. */
  #claimed = false
  #visitors = 0
  #forgotten = false

  constructor(traits: Traits, place: string, source: GlobalSource, options: EngineOptions | undefined) {
    this.traits = traits
    this.place = place
    this.#source = source
    this.#options = options
  }

  get target(): string {
    return this.traits.target
  }

  /** Nothing is open or being opened. */
  get atRest(): boolean {
    return this.#opener === null
  }

  get forgotten(): boolean {
    return this.#forgotten && this.#opener === null
  }

  engineHere(bakery: Bakery): Engine | Promise<Engine> {
    if (this.#closing !== null) return this.#after(this.#closing, bakery)
    if (!this.#claimed && !this.#isVisitor()) this.#claimed = true
    return this.#open(bakery).engineHere()
  }

  engineQuietly(): Engine | null {
    return this.#closing === null ? (this.#opener?.engineQuietly() ?? null) : null
  }

  async enter(bakery: Bakery): Promise<Visit> {
    while (this.#closing !== null) await this.#closing.catch(() => {})
    this.#visitors++
    let opener: Db | null = null
    const leave = async (): Promise<void> => {
      this.#visitors--
      // Visitors of what was closed meanwhile have nothing to close.
      if (this.#visitors === 0 && !this.#claimed && opener !== null && opener === this.#opener) await this.close()
    }
    try {
      opener = this.#open(bakery)
      return { engine: await opener.engineHere(), leave }
    } catch (error) {
      await leave()
      throw error
    }
  }

  close(options?: CloseOptions): Promise<CloseReport> {
    const opener = this.#opener
    if (this.#closing !== null) {
      // Who comes later may have less patience.
      void opener?.close(options).catch(() => {})
      return this.#closing
    }
    if (opener === null) {
      this.#forgotten = true
      return Promise.resolve(nothingClosed)
    }
    const closing = this.#close(opener, options).finally(() => (this.#closing = null))
    this.#closing = closing
    return closing
  }

  /** From now on it is opened with these. What is open is closed, in the background. */
  replace(traits: Traits, place: string, source: GlobalSource, options: EngineOptions | undefined): void {
    this.traits = traits
    this.place = place
    this.#source = source
    this.#options = options
    void inRoot(() => this.close()).catch(() => {})
  }

  async #close(opener: Db, options: CloseOptions | undefined): Promise<CloseReport> {
    // It throws where it would wait for its own caller; then it stays open.
    const report = await opener.close(options)
    this.#opener = null
    this.#claimed = false
    this.#forgotten = true
    return report
  }

  async #after(closing: Promise<unknown>, bakery: Bakery): Promise<Engine> {
    await closing.catch(() => {})
    return this.engineHere(bakery)
  }

  #open(bakery: Bakery): Db {
    if (this.#opener === null) {
      this.#opener = this.#options === undefined ? new Db(this.#source) : new Db(this.#source, this.#options)
      this.#opener.bakery = bakery
      this.#forgotten = false
    }
    return this.#opener
  }

  /** Whether this code runs inside of a `run()` on this pool. */
  #isVisitor(): boolean {
    const engine = this.#opener?.engineQuietly()
    if (engine === undefined || engine === null) return false
    for (let link = currentChain(); link !== undefined; link = link.next)
      if (link.frame.kind === 'bind' && link.frame.engine === engine && link.frame.live) return true
    return false
  }
}
