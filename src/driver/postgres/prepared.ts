// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { Op } from '../driver.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { namesMoved } from './op-rules.ts'
import type { NameSpace } from './name-space.ts'
import { Prepared, Step } from './step.ts'

/** Of statements whose names mean the same under every search_path: no number of a name space. */
const anyPath = -1

/** A bounded cache with second chance: a clock's hand passes over what was used and takes the first that was not. */
export class PreparedCache {
  readonly #limit: number
  readonly #names: NameSpace
  /** By the meaning of names, then by the engine's name. */
  readonly #known = new Map<number, Map<string, Prepared>>()
  /** Those that mean the same everywhere. */
  readonly #pathless = new Map<string, Prepared>()
  /** Those of the meaning that was asked for last. */
  #here: Map<string, Prepared>
  #id: number
  #ring: Prepared[] = []
  #hand = 0
  #closing: string[] = []
  /** Counts units. */
  #unit = 0

  constructor(limit: number, names: NameSpace) {
    this.#limit = limit
    this.#names = names
    this.#id = names.id
    this.#here = new Map()
    this.#known.set(this.#id, this.#here)
  }

  /**
   * The steps of a unit. A statement that is new is known from now on; where there is no room for it, it runs unnamed.
   * @param alone It failed twice, maybe because it was bound to what other units had parsed in vain.
   */
  plan(ops: readonly Op[], prefix: string, alone: boolean): Step[] {
    this.#unit++
    const steps: Step[] = []
    for (const op of ops) {
      const step = new Step(op, this.#names.id, this.#names.since)
      const { stmt } = op
      if (stmt.name !== '' && stmt.cls !== 'multi') this.#prepare(step, prefix, alone)
      step.names = namesMoved(stmt, this.#names.inside)
      if (step.names !== 0) this.#names.send(op, step.names)
      steps.push(step)
    }
    return steps
  }

  /** The step of an operation whose statement the server has parsed and described; null: it is not so, or means something else now. */
  known(op: Op): Step | null {
    const found = this.#now().get(op.stmt.name)
    if (found === undefined || !found.parsed || found.shape === null || found.at < this.#names.since) return null
    const step = new Step(op, this.#names.id, this.#names.since)
    step.parse = false
    step.entry = found
    found.used = true
    found.unit = this.#unit
    return step
  }

  #prepare(step: Step, prefix: string, alone: boolean): void {
    const { name: key, pathless } = step.op.stmt
    const here = pathless === true ? this.#pathless : this.#now()
    const found = here.get(key)
    if (found !== undefined && found.at >= step.since) {
      if (alone && !found.parsed && found.unit !== this.#unit) return
      step.parse = false
      step.entry = found
      found.used = true
      found.unit = this.#unit
      return
    }
    if (found !== undefined) {
      // Another statement of the unit still uses it as it was.
      if (found.unit === this.#unit) return
      this.forget(found)
    }
    if (!this.#makeRoom()) return
    const id = pathless === true ? anyPath : this.#id
    const name = id === this.#names.home || id === anyPath ? prefix + key : `${prefix}${key}_${id}`
    const entry = new Prepared(name, key, id, step.since)
    entry.unit = this.#unit
    step.entry = entry
    here.set(key, entry)
    this.#ring.push(entry)
  }

  /** Those that mean what names mean now. */
  #now(): Map<string, Prepared> {
    const { id } = this.#names
    if (id === this.#id) return this.#here
    if (this.#here.size === 0) this.#known.delete(this.#id)
    this.#id = id
    this.#here = this.#known.get(id) ?? new Map<string, Prepared>()
    this.#known.set(id, this.#here)
    return this.#here
  }

  /** It must be parsed again before it runs; the server is told to close it with the next packet. */
  forget(statement: Prepared): void {
    if (this.#remove(statement)) this.#closing.push(statement.name)
  }

  /** The server has not parsed them after all. */
  dropUnparsed(steps: readonly Step[]): void {
    for (const { entry, parse } of steps) if (parse && entry !== null && !entry.parsed) this.#remove(entry)
  }

  #remove(statement: Prepared): boolean {
    const { path, key } = statement
    const those = path === anyPath ? this.#pathless : this.#known.get(path)
    if (those?.get(key) !== statement) return false
    those.delete(key)
    if (those.size === 0 && those !== this.#here) this.#known.delete(path)
    this.#ring.splice(this.#ring.indexOf(statement), 1)
    return true
  }

  /** The server has dropped all of them by itself. */
  clear(): void {
    this.#known.clear()
    this.#here.clear()
    this.#pathless.clear()
    this.#known.set(this.#id, this.#here)
    this.#ring = []
    this.#hand = 0
    this.#closing = []
  }

  /** Those of a list that can be prepared and are not yet; as many as are kept. */
  unknown(statements: readonly Compiled[]): Compiled[] {
    const named = statements.filter(({ name, cls }) => name !== '' && cls !== 'multi')
    const here = this.#now()
    return named.filter(({ name }) => !here.has(name)).slice(0, this.#limit - this.#ring.length)
  }

  /** The server has no others than these. */
  keep(names: ReadonlySet<string>): void {
    for (const statement of [...this.#ring]) if (!names.has(statement.name)) this.forget(statement)
    this.#closing = this.#closing.filter((name) => names.has(name))
  }

  names(): string[] {
    return this.#ring.map(({ name }) => name)
  }

  /** The names to close at the head of the next packet, where no failing statement can skip that. */
  takeClosing(): readonly string[] {
    const closing = this.#closing
    if (closing.length > 0) this.#closing = []
    return closing
  }

  /** For one more. Passes over those that are about to run. */
  #makeRoom(): boolean {
    if (this.#limit === 0) return false
    for (let spared = 0; this.#ring.length >= this.#limit;) {
      if (this.#hand >= this.#ring.length) this.#hand = 0
      const candidate = this.#ring[this.#hand] as Prepared
      if (candidate.unit === this.#unit) {
        if (++spared > this.#ring.length * 2) return false
        this.#hand++
      } else if (candidate.used) {
        candidate.used = false
        this.#hand++
      } else this.forget(candidate)
    }
    return true
  }
}

/** Whether the command of this tag takes every prepared statement away. */
export function dropsPrepared(tag: string): boolean {
  return tag === 'DEALLOCATE ALL' || tag === 'DISCARD ALL'
}
