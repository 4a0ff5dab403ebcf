// The statements prepared on one session: which names the server knows, with what shape, and which of them to forget when
// there are too many. Exchanges plan their steps here. It sends nothing; it only says what to close.
import type { Op } from '../driver.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { Prepared, Step } from './step.ts'

/** A bounded cache with second chance: a clock's hand passes over what was used and takes the first that was not. */
export class PreparedCache {
  readonly #limit: number
  readonly #known = new Map<string, Prepared>()
  #ring: Prepared[] = []
  #hand = 0
  #closing: string[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The steps of a unit, with room made for what is new in it; when there is none it runs unnamed. */
  plan(ops: readonly Op[], prefix: string): Step[] {
    const known = new Set<Prepared>()
    const fresh = new Map<string, Prepared>()
    const steps = ops.map((op) => {
      const step = new Step(op)
      if (op.stmt.name === '' || op.stmt.cls === 'multi') return step
      const name = prefix + op.stmt.name
      const found = this.#known.get(name)
      step.parse = found === undefined && !fresh.has(name)
      step.entry = found ?? fresh.get(name) ?? new Prepared(name)
      step.entry.used = true
      if (found === undefined) fresh.set(name, step.entry)
      else known.add(found)
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

  /** The server has parsed it. */
  add(statement: Prepared): void {
    this.#known.set(statement.name, statement)
    this.#ring.push(statement)
  }

  /** It must be parsed again before it runs; the server is told to close it with the next packet. */
  forget(statement: Prepared): void {
    if (this.#known.get(statement.name) !== statement) return
    this.#known.delete(statement.name)
    this.#ring.splice(this.#ring.indexOf(statement), 1)
    this.#closing.push(statement.name)
  }

  /** The server has dropped all of them by itself. */
  clear(): void {
    this.#known.clear()
    this.#ring = []
    this.#hand = 0
    this.#closing = []
  }

  /** Those of a list that can be prepared and are not yet; as many as are kept. */
  unknown(statements: readonly Compiled[], prefix: string): Compiled[] {
    const named = statements.filter(({ name, cls }) => name !== '' && cls !== 'multi')
    return named.filter(({ name }) => !this.#known.has(prefix + name)).slice(0, this.#limit - this.#known.size)
  }

  /** The server has no others than these. */
  keep(names: ReadonlySet<string>): void {
    for (const statement of [...this.#known.values()]) if (!names.has(statement.name)) this.forget(statement)
    this.#closing = this.#closing.filter((name) => names.has(name))
  }

  names(): Iterable<string> {
    return this.#known.keys()
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
