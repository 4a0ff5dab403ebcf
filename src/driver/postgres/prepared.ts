// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { Op } from '../driver.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { NameSpace } from './name-space.ts'
import { Prepared, Step } from './step.ts'

/** A bounded cache with second chance: a clock's hand passes over what was used and takes the first that was not. */
export class PreparedCache {
  readonly #limit: number
  readonly #names: NameSpace
  /** By the meaning of names, then by the engine's name. */
  readonly #known = new Map<number, Map<string, Prepared>>()
  /** Those of the meaning that was asked for last. */
  #here: Map<string, Prepared>
  #id: number
  #ring: Prepared[] = []
  #hand = 0
  #closing: string[] = []

  constructor(limit: number, names: NameSpace) {
    this.#limit = limit
    this.#names = names
    this.#id = names.id
    this.#here = new Map()
    this.#known.set(this.#id, this.#here)
  }

  /** The steps of a unit, with room made for what is new in it; when there is none it runs unnamed. */
  plan(ops: readonly Op[], prefix: string): Step[] {
    const known = new Set<Prepared>()
    const fresh = new Map<string, Prepared>()
    const steps = ops.map((op) => {
      const step = new Step(op, this.#names.id, this.#names.since)
      const { stmt } = op
      if (stmt.name !== '' && stmt.cls !== 'multi') this.#prepare(step, prefix, known, fresh)
      if (stmt.names !== 0) this.#names.send(op)
      return step
    })
    if (fresh.size === 0 || this.#makeRoom(fresh.size, known)) return steps
    for (const step of steps) {
      if (step.entry === null || !fresh.has(step.entry.name)) continue
      step.entry = null
      step.parse = true
    }
    return steps
  }

  #prepare(step: Step, prefix: string, known: Set<Prepared>, fresh: Map<string, Prepared>): void {
    const key = step.op.stmt.name
    const found = this.#now().get(key)
    if (found !== undefined && found.at >= step.since) {
      step.parse = false
      step.entry = found
      found.used = true
      known.add(found)
      return
    }
    if (found !== undefined) {
      // Another statement of the unit still uses it as it was.
      if (known.has(found)) return
      this.forget(found)
    }
    const name = this.#id === this.#names.home ? prefix + key : `${prefix}${key}_${this.#id}`
    const entry = fresh.get(name) ?? new Prepared(name, key, this.#id, step.since)
    step.parse = !fresh.has(name)
    step.entry = entry
    fresh.set(name, entry)
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

  /** The server has parsed it. */
  add(statement: Prepared): void {
    const { path, key } = statement
    let those = this.#known.get(path)
    if (those === undefined) this.#known.set(path, (those = new Map()))
    those.set(key, statement)
    this.#ring.push(statement)
  }

  /** It must be parsed again before it runs; the server is told to close it with the next packet. */
  forget(statement: Prepared): void {
    const { path, key, name } = statement
    const those = this.#known.get(path)
    if (those?.get(key) !== statement) return
    those.delete(key)
    if (those.size === 0 && those !== this.#here) this.#known.delete(path)
    this.#ring.splice(this.#ring.indexOf(statement), 1)
    this.#closing.push(name)
  }

  /** The server has dropped all of them by itself. */
  clear(): void {
    this.#known.clear()
    this.#here.clear()
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

  /** Passes over those that are about to run. */
  #makeRoom(count: number, spared: ReadonlySet<Prepared>): boolean {
    if (count + spared.size > this.#limit) return false
    while (this.#ring.length + count > this.#limit) {
      if (this.#hand >= this.#ring.length) this.#hand = 0
      const candidate = this.#ring[this.#hand] as Prepared
      if (candidate.used || spared.has(candidate)) {
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
